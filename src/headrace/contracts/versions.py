"""Versions of a contract: what they are called, which is newer, how far each is in its life, what of it is fixed."""

from __future__ import annotations

import copy
import datetime as dt
import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from headrace.contracts import pii
from headrace.contracts.refs import subschemas
from headrace.spec import CellNames, Spec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from headrace.contracts.contract import Contract

Lifecycle = Literal["draft", "stable", "deprecated", "retired"]
Number = tuple[int, int, int]
"""A version's place among the others: `v2` is (2, 0, 0), and so is `2.0.0`."""

_NUMBER = re.compile(r"v?([0-9]{1,9})(?:[.-]([0-9]{1,9}))?(?:[.-]([0-9]{1,9}))?")
_ANNOTATIONS = frozenset(
    {"$comment", "default", "deprecated", "description", "examples", "readOnly", "title", "writeOnly", *pii.WORDS}
)
_ROOT_ANNOTATIONS = frozenset({"$id", "id", "self", "source_id", "version"})


class VersionSpec(Spec):
    """How far a version of the contract is in its life."""

    status: Lifecycle = Field(
        default="stable",
        description="draft may change; stable is fixed once applied; deprecated is still taken; retired is refused.",
    )
    until: dt.date | None = Field(
        default=None,
        description="The last day of a deprecated version: after it, `check` fails.",
        examples=["2027-03-01"],
    )

    csv_columns: CellNames = Field(
        default=(),
        description="The cells of a CSV record of this version, in order, where no header names them (default: "
        "`ingestion.csv.columns`).",
        examples=[["id", "amount"]],
    )

    @model_validator(mode="after")
    def _dated(self) -> Self:
        if self.until is not None and self.status != "deprecated":
            raise ValueError("only a deprecated version has an `until`: write `status: deprecated`")
        return self


@dataclass(frozen=True)
class Version:
    """One version of a dataset's contract.

    `name` is what people call it (`v1`, the name of its file). `document` is its schema as it was written, in `file`
    (empty: in the source's file). `declared` says that it has its number from its document or its file's name: then its
    content is fixed once it was applied, unless it is a draft. A version that nobody numbered is always a draft.
    `csv_columns` name the cells of its records where no header does, and the source's own columns do not.
    """

    name: str
    number: Number
    contract: Contract
    document: Mapping[str, Any]
    file: str = ""
    declared: bool = False
    lifecycle: Lifecycle = "draft"
    until: dt.date | None = None
    csv_columns: tuple[str, ...] = ()


def number_of(text: object) -> Number | None:
    """Return the number that a version's name means (`2`, `v2`, `2.1`, `1-0-3`); None where it means none."""
    if isinstance(text, bool) or not isinstance(text, int | str):
        return None
    match = _NUMBER.fullmatch(str(text).strip())
    return None if match is None else (int(match[1]), int(match[2] or 0), int(match[3] or 0))


def same_version(names: Iterable[str]) -> tuple[str, str] | None:
    """Return two names that mean one version (`v1` and `1.0.0`), where there are such."""
    known: dict[Number, str] = {}
    for name in names:
        number = number_of(name)
        if number is not None and known.setdefault(number, name) != name:
            return known[number], name
    return None


def said_version(document: Mapping[str, Any]) -> Any:
    """Return what a schema says that its version is: `version`, or in `self` where it is a self-describing one."""
    own = document.get("self")
    said = [document.get("version"), own.get("version") if isinstance(own, dict) else None]
    return next((each for each in said if each is not None and each != ""), None)


def next_major(number: Number, like: str = "v1") -> str:
    """Return the name of the version after this one, spelt as another is."""
    text = str(number[0] + 1)
    for sign in (".", "-"):
        if like.count(sign) == 2:
            text += f"{sign}0{sign}0"
    return f"v{text}" if like.startswith("v") else text


def meaning(schema: Mapping[str, Any]) -> str:
    """Return the SHA-256 of what a schema says of events: descriptions, titles and PII tags may change without it.

    The draft counts: it decides what a keyword means. `plain_schema` spells it in one way.
    """
    bare = copy.deepcopy(dict(schema))
    for _, part in list(subschemas(bare)):
        for word in _ANNOTATIONS & part.keys():
            del part[word]
    for word in _ROOT_ANNOTATIONS & bare.keys():
        del bare[word]
    text = json.dumps(bare, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
