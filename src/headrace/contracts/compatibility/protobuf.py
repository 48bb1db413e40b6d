"""Two versions of a Protobuf text, compared as what is on the wire; what only its JSON form feels is undecided."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.contracts.compatibility.change import Change, Verdict
from headrace.contracts.formats.protobuf import Enum, Field, Message, Schema, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_VARINTS = {"bool": 1, "int32": 31, "uint32": 32, "enum": 31, "int64": 63, "uint64": 64}
"""Types that share a form on the wire, each with the bits of what it holds."""
_GROUPS = (
    frozenset(_VARINTS), frozenset({"sint32", "sint64"}), frozenset({"fixed32", "sfixed32"}),
    frozenset({"fixed64", "sfixed64"}), frozenset({"string", "bytes", "message"}), frozenset({"float"}),
    frozenset({"double"}),
)  # fmt: skip
_BEYOND = {"int32": 2**31, "uint32": 2**32, "enum": 2**31, "bool": 2, "int64": 2**63, "sint32": 2**31}
_DEEPEST = 8
GOOD, BAD, UNSURE = Verdict.COMPATIBLE, Verdict.BREAKING, Verdict.UNDECIDED


class Side(NamedTuple):
    """What a change does in one direction: the verdict, and the writer's value of the field where it breaks."""

    verdict: Verdict
    value: Any = None


OK = Side(GOOD)


