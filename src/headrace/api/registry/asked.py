"""A request to the registry: what its path, its query and its body say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs

from headrace.api.registry.refusal import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.api.registry.subjects import Registry


class Asked(NamedTuple):
    """A request: what its path names, its query, its body (None where there is none), and what the client can take."""

    registry: Registry
    names: tuple[str, ...]
    query: dict[str, list[str]]
    body: Any
    takes_more: bool

    @property
    def subject(self) -> str:
        """The subject that the path names; none is all of them."""
        return self.names[0] if self.names else ""

    @property
    def form(self) -> str:
        """The form in which schemas are asked for; none is their text."""
        return self.query.get("format", [""])[-1]

    def flag(self, name: str) -> bool:
        """Return whether a parameter of the query is true; Python's clients write True."""
        return self.query.get(name, [""])[-1].lower() == "true"

    def number(self, name: str, default: int) -> int:
        """Return a whole number of the query."""
        text = self.query.get(name, [""])[-1] or str(default)
        if not re.fullmatch(r"-?[0-9]{1,10}", text):
            raise plain(400, f"{name} is a whole number, and not {text[:40]!r}")
        return int(text)

    def page(self, found: Sequence[Any]) -> list[Any]:
        """Return the part of a list that `offset` and `limit` ask for."""
        offset, limit = max(0, self.number("offset", 0)), self.number("limit", -1)
        return list(found[offset:] if limit < 0 else found[offset : offset + limit])

    def said(self, name: str) -> Any:
        """Return what an object in the body says."""
        return self.body.get(name) if isinstance(self.body, dict) else None


def query_of(text: str) -> dict[str, list[str]]:
    """Return the parameters of a query. Raises `Refusal` (400) where there are too many."""
    try:
        return parse_qs(text, keep_blank_values=True, max_num_fields=100)
    except ValueError as problem:
        raise plain(400, f"the query cannot be read: {problem}") from None
