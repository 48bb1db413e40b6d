"""Two versions of a Protobuf text, compared as what is on the wire; names, which its JSON form has, are undecided."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from headrace.contracts.compatibility.change import Change, Verdict
from headrace.contracts.compatibility.protobuf_enums import enum_changes
from headrace.contracts.compatibility.protobuf_reading import OK, Side, default_of, read_as, share_a_form
from headrace.contracts.compatibility.protobuf_values import Values
from headrace.contracts.formats.protobuf import Field, Message, Schema, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

GOOD, BAD, UNSURE = Verdict.COMPATIBLE, Verdict.BREAKING, Verdict.UNDECIDED


def compare_protobuf(
    old: str, new: str, *, message: str | None = None, imports: Mapping[str, str] | None = None,
    old_imports: Mapping[str, str] | None = None, wire_only: bool = False,
) -> tuple[Change, ...]:  # fmt: skip
    """Return what changed between two .proto texts, as `compare` does; examples are messages in Protobuf's JSON form.

    `message` names the message whose changes count, with all that it holds; all of them unless given. `imports` has the
    texts of what they import, `old_imports` those of the old one where they differ. A pointer is `#/<message>/<field>`.
    Fields are told apart by their numbers, as on the wire. Writers write the values of enums that they declare.
    `wire_only`: nobody reads the JSON form, so that a name that changes is compatible.

    Raises:
        ContractError: one of them is no Protobuf text.
    """
    before, after = parse(old, imports=imports if old_imports is None else old_imports), parse(new, imports=imports)
    sides = Values(before), Values(after)
    counted = None if message is None else _held(before, message) | _held(after, message)
    found: list[Change] = []
    for name in dict.fromkeys([*before.messages, *after.messages]):
        if counted is not None and name not in counted:
            continue
        if name in before.messages and name in after.messages:
            both = before.messages[name], after.messages[name]
            found += _Messages(sides, both, wire_only=wire_only).changes()
        elif name in before.messages:
            why = f"the message {name} is gone: what is written as it has no reader"
            found.append(Change(f"#/{name}", "message-removed", UNSURE, UNSURE, why, fix=f"keep {name}"))
        else:
            found.append(Change(f"#/{name}", "message-added", GOOD, GOOD, f"the message {name} is new"))
    for name in dict.fromkeys([*before.enums, *after.enums]):
        if counted is None or name in counted:
            found += enum_changes(*sides, name, wire_only=wire_only)
    return tuple(sorted(found, key=lambda change: (change.pointer, change.rule)))


def _held(schema: Schema, message: str) -> set[str]:
    held, waiting = set[str](), [message]
    while waiting:
        name = waiting.pop()
        if name in held:
            continue
        held.add(name)
        if name in schema.messages:
            waiting += [each.type for each in schema.messages[name].fields]
    return held


class _Messages:
    """One message in both versions: index 0 is the old one, which backward writes, and 1 the new one."""

    def __init__(self, sides: tuple[Values, Values], both: tuple[Message, Message], *, wire_only: bool) -> None:
        self._sides = sides
        self._both = both
        self._fields = both[0].by_number, both[1].by_number
        self._names = GOOD if wire_only else UNSURE

    def changes(self) -> Iterator[Change]:
        was, now = self._fields
        for number in sorted({*was, *now}):
            if number not in now:
                yield self._removed(was[number])
            elif number not in was:
                yield self._added(now[number])
            else:
                yield from self._field(was[number], now[number])
        yield from self._oneofs()

    def _removed(self, field: Field) -> Change:
        forward = Side(BAD) if field.label == "required" else OK
        reserved = any(low <= field.number <= high for low, high in self._both[1].reserved)
        why = f"{field.name} = {field.number} is gone; readers pass over it on the wire"
        fix = "" if reserved else f"reserved {field.number}; so that nobody takes the number again"
        backward = OK
        if forward.verdict is BAD:
            why, fix = f"{field.name} was required: an old reader refuses a message without it", f"keep {field.name}"
        elif self._is_lost(field, 0):
            backward, fix = Side(UNSURE), f"keep {field.name}"
            why = f"{field.name} is gone from the oneof {field.oneof}: where it was set, a new reader finds none set"
        elif not reserved:
            why += ", but its number is not reserved, and may come to mean something else"
        return self._change(field, "field-removed", backward, forward, why, fix, is_left_out=True)

    def _added(self, field: Field) -> Change:
        if any(low <= field.number <= high for low, high in self._both[0].reserved):
            why = f"{field.name} takes the number {field.number}, which was reserved: old data may still hold it"
            return self._change(field, "reserved-number", Side(UNSURE), Side(UNSURE), why, "take a number of its own")
        backward = Side(BAD) if field.label == "required" else OK
        forward = Side(UNSURE) if self._is_lost(field, 1) else OK
        why = f"{field.name} = {field.number} is new" + ("; no old message has it" if backward.verdict is BAD else "")
        why += f": where it is set, an old reader finds none of the oneof {field.oneof} set" if forward != OK else ""
        fix = f"make {field.name} optional" if backward.verdict is BAD else ""
        return self._change(field, "field-added", backward, forward, why, fix, is_left_out=True)

    def _is_lost(self, field: Field, writer: int) -> bool:
        """Whether a field that the reader lacks is one of a oneof that it has: it takes nothing for all there is."""
        others = (each for each in self._both[writer].fields if field.oneof and each.oneof == field.oneof)
        known = self._fields[1 - writer]
        return any(each.number in known and known[each.number].oneof for each in others)

    def _field(self, was: Field, now: Field) -> Iterator[Change]:
        if was.name != now.name or was.json_name != now.json_name:
            why = f"{was.name} is called {now.name}: the same on the wire, another name in JSON"
            verdict = Side(self._names)
            yield self._change(now, "field-renamed", verdict, verdict, why, f'json_name = "{was.json_name}"')
        before, after = self._sides
        sides = read_as(before, was, after, now), read_as(after, now, before, was)
        kinds = before.kind(was), after.kind(now)
        if (was.type, was.key, was.delimited, kinds[0]) != (now.type, now.key, now.delimited, kinds[1]):
            why = f"{now.name} was {_spelt(was)} and is {_spelt(now)}"
            why += "" if share_a_form(*kinds) and was.delimited == now.delimited else ": another form on the wire"
            why += _lost(self._sides, was, now) if share_a_form(*kinds) else ""
            fix = f"keep {_spelt(was)}, or take a new number" if any(side.verdict is not GOOD for side in sides) else ""
            yield self._change(now, "type-changed", *sides, why, fix)
        elif (was.label == "repeated") != (now.label == "repeated"):
            why = (
                f"{now.name} was {was.label or 'single'} and is {now.label or 'single'}: of several values one is read"
            )
            yield self._change(now, "label-changed", *sides, why, f"keep it {was.label or 'single'}")
        if (was.label == "required") != (now.label == "required"):
            backward = Side(BAD) if now.label == "required" else OK
            forward = Side(BAD) if was.label == "required" else OK
            why = f"{now.name} was {was.label or 'optional'} and is {now.label or 'optional'}"
            fix = f"keep it {was.label or 'optional'}"
            yield self._change(now, "required-changed", backward, forward, why, fix, is_left_out=True)
        yield from self._default(was, now)

    def _default(self, was: Field, now: Field) -> Iterator[Change]:
        defaults = default_of(self._sides[0], was), default_of(self._sides[1], now)
        kinds = self._sides[0].kind(was), self._sides[1].kind(now)
        if None in defaults or defaults[0] == defaults[1] or not share_a_form(*kinds):
            return
        if "required" not in {was.label, now.label}:
            # A zero of a field without presence is not written: its reader takes another value for it.
            backward, forward = (Side(UNSURE if each.presence else BAD) for each in (was, now))
            why = f"where it is absent, {now.name} was {defaults[0]!r} and is {defaults[1]!r}"
            yield self._change(now, "default-changed", backward, forward, why, "keep the default", is_left_out=True)

    def _oneofs(self) -> Iterator[Change]:
        for name in dict.fromkeys([*self._both[1].oneofs, *self._both[0].oneofs]):
            found = [self._clash(name, writer) for writer in (0, 1)]
            if any(found):
                examples = [
                    self._sides[writer].message(
                        self._both[writer], {each.number: self._sides[writer].usual(each) for each in clash}
                    ) if clash else None
                    for writer, clash in enumerate(found)
                ]  # fmt: skip
                names = ", ".join(dict.fromkeys(each.name for clash in found for each in clash))
                where, fix = ("within", "out of") if found[0] else ("no longer in", "in")
                why = f"{names} are {where} one oneof ({name}): of several that are set a reader of it sees one"
                verdicts = [BAD if clash else GOOD for clash in found]
                yield Change(
                    f"#/{self._both[1].name}/{name}", "oneof-changed", verdicts[0], verdicts[1], why, examples[0],
                    examples[1], f"keep {names} {fix} {name}",
                )  # fmt: skip

    def _clash(self, name: str, writer: int) -> tuple[Field, ...]:
        """Return two fields of one oneof of a reader, both of which a writer can set; none where there are no such."""
        there = self._fields[writer]
        read = (each.number for each in self._both[1 - writer].fields if each.oneof == name)
        own = [there[each] for each in read if each in there and self._sides[writer].is_ever_written(there[each])]
        both = (other for other in own[1:] if not own[0].oneof or other.oneof != own[0].oneof)
        return next(((own[0], other) for other in both), ())

    def _change(
        self, field: Field, rule: str, backward: Side, forward: Side, why: str, fix: str, *, is_left_out: bool = False
    ) -> Change:
        examples: list[Any] = []
        for writer, side in enumerate((backward, forward)):
            holding = {} if is_left_out else {field.number: side.value}
            is_shown = side.verdict is BAD
            examples.append(
                self._sides[writer].message(self._both[writer], holding, {field.number}) if is_shown else None
            )
        pointer = f"#/{self._both[1].name}/{field.name}"
        return Change(pointer, rule, backward.verdict, forward.verdict, why, examples[0], examples[1], fix)


def _lost(sides: tuple[Values, Values], was: Field, now: Field) -> str:
    """Return what is lost of a field's values where its type and, it may be, its label change."""
    before, after = sides
    alone = (
        read_as(before, was, after, replace(now, label=was.label)),
        read_as(after, now, before, replace(was, label=now.label)),
    )
    why = ["not every value fits"] if BAD in {each.verdict for each in alone} else []
    if (was.label == "repeated") != (now.label == "repeated") and not (was.key or now.key):
        why.append("of several values one is read")
    return f": {', and '.join(why)}" if why else ""


def _spelt(field: Field) -> str:
    kind = f"map<{field.key}, {field.type}>" if field.key else field.type
    return f"repeated {kind}" if field.label == "repeated" else kind
