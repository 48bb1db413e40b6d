"""Iglu's names of schemas: `iglu:vendor/name/format/MODEL-REVISION-ADDITION`, and families of them."""

from __future__ import annotations

import re
from typing import NamedTuple

VERSION = re.compile(r"[1-9][0-9]{0,8}-(?:0|[1-9][0-9]{0,8})-(?:0|[1-9][0-9]{0,8})")
_PART = r"[A-Za-z0-9_-]+"
_URI = re.compile(rf"iglu:([A-Za-z0-9_.-]+)/({_PART})/({_PART})/({VERSION.pattern})")
_FAMILY = re.compile(
    rf"(?:iglu:)?([A-Za-z0-9_][A-Za-z0-9_.-]*)/({_PART})(?:/({_PART})(?:/([1-9][0-9]{{0,8}})-\*-\*)?)?"
)


class Family(NamedTuple):
    """The versions of a schema: all of them, or those of one `model`."""

    vendor: str
    name: str
    format: str = "jsonschema"
    model: int | None = None

    @property
    def folder(self) -> str:
        """Where its versions lie in a static repository, a file each."""
        return f"schemas/{self.vendor}/{self.name}/{self.format}"

    def __str__(self) -> str:
        """Return what its URIs begin with, and the model where it is of one."""
        return f"iglu:{self.vendor}/{self.name}/{self.format}" + (f"/{self.model}-*-*" if self.model else "")

    def has(self, version: str) -> bool:
        """Whether a version, such as 1-0-0, is one of these."""
        return self.model in {None, int(version.partition("-")[0])}


def family(text: str) -> Family | None:
    """Return the family that a text names (`com.example/order`, `iglu:com.example/order/jsonschema/1-*-*`), or None."""
    match = _FAMILY.fullmatch(text)
    if match is None:
        return None
    vendor, name, form, model = match.groups()
    return Family(vendor, name, form or "jsonschema", int(model) if model else None)


def named(uri: str) -> tuple[Family, str] | None:
    """Return the family and the version that a URI names; None where it is no URI of Iglu."""
    match = _URI.fullmatch(uri)
    return None if match is None else (Family(match[1], match[2], match[3]), match[4])
