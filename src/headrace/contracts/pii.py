"""Which places of a contract's events hold personal data, and what a value is shown as there.

A field is tagged with `x-pii: true` (or a word for its kind, such as `email`), `pii` or BigQuery's `policyTags`, at any
depth. Everything below a tagged field is personal too. So is, in a contract that tags anything, whatever it does not
know: a field that it does not name, or a value that is not of the shape in which tagged fields would be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.contracts.refs import subschemas
from headrace.contracts.spoken import beside, members_of
from headrace.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MASK = "***"
"""What is shown instead of a personal value; null stays null."""

WORD = "x-pii"
WORDS = (WORD, "pii", "policyTags", "policy_tags")
_TWO_WAYS = {"true", "false", "yes", "no", "none", "null", "0", "1", ""}
_ELEMENTS = ("items", "prefixItems", "additionalItems", "unevaluatedItems", "contains")
_DYNAMIC = {"$dynamicRef", "$recursiveRef"}

Place = tuple["Mapping[str, Any]", ...]
"""The schemas that may have a say about one place; none: it is known, and nothing is said of it."""


def tag_of(part: Mapping[str, Any], *, at: str = "", where: str = "#") -> bool | str:
    """Return what a schema says of its values: not personal (false), personal, or of which kind.

    Raises:
        ContractError: it cannot be understood. Nobody may take a misspelt tag for one that works.
    """
    found: bool | str = False
    for word in WORDS:
        if word not in part:
            continue
        said = part[word]
        if isinstance(said, dict) and word.startswith("policy"):
            said = said.get("names")
        if isinstance(said, list) and word.startswith("policy") and all(isinstance(each, str) for each in said):
            said = bool(said)
        if not isinstance(said, bool) and (not isinstance(said, str) or said.strip().lower() in _TWO_WAYS):
            raise ContractError(
                f"{where}/{word}: {part[word]!r} is no tag", at=at, fix="write true, or a word such as email"
            )
        found = found or said
    return found


class Pii:
    """The personal places of the events of one contract. `schema` is its JSON Schema, whose tags were checked.

    `added` has a schema of each field that events get beside those.
    """

    def __init__(self, schema: Mapping[str, Any], added: Mapping[str, Any] | None = None) -> None:
        self._root = schema
        self._added = {"properties": dict(added or {})}
        self.any = any(tag_of(part) for each in (schema, self._added) for _, part in subschemas(each))
        self._below: dict[frozenset[int], bool] = {}

    def root(self) -> Place:
        """Return the place of a whole event."""
        return self._whole([self._root, self._added])

    def names(self) -> frozenset[str]:
        """Return the fields of events in which something is personal, as far as the contract names them."""
        root = self.root()
        known = {name for part in root for name in part.get("properties", {})}
        return frozenset(name for name in known if not self.is_clear(self.child(root, name) or ()))

    def child(self, place: Place, step: str | int) -> Place | None:
        """Return the place of a member or an element; None where the contract does not know it."""
        found: list[Any] = []
        for part in place:
            found += _elements(part, step) if isinstance(step, int) else members_of(part, step)
        return self._whole(found) if found else None  # `true` is known, and says nothing

    def is_personal(self, place: Place) -> bool:
        """Say whether all that is at a place is personal."""
        return any(tag_of(part) or part.keys() & _DYNAMIC for part in place)

    def is_clear(self, place: Place) -> bool:
        """Say whether nothing at a place or below it is personal."""
        key = frozenset(map(id, place))
        if key not in self._below:
            self._below[key] = not any(tag_of(part) or part.keys() & _DYNAMIC for part in self._reachable(place))
        return self._below[key]

    def masked(self, value: Any, place: Place | None) -> Any:
        """Return a value of a place with what is personal in it as `MASK`."""
        if value is None:
            return None
        if place is None or self.is_personal(place):
            return MASK
        if self.is_clear(place):
            return value
        if isinstance(value, dict):
            return {name: self.masked(each, self.child(place, name)) for name, each in value.items()}
        if isinstance(value, list):
            return [self.masked(each, self.child(place, index)) for index, each in enumerate(value)]
        return MASK  # where an object with personal members should be

    def rule(self, place: Place, word: str) -> Any:
        """Return what the first schema of a place that has a keyword says there; None where none does."""
        return next((part[word] for part in place if word in part), None)

    def _whole(self, parts: Sequence[Any]) -> Place:
        """Return the schemas with those that speak of the same value: of references, choices and conditions."""
        found: dict[int, Mapping[str, Any]] = {}
        waiting = [part for part in parts if isinstance(part, dict)]
        while waiting:
            part = waiting.pop()
            if id(part) in found:
                continue
            found[id(part)] = part
            waiting += [each.schema for each in beside(part, self._root) if isinstance(each.schema, dict)]
        return tuple(found.values())

    def _reachable(self, place: Place) -> Iterable[Mapping[str, Any]]:
        seen: set[int] = set()
        waiting = list(place)
        while waiting:
            part = waiting.pop()
            if id(part) in seen:
                continue
            seen.add(id(part))
            yield part
            for _, each in subschemas(part):
                if id(each) not in seen:
                    same = [other.schema for other in beside(each, self._root)]
                    waiting += [each, *(other for other in same if isinstance(other, dict))]


def _elements(part: Mapping[str, Any], index: int) -> list[Any]:  # noqa: ARG001 - any element may be any of them
    found: list[Any] = []
    for word in _ELEMENTS:
        said = part.get(word, ())
        found += said if isinstance(said, list) else [said]
    return [each for each in found if each != ()]