def compare_protobuf(
    old: str, new: str, *, message: str | None = None, imports: Mapping[str, str] | None = None,
    old_imports: Mapping[str, str] | None = None,
) -> tuple[Change, ...]:  # fmt: skip
    """Return what changed between two .proto texts, as `compare` does; examples are messages in Protobuf's JSON form.

    `message` names the message whose changes count, with all that it holds; all of them unless given. `imports` has the
    texts of what they import, `old_imports` those of the old one where they differ. A pointer is `#/<message>/<field>`.
    Fields are told apart by their numbers, as on the wire.

    Raises:
        ContractError: one of them is no Protobuf text.
    """
    before, after = parse(old, imports=imports if old_imports is None else old_imports), parse(new, imports=imports)
    found: list[Change] = []
    for name in dict.fromkeys([*before.messages, *after.messages]):
        if message is not None and name not in _held(before, message) | _held(after, message):
            continue
        if name in before.messages and name in after.messages:
            found += _Messages(before, after, before.messages[name], after.messages[name]).changes()
        elif name in before.messages:
            why = f"the message {name} is gone: what is written as it has no reader"
            found.append(Change(f"#/{name}", "message-removed", UNSURE, UNSURE, why, fix=f"keep {name}"))
        else:
            found.append(Change(f"#/{name}", "message-added", GOOD, GOOD, f"the message {name} is new"))
    for name in dict.fromkeys([*before.enums, *after.enums]):
        if message is None or name in _held(before, message) | _held(after, message):
            found += _enum(name, before.enums.get(name), after.enums.get(name))
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
    """One message in both versions."""

    def __init__(self, before: Schema, after: Schema, old: Message, new: Message) -> None:
        self._schemas = before, after
        self._old, self._new = old, new

    def changes(self) -> Iterator[Change]:
        was, now = self._old.by_number, self._new.by_number
        for number in sorted({*was, *now}):
            if number not in now:
                yield self._removed(was[number])
            elif number not in was:
                yield self._added(now[number])
            else:
                yield from self._field(was[number], now[number])
        yield from self._oneofs()

    def _at(self, field: Field) -> str:
        return f"#/{self._new.name}/{field.name}"

    def _removed(self, field: Field) -> Change:
        forward = Side(BAD, None) if field.label == "required" else OK
        reserved = any(low <= field.number <= high for low, high in self._new.reserved)
        why = f"{field.name} = {field.number} is gone; readers pass over it on the wire"
        fix = "" if reserved else f"reserved {field.number}; so that nobody takes the number again"
        if forward.verdict is BAD:
            why, fix = f"{field.name} was required: an old reader refuses a message without it", f"keep {field.name}"
        elif not reserved:
            why += ", but its number is not reserved, and may come to mean something else"
        return self._change(field, "field-removed", OK, forward, why, fix, whole=True)

    def _added(self, field: Field) -> Change:
        reused = any(low <= field.number <= high for low, high in self._old.reserved)
        if reused:
            why = f"{field.name} takes the number {field.number}, which was reserved: old data may still hold it"
            return self._change(field, "reserved-number", Side(UNSURE), Side(UNSURE), why, "take a number of its own")
        backward = Side(BAD) if field.label == "required" else OK
        why = f"{field.name} = {field.number} is new" + ("; no old message has it" if backward.verdict is BAD else "")
        fix = f"make {field.name} optional" if backward.verdict is BAD else ""
        return self._change(field, "field-added", backward, OK, why, fix, whole=True)

    def _field(self, was: Field, now: Field) -> Iterator[Change]:
        if was.name != now.name or was.json_name != now.json_name:
            why = f"{was.name} is called {now.name}: the same on the wire, another name in JSON"
            fix = f'json_name = "{was.json_name or was.name}"'
            yield self._change(now, "field-renamed", Side(UNSURE), Side(UNSURE), why, fix)
        kinds = self._kind(was, 0), self._kind(now, 1)
        if (was.type, was.key) != (now.type, now.key) and not (kinds[0] == kinds[1] == "enum"):
            sides = self._read(was, now, 0), self._read(now, was, 1)
            why = f"{now.name} was {_spelt(was)} and is {_spelt(now)}"
            group = next(group for group in _GROUPS if kinds[0] in group)
            why += "" if kinds[1] in group else ": another form on the wire"
            why += ": not every value fits" if kinds[1] in group and any(side.verdict is BAD for side in sides) else ""
            fix = f"keep {_spelt(was)}, or take a new number" if any(side.verdict is not GOOD for side in sides) else ""
            yield self._change(now, "type-changed", sides[0], sides[1], why, fix)
        if (was.label == "repeated") != (now.label == "repeated") and not was.key and not now.key:
            several = [self._value(was if was.label == "repeated" else now, 0 if was.label == "repeated" else 1)] * 2
            backward = Side(BAD, several) if was.label == "repeated" else OK
            forward = Side(BAD, several) if now.label == "repeated" else OK
            why = (
                f"{now.name} was {was.label or 'single'} and is {now.label or 'single'}: of several values one is read"
            )
            yield self._change(now, "label-changed", backward, forward, why, f"keep it {was.label or 'single'}")
        if (was.label == "required") != (now.label == "required"):
            backward = Side(BAD) if now.label == "required" else OK
            forward = Side(BAD) if was.label == "required" else OK
            why = f"{now.name} was {was.label or 'optional'} and is {now.label or 'optional'}"
            yield self._change(
                now, "required-changed", backward, forward, why, f"keep it {was.label or 'optional'}", whole=True
            )

    def _oneofs(self) -> Iterator[Change]:
        was = {each.number: each.oneof for each in self._old.fields}
        for name in self._new.oneofs:
            moved = [each for each in self._new.fields if each.oneof == name and was.get(each.number, name) != name]
            if len(moved) > 1 or (moved and name in self._old.oneofs):
                every = [each for each in self._new.fields if each.oneof == name and each.number in was]
                example = {each.json_name or each.name: self._value(each, 1) for each in every[:2]}
                names = ", ".join(each.name for each in moved)
                why = f"{names} moved into the oneof {name}: of several that are set one is read"
                yield Change(
                    f"#/{self._new.name}/{name}", "oneof-changed", BAD, GOOD, why, example, None, f"keep {names} out"
                )

    def _kind(self, field: Field, side: int) -> str:
        if field.key or field.type in self._schemas[side].messages:
            return "message"
        if field.type in self._schemas[side].enums:
            return "enum"
        known = {kind for group in _GROUPS for kind in group}
        return field.type if field.type in known else "message"

    def _read(self, writer: Field, reader: Field, side: int) -> Side:
        """Return what becomes of a writer's values under another type of the same number."""
        kind, wanted = self._kind(writer, side), self._kind(reader, 1 - side)
        group = next((group for group in _GROUPS if kind in group), frozenset[str]())
        if wanted not in group or "message" in {kind, wanted}:
            if kind == wanted == "message":
                return Side(UNSURE)
            return OK if (kind, wanted) == ("message", "bytes") else Side(BAD, self._value(writer, side))
        if kind == "bytes":
            return Side(BAD, "/w==")  # no UTF-8
        if kind in _VARINTS and wanted in _VARINTS:
            signed = kind in {"int32", "int64"} and wanted in {"uint32", "uint64", "bool"}
            fits = _VARINTS[kind] <= _VARINTS[wanted] and not signed
            return OK if fits else Side(BAD, -1 if signed else _BEYOND[wanted])
        if kind == "sint64":
            return Side(BAD, _BEYOND["sint32"])
        if kind in {"fixed32", "fixed64", "sfixed32", "sfixed64"}:
            return Side(BAD, -1 if kind.startswith("s") else 2 ** (int(kind[-2:]) - 1))
        return OK

    def _value(self, field: Field, side: int, depth: int = 0) -> Any:
        kind = self._kind(field, side)
        if kind == "message":
            if field.key or depth > _DEEPEST:
                return {}
            message = self._schemas[side].messages.get(field.type)
            asked = [each for each in message.fields if each.label == "required"] if message else []
            return {each.json_name or each.name: self._value(each, side, depth + 1) for each in asked}
        if kind == "enum":
            return next(iter(self._schemas[side].enums[field.type].values), 0)
        return {"string": "a", "bytes": "YQ==", "bool": True, "float": 1.5, "double": 1.5}.get(kind, 1)

    def _change(
        self, field: Field, rule: str, backward: Side, forward: Side, why: str, fix: str, *, whole: bool = False
    ) -> Change:
        examples = [
            None if side.verdict is not BAD else self._example(field, side.value, at, leave_out=whole)
            for at, side in enumerate((backward, forward))
        ]
        return Change(self._at(field), rule, backward.verdict, forward.verdict, why, examples[0], examples[1], fix)

    def _example(self, field: Field, value: Any, side: int, *, leave_out: bool) -> dict[str, Any]:
        message = (self._old, self._new)[side]
        found = {}
        for each in message.fields:
            if each.number == field.number and not leave_out:
                found[each.json_name or each.name] = value
            elif each.label == "required" and each.number != field.number:
                found[each.json_name or each.name] = self._value(each, side)
        return found


