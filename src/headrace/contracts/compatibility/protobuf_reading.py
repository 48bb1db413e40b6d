"""What becomes of the values of a Protobuf field when they are read as another type, by the rules of the wire."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.contracts.compatibility.change import Verdict
from headrace.contracts.formats.protobuf import Field

if TYPE_CHECKING:
    from collections.abc import Container

    from headrace.contracts.compatibility.protobuf_values import Values

_RANGES = {
    "bool": range(2), "enum": range(-(2**31), 2**31),
    **dict.fromkeys(("int32", "sint32", "sfixed32"), range(-(2**31), 2**31)),
    **dict.fromkeys(("int64", "sint64", "sfixed64"), range(-(2**63), 2**63)),
    **dict.fromkeys(("uint32", "fixed32"), range(2**32)), **dict.fromkeys(("uint64", "fixed64"), range(2**64)),
}  # fmt: skip
_FORMS = (
    {"bool", "int32", "uint32", "enum", "int64", "uint64"}, {"sint32", "sint64"}, {"fixed32", "sfixed32"},
    {"fixed64", "sfixed64"}, {"string", "bytes", "message", "map"}, {"float"}, {"double"},
)  # fmt: skip
"""Types that share a form on the wire: what is written as one of them may be read as another."""
_TELLING = (-1, 2, 2**31, 2**32, 2**63)
"""Where ranges begin and end: if all that a type can say of these, another can too, it can say all else."""
_NO_TEXT = "/w=="  # bytes that are no UTF-8


class Side(NamedTuple):
    """What a change does in one direction: the verdict, and what the writer's field holds where it breaks."""

    verdict: Verdict
    value: Any = None


OK = Side(Verdict.COMPATIBLE)
UNSURE = Side(Verdict.UNDECIDED)


def share_a_form(kind: str, other: str) -> bool:
    """Say whether two kinds have the same form on the wire."""
    return any({kind, other} <= form for form in _FORMS)


def read_as(writer: Values, field: Field, reader: Values, wanted: Field) -> Side:
    """Return what a reader's field makes of what a writer's holds, where both have one number."""
    kind, other = writer.kind(field), reader.kind(wanted)
    if not writer.is_ever_written(field) and other != "enum":
        return OK
    if kind == other == "map":
        return _map_as(writer, field, reader, wanted)
    if (kind, other) in {("map", "message"), ("message", "map"), ("map", "bytes")}:
        return UNSURE  # a map is a list of messages with a key and a value
    found = _one_as(writer, field, reader, wanted)
    if found.verdict is Verdict.BREAKING:
        return Side(found.verdict, writer.usual(field) if kind == "map" else writer.whole(field, found.value))
    if _is_many(field) and not _is_many(wanted):
        return Side(Verdict.BREAKING, [writer.one(field)] * 2)
    return found


def _is_many(field: Field) -> bool:
    return bool(field.key) or field.label == "repeated"


def _one_as(writer: Values, field: Field, reader: Values, wanted: Field) -> Side:
    """Return what becomes of one value; where it breaks, of which."""
    kind, other = writer.kind(field), reader.kind(wanted)
    if not share_a_form(kind, other):
        if kind == "enum" and set(writer.numbers(field)) == {0}:
            return UNSURE  # all that it can say is 0, which may well be read where it is lost
        # The 1 of these is written as 2, which a bool reads as true.
        return Side(Verdict.BREAKING, 2 if kind in {"sint32", "sint64"} else writer.one(field))
    if kind in _RANGES:
        return _integer_as(writer, field, reader, wanted)
    if kind == other == "message":
        if field.delimited != wanted.delimited:
            return Side(Verdict.BREAKING, writer.one(field))
        return OK if field.type == wanted.type else UNSURE
    if kind == "bytes" and other == "string":
        return Side(Verdict.BREAKING, _NO_TEXT)
    if kind == other or (kind, other) == ("string", "bytes"):
        return OK
    # A message is kept whole within bytes, unless it is between marks of its own.
    return OK if other == "bytes" and not field.delimited else Side(Verdict.BREAKING, writer.one(field))


def _integer_as(writer: Values, field: Field, reader: Values, wanted: Field) -> Side:
    written: Container[int] = writer.numbers(field) if writer.kind(field) == "enum" else _RANGES[writer.kind(field)]
    read: Container[int] = _RANGES[reader.kind(wanted)]
    tried = [*(writer.numbers(field) if writer.kind(field) == "enum" else ()), *_TELLING]
    if reader.kind(wanted) == "enum" and reader.is_closed(wanted):
        read = reader.numbers(wanted)
        tried.append(next(number for number in range(2**31) if number not in read))
    lost = next((number for number in tried if number in written and number not in read), None)
    if lost is not None:
        return Side(Verdict.BREAKING, writer.named(field, lost))
    if writer.kind(field) == reader.kind(wanted) == "enum" and field.type != wanted.type:
        return _meant(writer, field, reader, wanted)
    return OK


def _meant(writer: Values, field: Field, reader: Values, wanted: Field) -> Side:
    """Return what the values of one enum mean in another: they are told apart by numbers, and meant by names."""
    theirs = reader.numbers(wanted)
    others = [(number, names) for number, names in writer.numbers(field).items() if number in theirs]
    others = [(number, names) for number, names in others if not {*names} & {*theirs[number]}]
    known = {name for names in theirs.values() for name in names}
    for _, names in others:
        if known & {*names}:
            return Side(Verdict.BREAKING, names[0])
    return UNSURE if others else OK


def _map_as(writer: Values, field: Field, reader: Values, wanted: Field) -> Side:
    key = _one_as(writer, Field("", 1, field.key), reader, Field("", 1, wanted.key))
    value = _one_as(writer, replace(field, key=""), reader, replace(wanted, key=""))
    if key.verdict is Verdict.BREAKING:
        return Side(key.verdict, {writer.key(field, key.value): writer.one(field)})
    if value.verdict is Verdict.BREAKING:
        return Side(value.verdict, {writer.key(field): value.value})
    return UNSURE if UNSURE in {key, value} else OK


def default_of(values: Values, field: Field) -> Any:
    """Return what readers see where a field is absent, so that two can be told apart; none of what has no such value.

    Numbers, booleans and values of enums are numbers; texts and bytes are texts.
    """
    kind = values.kind(field)
    if field.key or field.label == "repeated" or kind == "message":
        return None
    said = field.options.get("default")
    if kind in {"string", "bytes"}:
        return said or ""
    if kind == "enum":
        numbers = values.numbers(field)
        first = next(iter(numbers)) if values.is_closed(field) else 0
        return next((number for number, names in numbers.items() if said in names), first)
    return _number(said) if said else 0


def _number(said: str) -> Any:
    if said in {"true", "false"}:
        return int(said == "true")
    for read in (lambda text: int(text, 0), lambda text: int(text, 8), float):
        try:
            return read(said)
        except ValueError:
            continue
    return said
