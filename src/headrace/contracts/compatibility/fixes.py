"""The smallest thing to type that mends a change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.contracts.compatibility.change import Verdict
from headrace.contracts.compatibility.differences import ABSENT, ASPECTS, Difference, spelled
from headrace.contracts.compatibility.document import text

if TYPE_CHECKING:
    from headrace.contracts.compatibility.doubt import Doubt


def fix_of(difference: Difference | None, doubt: Doubt | None, backward: Verdict, forward: Verdict) -> str:
    """Return what to type so that neither direction breaks; nothing where none does."""
    if Verdict.COMPATIBLE is backward is forward:
        return ""
    if difference is None:
        where = doubt.part.at if doubt is not None else "#"
        return f"keep what {where} said before, or publish this as a new version"
    if difference.aspect == "required":
        return _required(difference)
    if difference.aspect == "member":
        return _member(difference)
    word = _keyword(difference)
    if difference.rule == "type-changed" and isinstance(difference.old, str) and isinstance(difference.new, str):
        both = text([difference.old, difference.new])
        return f'"type": {both} at {difference.at} lets old documents in; a field of another name suits all readers'
    if difference.aspect == "enum" and isinstance(difference.old, list) and isinstance(difference.new, list):
        kept = {text(each) for each in difference.new}
        missing = [value for value in difference.old if text(value) not in kept]
        if missing and len(text(missing)) < 60:
            return f"put {text(missing)[1:-1]} back into {difference.at}/enum"
    if difference.old is ABSENT:
        return f'remove "{word}" from {difference.at}'
    if len(text(difference.old)) <= 80:
        return f'"{word}": {text(difference.old)} again at {difference.at}'
    return f'"{word}" as it was at {difference.at}'


def _keyword(difference: Difference) -> str:
    """Return the keyword that differs, as schemas spell it: `exclusiveMinimum` of a minimum, `const` of an enum."""
    said = difference.rule.rpartition("-")[0], difference.aspect
    return next((word for word, aspect in ASPECTS.items() if (spelled(word), aspect) == said), difference.aspect)


def _required(difference: Difference) -> str:
    name = difference.detail
    if difference.rule == "required-added":
        return f'remove "{name}" from {difference.at}/required'
    return f'put "{name}" back into {difference.at}/required'


def _member(difference: Difference) -> str:
    value: Any = difference.new if difference.old is ABSENT else difference.old
    if difference.new is ABSENT:
        shown = text(value) if len(text(value)) <= 60 else "..."
        return f'declare "{difference.detail}": {shown} again at {difference.at.rpartition("/")[0]}'
    return f"a new version for readers that refuse it, or no {difference.at.rpartition('/')[0]}/{difference.detail} yet"
