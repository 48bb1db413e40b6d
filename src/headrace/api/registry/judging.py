"""A schema held against earlier versions: allowed or not, and why, each with a document that shows it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from headrace.api.registry import forms
from headrace.contracts.compatibility import Verdict
from headrace.contracts.compatibility.judgement import directions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from headrace.contracts.compatibility import Change, ContentModel

MOST = 20  # how many changes are told
MAX_EXAMPLE = 2000


class Judged(NamedTuple):
    """Whether a level allows a schema, and a line for each change that it does not."""

    allowed: bool
    messages: tuple[str, ...]


def judged(chain: Sequence[tuple[int, forms.Form]], new: forms.Form, level: str, model: ContentModel) -> Judged:
    """Judge a schema against versions, each with its number, under a level such as BACKWARD_TRANSITIVE.

    What cannot be decided is not allowed.
    """
    backward, forward, _ = directions(level.lower())
    messages: list[str] = []
    broken = 0
    for number, old in reversed(chain):
        if old.type != new.type:
            broken += 1
            messages.append(f"type: version {number} is of type {old.type}, and this of type {new.type}")
            continue
        breaking = [each for each in forms.compared(old, new, model) if each.breaks(backward=backward, forward=forward)]
        broken += len(breaking)
        for change in breaking:
            messages += _told(change, number, backward=backward, forward=forward)
    left = len(messages) - MOST
    shown = [*messages[:MOST], *([f"and {left} more"] if left > 0 else [])]
    return Judged(allowed=not broken, messages=(*shown, *([f"compatibility: {level}"] if broken else [])))


def _told(change: Change, number: int, *, backward: bool, forward: bool) -> Iterator[str]:
    sides = (
        (backward, change.backward, change.backward_example, f"written under version {number}, unreadable under this"),
        (forward, change.forward, change.forward_example, f"written under this, unreadable under version {number}"),
    )
    for is_asked, verdict, example, what in sides:
        if is_asked and verdict is not Verdict.COMPATIBLE:
            shown = f"{what}: {_text(example)}" if verdict is Verdict.BREAKING else "it cannot be decided"
            fix = f"; fix: {change.fix}" if change.fix else ""
            yield f"{change.rule} at {change.pointer}: {change.why}; {shown}{fix}"


def _text(example: object) -> str:
    text = json.dumps(example, ensure_ascii=False, default=str)
    return text if len(text) <= MAX_EXAMPLE else f"{text[:MAX_EXAMPLE]}…"
