"""What is written differently in two versions, keyword by keyword; annotations that bind nobody are passed over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace.contracts.compatibility.document import alike, text
from headrace.contracts.compatibility.gather import is_number, types_of
from headrace.contracts.refs import escaped

if TYPE_CHECKING:
    from collections.abc import Iterator

ABSENT = object()
"""What stands for a keyword that is not there."""

_ANNOTATIONS = frozenset(
    {
        "title", "description", "default", "examples", "example", "$comment", "$schema", "$id", "id", "$anchor",
        "$dynamicAnchor", "$vocabulary", "readOnly", "writeOnly", "deprecated", "version", "self",
    }
)  # fmt: skip
_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_ONE = ("additionalProperties", "items", "additionalItems", "contains", "propertyNames", "not", "if", "then", "else",
        "unevaluatedProperties", "unevaluatedItems")  # fmt: skip
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
ASPECTS = {"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum", "$defs": "definitions", "const": "enum"}
"""Keywords that say the same sort of thing as another."""

_RISING = ("minimum", "minLength", "minItems", "minProperties", "maximum", "maxLength", "maxItems", "maxProperties")


@dataclass(frozen=True)
class Difference:
    """One keyword, property or required name that differs; `at` is where, `old` or `new` is ABSENT where it is not."""

    at: str
    word: str
    rule: str
    old: Any
    new: Any
    detail: str | None = None

    @property
    def aspect(self) -> str:
        """What sort of thing the keyword says: that of `exclusiveMinimum` is a minimum's."""
        return ASPECTS.get(self.word, self.word)


def differences(old: Any, new: Any, at: str = "#") -> Iterator[Difference]:
    """Yield what differs between two schemas, in the order of the keywords."""
    if old == new and alike(old, new):
        return
    if not isinstance(old, dict) or not isinstance(new, dict):
        yield Difference(at, "schema", "schema-changed", old, new)
        return
    for word in dict.fromkeys([*old, *new]):
        was, now = old.get(word, ABSENT), new.get(word, ABSENT)
        if word in _ANNOTATIONS or (was == now and was is not ABSENT and alike(was, now)):
            continue
        yield from _keyword(word, was, now, at)


def _keyword(word: str, was: Any, now: Any, at: str) -> Iterator[Difference]:
    if word in _MAPS and _are(was, now, dict):
        yield from _members(word, {} if was is ABSENT else was, {} if now is ABSENT else now, at)
    elif word == "required" and _are(was, now, list):
        before, after = (dict.fromkeys([] if each is ABSENT else each) for each in (was, now))
        for name in [each for each in before if each not in after]:
            yield Difference(at, "required", "required-removed", was, now, name)
        for name in [each for each in after if each not in before]:
            yield Difference(at, "required", "required-added", was, now, name)
    elif word in _LISTS and isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for index, (one, other) in enumerate(zip(was, now, strict=True)):
            yield from differences(one, other, f"{at}/{word}/{index}")
    elif word in _ONE and isinstance(was, dict) and isinstance(now, dict):
        yield from differences(was, now, f"{at}/{word}")
    else:
        yield Difference(at, word, rule(word, was, now), was, now)


def _members(word: str, was: dict[str, Any], now: dict[str, Any], at: str) -> Iterator[Difference]:
    kind = {"properties": "property", "patternProperties": "pattern-property", "dependentSchemas": "dependent-schema"}
    for name in dict.fromkeys([*was, *now]):
        here = f"{at}/{word}/{escaped(str(name))}"
        if name in was and name in now:
            yield from differences(was[name], now[name], here)
        elif word in kind:
            verb = "added" if name in now else "removed"
            yield Difference(here, "member", f"{kind[word]}-{verb}", was.get(name, ABSENT), now.get(name, ABSENT), name)


def rule(word: str, was: Any, now: Any) -> str:
    """Return the name of a rule: the keyword in small letters, and what became of it."""
    name = spelled(word)
    if was is ABSENT or now is ABSENT:
        return f"{name}-added" if was is ABSENT else f"{name}-removed"
    if word in _RISING and is_number(was) and is_number(now):
        return f"{name}-{'raised' if now > was else 'lowered'}"
    if word == "type":
        return _types(was, now)
    if word == "enum" and isinstance(was, list) and isinstance(now, list):
        before, after = ({text(value) for value in each} for each in (was, now))
        return "enum-extended" if before < after else "enum-narrowed" if after < before else "enum-changed"
    return f"{name}-changed"


def spelled(word: str) -> str:
    """Return a keyword as rules spell it: `minLength` as `min-length`."""
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in word).replace("$", "")


def _types(was: Any, now: Any) -> str:
    old, new = types_of({"type": was}), types_of({"type": now})
    if old is None or new is None:
        return "type-changed"
    wider = old[0] <= new[0] and (old[1] or not new[1] or "number" not in old[0])
    narrower = new[0] <= old[0] and (new[1] or not old[1] or "number" not in new[0])
    return "type-widened" if wider else "type-narrowed" if narrower else "type-changed"


def _are(was: Any, now: Any, kind: type) -> bool:
    return all(each is ABSENT or isinstance(each, kind) for each in (was, now))
