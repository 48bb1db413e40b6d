"""The smallest thing to type that mends a change."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from headrace.contracts.compatibility.change import Verdict
from headrace.contracts.compatibility.differences import ABSENT, Difference
from headrace.contracts.compatibility.document import text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headrace.contracts.compatibility.document import Document
    from headrace.contracts.compatibility.doubt import Doubt


def fix_of(differences: Sequence[Difference], doubt: Doubt | None, backward: Verdict, forward: Verdict) -> str:
    """Return what to type so that neither direction breaks; nothing where none does."""
    if Verdict.COMPATIBLE is backward is forward:
        return ""
    if not differences:
        where = doubt.part.at if doubt is not None else "#"
        return f"keep what {where} said before, or publish this as a new version"
    return ", and ".join(_fix(difference) for difference in differences)


def mending(
    differences: Sequence[Difference], old: Document, new: Document, mends: Callable[[Any, Any], bool]
) -> tuple[Difference, ...]:
    """Return the fewest of some differences of one place and sort that mend when they are taken back.

    Those are `minimum` with `exclusiveMinimum`, say, or `enum` with `const`. `mends` says whether neither direction
    breaks between two schemas. None are returned where the old words mean nothing in the new draft.
    """
    if len(differences) < 2:
        return tuple(differences)
    was, now = (
        {word: document.schema[word] for word in ("$schema",) if word in document.schema} for document in (old, new)
    )
    for each in differences:
        was |= {} if each.old is ABSENT else {each.word: each.old}
    for count in range(1, len(differences) + 1):
        for chosen in itertools.combinations(differences, count):
            said = {each.word: each.old if each in chosen else each.new for each in differences}
            if mends(was, now | {word: value for word, value in said.items() if value is not ABSENT}):
                return chosen
    return ()


def _fix(difference: Difference) -> str:
    if difference.aspect == "required":
        return _required(difference)
    if difference.aspect == "member":
        return _member(difference)
    word = difference.word
    one = isinstance(difference.old, str) and isinstance(difference.new, str)
    if difference.rule == "type-changed" and one and "/oneOf/" not in difference.at:  # where more may be too much
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
