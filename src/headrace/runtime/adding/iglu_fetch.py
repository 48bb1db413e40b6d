"""Versions of an Iglu schema, out of a repository on another machine, into one of the project's.

They become files of the project, to be looked at and committed; `fetched.json` beside them has their digests, and from
then on `check` tells where one is not what was fetched.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.config.files import inside, read_yaml
from headrace.config.iglu import PINS, IgluSpec, another, pins
from headrace.config.source_file import full_form
from headrace.config.validation import Origin, validated
from headrace.connectors.iglu_repository import IgluRepository
from headrace.contracts.iglu import VERSION
from headrace.errors import ConfigError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from headrace.contracts.iglu import Family


def fetch(
    root: Path, source: str, versions: Sequence[str], *, url: str | None, private: bool, dry_run: bool
) -> dict[str, Any]:
    """Return the documented shape of `contract fetch --json`; what is new is written unless `dry_run`.

    A version that is there stays as it is: one that differs is told, and nothing is written over.
    """
    spec = _spec(root, source)
    urls = (url,) if url is not None else spec.urls
    if not urls:
        raise ConfigError(
            "no repository to ask", at=f"connectors/{source}.yaml",
            fix="--from https://iglucentral.com; or name it in `schema.iglu.repositories`",
        )  # fmt: skip
    for version in versions:
        if not VERSION.fullmatch(version) or not spec.family.has(version):
            raise InputError(f"{version!r} is no version of {spec.family}", at="VERSION", fix="write such as 1-0-0")
    repositories = [IgluRepository(each, private=private) for each in urls]
    answers = _named(repositories, spec.family, versions) if versions else _all(repositories, spec.family)
    found = [_taken(root, spec, each, dry_run=dry_run) for each in answers]
    if not found:
        raise InputError(f"no version of {spec.family} is there", at=", ".join(urls), fix="see vendor and name")
    return {"source": source, "schema": str(spec.family), "dry_run": dry_run, "versions": found}


class _Answer(NamedTuple):
    """A version, with the repository that has it."""

    url: str
    version: str
    content: bytes


def _all(repositories: Sequence[IgluRepository], family: Family) -> Iterator[_Answer]:
    """Yield all versions of the first repository that has the schema, as resolvers have it."""
    for each in repositories:
        is_there = False
        for version, content in each.versions(family):
            is_there = True
            yield _Answer(each.url, version, content)
        if is_there:
            return


def _named(repositories: Sequence[IgluRepository], family: Family, versions: Sequence[str]) -> list[_Answer]:
    """Return each version out of the first repository that has it. Raises `InputError` where none has one."""
    found = []
    for version in dict.fromkeys(versions):
        answers = ((each.url, each.version(family, version)) for each in repositories)
        url, content = next((each for each in answers if each[1] is not None), ("", None))
        if content is None:
            where = ", ".join(each.url for each in repositories)
            raise InputError(f"it has no {version} of {family}", at=where, fix="leave the version out for all")
        found.append(_Answer(url, version, content))
    return found


def _spec(root: Path, source: str) -> IgluSpec:
    file = f"connectors/{source}.yaml"
    if not (root / file).is_file():
        raise ConfigError(f"no source {source!r}", at=file, fix="headrace check lists what there is")
    document = read_yaml(root / file, file)
    schema = full_form(document.value).get("schema") if isinstance(document.value, dict) else None
    said = schema.get("iglu") if isinstance(schema, dict) else None
    if said is None:
        raise ConfigError(f"{source} has no schema of Iglu", at=file, fix="write `schema: {iglu: com.example/order}`")
    spec, faults, _ = validated(IgluSpec, {"schema": said} if isinstance(said, str) else said, Origin(document))
    if spec is None:
        raise ConfigError(faults[0].message, at=file, fix=faults[0].fix)
    return spec


def _taken(root: Path, spec: IgluSpec, answer: _Answer, *, dry_run: bool) -> dict[str, Any]:
    version, content = answer.version, answer.content
    place = f"{answer.url}/{spec.family.folder}/{version}"
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise InputError("it is no JSON", at=place, fix="see the address in a browser") from None
    wrong = another(document, version, spec) if isinstance(document, dict) else "it is no object"
    if wrong:
        raise InputError(f"it is no such schema: {wrong}", at=place, fix="tell who keeps the repository")
    folder = f"{spec.folders[0]}/{spec.family.folder}"
    path = root / folder / version
    if not inside(path, (root,)):
        raise ConfigError(f"{folder} leaves the project", at=folder, fix="name a folder of the project first")
    digest = hashlib.sha256(content).hexdigest()
    had = path.read_bytes() if path.is_file() else None
    state = "new" if had is None else "same" if had == content else "differs"
    try:
        known = pins(path.parent)
    except ValueError as error:
        raise ConfigError(str(error), at=f"{folder}/{PINS}", fix="mend it, or remove it and the versions") from None
    if state == "new" and not dry_run:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, content)
        known[version] = {"from": place, "sha256": digest}
        text = json.dumps(dict(sorted(known.items())), indent=2)
        _write(path.parent / PINS, f"{text}\n".encode())
    return {"version": version, "file": f"{folder}/{version}", "from": place, "sha256": digest, "state": state}


def _write(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.new")
    beside.write_bytes(content)
    os.replace(beside, path)  # noqa: PTH105 - whole, or not at all
