"""`schema.iglu`: a contract whose versions are those of a schema in static Iglu repositories.

A repository is a folder of the project of the layout that Iglu Central has, one file a version:

iglu/schemas/com.example/order/jsonschema/1-0-0

One on another machine is named by its URL. It is asked by `headrace contract fetch`, which puts its files into the
first folder, and by nothing else: what events are held against is in the project.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator, model_validator

from headrace.config.contract_versions import VersionFile
from headrace.config.files import inside
from headrace.contracts.iglu import VERSION, Family, family
from headrace.contracts.versions import number_of
from headrace.spec import Spec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FOLDER = "iglu"
PINS = "fetched.json"
_URL = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")


class IgluSpec(Spec):
    """The schema of Iglu's self-describing events; each names its version, such as 1-0-0, in its envelope."""

    schema_: str = Field(
        alias="schema",
        description="Vendor and name; with `/jsonschema/1-*-*` behind them, the versions of one model.",
        examples=["com.example/order", "iglu:com.example/order/jsonschema/1-*-*"],
    )
    repositories: tuple[str, ...] = Field(
        default=(FOLDER,),
        description="Where its versions are: folders of the project, the first that has one; and URLs, which only "
        "`headrace contract fetch` asks.",
        examples=[["iglu", "https://iglucentral.com"]],
    )

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: object) -> object:
        return {"schema": value} if isinstance(value, str) else value

    @field_validator("schema_")
    @classmethod
    def _names_a_family(cls, text: str) -> str:
        if family(text) is None:
            raise ValueError(
                f"{text!r} names no schema of Iglu: write com.example/order for all of its versions, or "
                "com.example/order/jsonschema/1-*-* for those of a model"
            )
        return text

    @field_validator("repositories")
    @classmethod
    def _are_places(cls, places: tuple[str, ...]) -> tuple[str, ...]:
        for place in places:
            if "://" in place and not _URL.fullmatch(place):
                raise ValueError(f"{place!r} is no repository: write such as https://iglucentral.com")
            if "://" not in place and (posixpath.normpath(place).startswith(("/", "..")) or "\0" in place):
                raise ValueError(f"{place!r} is no folder of the project: write {FOLDER}, or another within it")
        if not any("://" not in place for place in places):
            raise ValueError(
                f"no repository is a folder, and events are held against none on another machine: write {FOLDER} "
                "before them, which is where `headrace contract fetch` puts what it gets"
            )
        return places

    @property
    def family(self) -> Family:
        """What `schema` names."""
        found = family(self.schema_)
        assert found is not None  # noqa: S101 - `_names_a_family`
        return found

    @property
    def folders(self) -> tuple[str, ...]:
        """The repositories that are folders of the project."""
        return tuple(place.rstrip("/") for place in self.repositories if "://" not in place)

    @property
    def urls(self) -> tuple[str, ...]:
        """The repositories on other machines."""
        return tuple(place.rstrip("/") for place in self.repositories if "://" in place)


def iglu_files(root: Path, spec: IgluSpec) -> list[VersionFile]:
    """Return the versions of a schema, oldest first; the first repository that has one gives it.

    What leaves the project is not looked at, nor are files that are called by no version.
    """
    wanted, found = spec.family, dict[str, VersionFile]()
    for repository in spec.folders:
        for path in _files_of(root / repository / wanted.folder, root):
            number = number_of(path.name) if VERSION.fullmatch(path.name) else None
            if number is not None and wanted.has(path.name):
                file = path.relative_to(root).as_posix()
                found.setdefault(path.name, VersionFile(number, path.name, file))
    return sorted(found.values())


def _files_of(folder: Path, root: Path) -> list[Path]:
    try:
        return [each for each in folder.iterdir() if each.is_file()] if inside(folder, (root,)) else []
    except OSError:  # it is not there, or has a name that no folder may have
        return []


def another(document: Mapping[str, Any], version: str, spec: IgluSpec) -> str:
    """Return what is wrong where a document describes another schema than its place says; empty where it does not."""
    wanted = spec.family
    own = document.get("self")
    said = own if isinstance(own, dict) else {}
    here = {"vendor": wanted.vendor, "name": wanted.name, "format": wanted.format, "version": version}
    wrong = next((word for word, value in here.items() if said.get(word) != value), None)
    if wrong is None:
        return ""
    return f"its path says {wrong} {here[wrong]}, and its `self` {said.get(wrong, 'nothing')}"


def pins(folder: Path) -> dict[str, Any]:
    """Return what is known of the versions in a folder that were fetched: where `from`, and their `sha256`.

    Raises `ValueError` where the file that says it cannot be read.
    """
    path = folder / PINS
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{PINS} beside it cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{PINS} beside it is no object")  # noqa: TRY004 - of a file, not of a caller
    return found


def not_as_fetched(root: Path, file: VersionFile) -> str:
    """Return what is wrong where a version's file is not what was fetched, or nobody can say; empty where it is."""
    path = root / file.file
    try:
        known = pins(path.parent)
    except ValueError as error:
        return f"whether it is what was fetched cannot be told: {error}"
    if file.name not in known:
        return ""
    pin = known[file.name] if isinstance(known[file.name], dict) else {}
    if pin.get("sha256") == hashlib.sha256(path.read_bytes()).hexdigest():
        return ""
    return f"it is not what was fetched from {pin.get('from') or 'elsewhere'}"