def _spelt(field: Field) -> str:
    return f"map<{field.key}, {field.type}>" if field.key else field.type


def _enum(name: str, old: Enum | None, new: Enum | None) -> Iterator[Change]:
    if old is None or new is None:
        verdict = UNSURE if new is None else GOOD
        rule, what = ("enum-removed", "gone") if new is None else ("enum-added", "new")
        yield Change(
            f"#/{name}", rule, verdict, verdict, f"the enum {name} is {what}", fix="" if new else f"keep {name}"
        )
        return
    was, now = ({number: each for each, number in reversed(list(enum.values.items()))} for enum in (old, new))
    for number in sorted({*was, *now}):
        if number in was and number in now:
            if was[number] != now[number]:
                moved = was[number] in new.values
                verdict = BAD if moved else UNSURE
                why = f"{number} was {was[number]} and is {now[number]}" + (
                    ": another value is read" if moved else ": the same on the wire, another name in JSON"
                )
                fix = f"{was[number]} = {number} as it was"
                yield Change(
                    f"#/{name}/{now[number]}", "value-renamed", verdict, verdict, why,
                    was[number] if moved else None, now[number] if moved else None, fix,
                )  # fmt: skip
        elif number in was:
            verdict = BAD if new.closed else UNSURE
            why = f"{was[number]} = {number} is gone: a new reader " + (
                "drops it" if new.closed else "keeps the number on the wire, and refuses the name in JSON"
            )
            example = was[number] if new.closed else None
            yield Change(
                f"#/{name}/{was[number]}", "value-removed", verdict, GOOD, why, example, None, f"keep {was[number]}"
            )
        else:
            verdict = BAD if old.closed else GOOD
            why = f"{now[number]} = {number} is new" + (": an old reader drops it" if old.closed else "")
            example = now[number] if old.closed else None
            yield Change(f"#/{name}/{now[number]}", "value-added", GOOD, verdict, why, None, example)
