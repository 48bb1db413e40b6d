"""One enum in two versions of a Protobuf schema: its values are numbers on the wire, and names in JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.contracts.compatibility.change import Change, Verdict
from headrace.contracts.formats.protobuf import Field

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.contracts.compatibility.protobuf_values import Values

GOOD, BAD, UNSURE = Verdict.COMPATIBLE, Verdict.BREAKING, Verdict.UNDECIDED


def enum_changes(before: Values, after: Values, name: str, *, wire_only: bool) -> Iterator[Change]:
    """Yield what changed in an enum; an example is a message that holds the value."""
    if name not in before.schema.enums or name not in after.schema.enums:
        # What becomes of the fields that have it, or had it, is told there.
        rule, what = ("enum-added", "new") if name in after.schema.enums else ("enum-removed", "gone")
        yield Change(f"#/{name}", rule, GOOD, GOOD, f"the enum {name} is {what}")
        return
    was, now = (each.numbers(Field("", 0, name)) for each in (before, after))
    closed = [each.schema.enums[name].closed for each in (before, after)]
    for number in sorted({*was, *now}):
        if number in was and number in now:
            if not {*was[number]} & {*now[number]}:
                yield _renamed(before, after, name, number, wire_only=wire_only)
        elif number in was:
            said = was[number][0]
            why = f"{said} = {number} is gone: a new reader "
            why += "drops it" if closed[1] else "keeps the number on the wire, and refuses the name in JSON"
            example = before.with_enum(after, name, said) if closed[1] else None
            verdict = BAD if example is not None else GOOD if wire_only and not closed[1] else UNSURE
            yield Change(f"#/{name}/{said}", "value-removed", verdict, GOOD, why, example, None, f"keep {said}")
        else:
            said = now[number][0]
            why = f"{said} = {number} is new" + (": an old reader drops it" if closed[0] else "")
            example = after.with_enum(before, name, said) if closed[0] else None
            verdict = BAD if example is not None else UNSURE if closed[0] else GOOD
            yield Change(f"#/{name}/{said}", "value-added", GOOD, verdict, why, None, example)


def _renamed(before: Values, after: Values, name: str, number: int, *, wire_only: bool) -> Change:
    was, now = (each.numbers(Field("", 0, name))[number][0] for each in (before, after))
    old, new = before.schema.enums[name].values, after.schema.enums[name].values
    is_moved = was in new or now in old
    examples = [before.with_enum(after, name, was), after.with_enum(before, name, now)] if is_moved else [None, None]
    verdicts = [BAD if example is not None else GOOD if wire_only and not is_moved else UNSURE for example in examples]
    why = f"{number} was {was} and is {now}: " + (
        "another value is read" if is_moved else "the same on the wire, another name in JSON"
    )
    fix = f"{was} = {number} as it was"
    return Change(f"#/{name}/{now}", "value-renamed", verdicts[0], verdicts[1], why, examples[0], examples[1], fix)
