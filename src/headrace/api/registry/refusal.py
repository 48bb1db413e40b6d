"""What the registry refuses, in the words and numbers that Confluent's clients know."""

from __future__ import annotations

import json
from http import HTTPStatus


class Refusal(Exception):  # noqa: N818 - an answer, not a failure of ours
    """A request that is not done. The first three digits of its code are the status."""

    def __init__(self, code: int, message: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.headers = headers

    @property
    def status(self) -> int:
        """The status of the answer."""
        return int(str(self.code)[:3])

    def body(self) -> bytes:
        """Return the body of the answer."""
        return json.dumps({"error_code": self.code, "message": self.message}).encode()


def plain(status: int, message: str = "", headers: tuple[tuple[str, str], ...] = ()) -> Refusal:
    """Return the refusal of a request that never came to the registry: its code is its status."""
    return Refusal(status, message or f"HTTP {status} {HTTPStatus(status).phrase}", headers)


def no_subject(subject: str) -> Refusal:
    """Return the refusal where there is no such subject."""
    return Refusal(40401, f"Subject '{subject}' not found.")


def no_version(version: object) -> Refusal:
    """Return the refusal where a subject has no such version."""
    return Refusal(40402, f"Version {version} not found.")


def no_schema(which: object = "") -> Refusal:
    """Return the refusal where no schema is the one asked for."""
    return Refusal(40403, f"Schema {which} not found" if which != "" else "Schema not found")


def invalid_schema(why: str) -> Refusal:
    """Return the refusal of a text that is no schema of its type."""
    return Refusal(42201, f"Invalid schema: {why}")


def invalid_version(version: object) -> Refusal:
    """Return the refusal of what cannot be a version."""
    return Refusal(
        42202,
        f"The specified version '{version}' is not a valid version id. Allowed values are between [1, 2^31-1] and the "
        'string "latest"',
    )


def not_permitted(why: str) -> Refusal:
    """Return the refusal of what the mode of a subject, or the project's files, do not allow."""
    return Refusal(42205, why)
