"""What a request gets."""

from __future__ import annotations

from typing import NamedTuple


class Answer(NamedTuple):
    """A status, headers that may be added to, and a body."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
