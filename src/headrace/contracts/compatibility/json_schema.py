"""Two versions of a JSON Schema (draft 4 to 2020-12, or our `fields` form), compared."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.contracts.compatibility import strings
from headrace.contracts.compatibility.budget import EACH_VALUE, EXAMPLES, MOST_VALUES, PROOF
from headrace.contracts.compatibility.change import OPEN, Change, ContentModel, Verdict
from headrace.contracts.compatibility.counterexample import Refuter, without_forbidding
from headrace.contracts.compatibility.differences import ABSENT, ASPECTS, Difference, differences, spelled
from headrace.contracts.compatibility.document import Document, Sameness, document_of, text
from headrace.contracts.compatibility.doubt import Doubt
from headrace.contracts.compatibility.facts import Alternatives, Facts
from headrace.contracts.compatibility.fixes import fix_of, mending
from headrace.contracts.compatibility.inclusion import Inclusion
from headrace.contracts.compatibility.sampling import NONE
from headrace.contracts.load import Validators
from headrace.contracts.refs import unescaped
from headrace.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


_MOST_LOOKED_AT = 200


class Finding(NamedTuple):
    """A doubt of one direction, and the document that bears it out; NONE where none was found."""

    doubt: Doubt
    example: Any


def compare(
    old: Mapping[str, Any] | bool, new: Mapping[str, Any] | bool, *, model: ContentModel = OPEN,
    validators: Validators | None = None,
) -> tuple[Change, ...]:  # fmt: skip
    """Return what changed between two versions of a schema, with a verdict for each direction.

    A pure function of the two: the same schemas give the same changes. Empty where no document tells them apart and
    nothing that binds is written differently. `breaking` is never a guess: its example was validated under both. What
    cannot be decided is `undecided`. `validators` has those that the schemas of loaded contracts were compiled into.

    Raises:
        ContractError: a version is no valid schema, or refers to something outside of it.
    """
    try:
        return _compared(old, new, model, validators or Validators())
    finally:
        strings.forget()


def _compared(
    old: Mapping[str, Any] | bool, new: Mapping[str, Any] | bool, model: ContentModel, validators: Validators
) -> tuple[Change, ...]:
    before, after = document_of(old), document_of(new)
    _check(before, old, validators)
    _check(after, new, validators)
    known = Alternatives(), Sameness()
    backward = _findings(before, after, model, *known)
    forward = _findings(after, before, model, *known)
    found = list(differences(before.schema, after.schema))
    by_place: dict[tuple[str, str, str | None], Difference] = {
        (each.at, each.aspect, each.detail): each for each in found
    }
    told: dict[tuple[str, str, str | None], tuple[list[Finding], list[Finding]]] = {}
    for each in found:
        told[_id(each)] = ([], [])
    causes: dict[tuple[str, str, str | None], list[Difference]] = {}
    for each in found:
        causes.setdefault(_id(each), []).append(each)
    for side, findings in ((0, backward), (1, forward)):
        for finding in findings:
            difference = _difference(finding.doubt, by_place)
            place = _id(difference) if difference is not None else _place(finding.doubt)
            told.setdefault(place, ([], []))[side].append(finding)
    changes = [_change(causes.get(place, ()), both, before, after) for place, both in told.items()]
    if not found and before.draft != after.draft:
        changes = _of_the_draft(changes, before)
    changes += _columns(before, after, changes)
    return tuple(sorted(changes, key=lambda change: (change.pointer, change.rule)))


def _id(difference: Difference) -> tuple[str, str, str | None]:
    return difference.at, difference.aspect, difference.detail


def _place(doubt: Doubt) -> tuple[str, str, str | None]:
    return doubt.part.at, ASPECTS.get(doubt.aspect, doubt.aspect), doubt.detail if doubt.aspect == "required" else None


def _check(document: Document, written: Mapping[str, Any] | bool, validators: Validators) -> None:
    from headrace.contracts.refs import schemas_in, target

    if isinstance(document.schema, bool) or isinstance(written, bool):
        return
    said = (part.get("$ref") for part in schemas_in(document.schema))
    for reference in dict.fromkeys(each for each in said if isinstance(each, str)):
        target(reference, document.schema)
    document.validator = validators.of(written if written == document.schema else document.schema)


def _findings(
    writer: Document, reader: Document, model: ContentModel, alternatives: Alternatives, same: Sameness
) -> list[Finding]:
    closed = writer if model.closed_writers else None
    reader = document_of(without_forbidding(reader.schema)) if model.open_readers else reader
    reader.budget = writer.budget
    values = EACH_VALUE * min(writer.listed() + reader.listed(), MOST_VALUES)
    writer.budget.renew(PROOF + values)
    inclusion = Inclusion(writer.budget, closed=closed, alternatives=alternatives, same=same)
    doubts = inclusion.doubts((writer.root(),), (reader.root(),))
    if not same.parts(writer.root(), reader.root()) and (writer.tangled() or reader.tangled()):
        why = "a schema refers to itself for the same value, and what that means nobody says"
        doubts = [*doubts, Doubt(reader.root(), "$ref", why, Facts((writer.root(),)), None)]
    writer.budget.renew(EXAMPLES + values)
    refuter = Refuter(inclusion, writer, reader)
    return [Finding(doubt, refuter.example(doubt)) for doubt in doubts]


def _difference(doubt: Doubt, by_place: Mapping[tuple[str, str, str | None], Difference]) -> Difference | None:
    """Return what is written differently where a doubt is, or the property around it that is new or gone."""
    at, aspect = doubt.part.at, ASPECTS.get(doubt.aspect, doubt.aspect)
    for detail in (doubt.detail, None):
        if (at, aspect, detail) in by_place:
            return by_place[at, aspect, detail]
    if aspect == "enum" and (at, "type", None) in by_place:
        return by_place[at, "type", None]
    only = _only_below(at, by_place)
    if only is not None:
        return only
    place = at
    while place != "#":
        name = unescaped(place.rpartition("/")[2])
        for key in ((place, "member", name), (place.rpartition("/")[0], place.rpartition("/")[2], None)):
            if key in by_place:
                return by_place[key]
        if (place, "schema", None) in by_place:
            return by_place[place, "schema", None]
        place = place.rpartition("/")[0]
    return by_place.get(("#", "schema", None))


def _only_below(at: str, by_place: Mapping[tuple[str, str, str | None], Difference]) -> Difference | None:
    """Return what is written differently at a place or below it, where that is but one thing: it is the cause."""
    if len(by_place) > _MOST_LOOKED_AT:
        return None
    found = [
        each
        for (place, aspect, _), each in by_place.items()
        if (place == at or place.startswith(f"{at}/")) and not aspect.startswith("x-")
    ]
    return found[0] if len(found) == 1 else None


def _change(
    causes: Sequence[Difference], both: tuple[list[Finding], list[Finding]], before: Document, after: Document
) -> Change:
    (backward, backward_example), (forward, forward_example) = (_verdict(findings) for findings in both)
    first = next((finding.doubt for findings in both for finding in findings), None)
    mends = mending(causes, before, after, _tells_nobody) if any(both) else causes
    if causes:
        cause = (mends or causes)[0]
        pointer, rule = cause.at, cause.rule
        if cause.aspect == "required":
            pointer = f"{pointer}/required"
    elif first is not None:
        pointer, rule = first.part.at, f"{spelled(first.aspect)}-differs"
    return Change(
        pointer,
        rule,
        backward,
        forward,
        _why(causes, both, (backward, forward)),
        backward_example,
        forward_example,
        fix_of(mends, first, backward, forward),
    )


def _of_the_draft(changes: list[Change], before: Document) -> list[Change]:
    """Return changes with what mends them where nothing but the draft is another: the same words mean less or more."""
    was = before.schema.get("$schema")
    fix = 'remove "$schema" from #' if was is None else f'"$schema": {text(was)} again at #'
    return [replace(change, fix=fix) if change.fix else change for change in changes]


def _tells_nobody(old: Any, new: Any) -> bool:
    """Whether neither direction breaks between two small schemas, both of them valid."""
    try:
        return not any(change.breaks(backward=True, forward=True) for change in compare(old, new))
    except ContractError:
        return False


def _verdict(findings: Sequence[Finding]) -> tuple[Verdict, Any]:
    if not findings:
        return Verdict.COMPATIBLE, None
    examples = [finding.example for finding in findings if finding.example is not NONE]
    if not examples:
        return Verdict.UNDECIDED, None
    if len(examples) == 1:
        return Verdict.BREAKING, examples[0]
    return Verdict.BREAKING, min(examples, key=lambda example: (len(written := text(example)), written))


_EVENTS = (("old events", 0), ("new events", 1))


def _why(
    causes: Sequence[Difference], both: tuple[list[Finding], list[Finding]], verdicts: tuple[Verdict, Verdict]
) -> str:
    said = [_said(difference) for difference in causes]
    for (lead, side), verdict in zip(_EVENTS, verdicts, strict=True):
        reasons = list(dict.fromkeys(finding.doubt.why for finding in both[side]))
        if reasons:
            more = f" (and {len(reasons) - 2} more)" if len(reasons) > 2 else ""
            lost = "" if verdict is Verdict.BREAKING else "; no document was found that shows it, so it is undecided"
            said.append(f"{lead}: {', '.join(reasons[:2])}{more}{lost}")
    if not any(both):
        said.append("no document tells the two apart for a reader")
    return "; ".join(said)


def _said(difference: Difference) -> str:
    if difference.aspect == "member":
        return f"{difference.detail!r} is {'no longer declared' if difference.new is ABSENT else 'declared'}"
    if difference.aspect == "required":
        return f"{difference.detail!r} is {'now' if difference.rule.endswith('added') else 'no longer'} required"
    was, now = (_short(each) for each in (difference.old, difference.new))
    return f"{difference.word} was {was} and is {now}"


def _short(value: Any) -> str:
    found = "not there" if value is ABSENT else text(value)
    return found if len(found) <= 60 else found[:57] + "..."


def _columns(before: Document, after: Document, told: Sequence[Change]) -> list[Change]:
    """Return the columns of silver whose type changes though no document shows it: decimals and `x-type`."""
    from headrace.contracts.compatibility.columns import column_changes

    return column_changes(before.schema, after.schema, told)
