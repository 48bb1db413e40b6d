"""Messages of a Protobuf schema in their JSON form: small ones, whose values are on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.contracts.formats.protobuf import SCALARS, WELL_KNOWN, Field, Message

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from headrace.contracts.formats.protobuf import Schema

_DEEPEST = 8
_SCALARS: dict[str, Any] = {"string": "a", "bytes": "YQ==", "bool": True, "float": 1.5, "double": 1.5}
_KNOWN: dict[str, Any] = {
    "Timestamp": "2020-01-01T00:00:00Z", "Duration": "1s", "FieldMask": "a", "Struct": {"a": 1}, "ListValue": [1],
    "Value": 1, "NullValue": None, "StringValue": "a", "BytesValue": "YQ==", "BoolValue": True, "DoubleValue": 1.5,
    "FloatValue": 1.5, "Int32Value": 1, "Int64Value": 1, "UInt32Value": 1, "UInt64Value": 1,
}  # fmt: skip


class Values:
    """What one version of a schema can say."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._numbers: dict[str, dict[int, tuple[str, ...]]] = {}
        self._names: dict[str, dict[int, str]] = {}
        self._required: dict[str, dict[int, Any]] = {}

    def kind(self, field: Field) -> str:
        """Return what a value of a field is: a scalar's type, `enum`, `message` or `map`."""
        if field.key:
            return "map"
        if field.type in SCALARS:
            return field.type
        return "enum" if field.type in self.schema.enums or field.type == "google.protobuf.NullValue" else "message"

    def numbers(self, field: Field) -> Mapping[int, tuple[str, ...]]:
        """Return the numbers of the values of a field's enum, each with its names."""
        if field.type not in self._numbers:
            enum = self.schema.enums.get(field.type)
            found: dict[int, tuple[str, ...]] = {}
            for name, number in (enum.values if enum else {"NULL_VALUE": 0}).items():
                found[number] = (*found.get(number, ()), name)
            self._numbers[field.type] = found
        return self._numbers[field.type]

    def is_closed(self, field: Field) -> bool:
        """Whether a reader of a field passes over numbers that its enum does not declare."""
        enum = self.schema.enums.get(field.type)
        return enum is not None and enum.closed

    def named(self, field: Field, number: int) -> Any:
        """Return an integer as the JSON form of a field writes it: of an enum it is a name."""
        kind = self.kind(field)
        if kind == "enum":
            return self.numbers(field).get(number, (number,))[0]
        return bool(number) if kind == "bool" else number

    def whole(self, field: Field, value: Any) -> Any:
        """Return what a field holds that has one such value: a list of it, where it is repeated."""
        return [value] if field.label == "repeated" else value

    def usual(self, field: Field) -> Any:
        """Return what a field holds, with one value that is not the default one: it is on the wire."""
        if field.key:
            return {self.key(field): self.one(field)}
        return self.whole(field, self.one(field))

    def key(self, field: Field, value: Any = None) -> str:
        """Return a key of a map, as JSON writes it."""
        value = {"string": "a", "bool": True}.get(field.key, 1) if value is None else value
        return str(value).lower() if isinstance(value, bool) else str(value)

    def one(self, field: Field, depth: int = 0) -> Any:
        """Return one value of a field's type, not the default one where there is another."""
        known = field.type.removeprefix("google.protobuf.")
        if field.type in WELL_KNOWN:
            return _KNOWN.get(known, {})
        kind = self.kind(Field("", 0, field.type))
        if kind == "enum":
            numbers = self.numbers(field)
            return numbers[next((number for number in numbers if number), next(iter(numbers)))][0]
        if kind == "message":
            message = self.schema.messages.get(field.type)
            return self._asked(message, depth + 1) if message and depth < _DEEPEST else {}
        return _SCALARS.get(kind, 1)

    def message(self, message: Message, holding: Mapping[int, Any], without: Collection[int] = ()) -> dict[str, Any]:
        """Return a message whose fields of these numbers hold that, and all others that are required something."""
        if message.name not in self._names:
            self._names[message.name] = {each.number: each.json_name for each in message.fields}
            asked = (each for each in message.fields if each.label == "required")
            self._required[message.name] = {each.number: self.one(each) for each in asked}
        names = self._names[message.name]
        asked_for = self._required[message.name].items()
        found = {number: value for number, value in asked_for if number not in without} | dict(holding)
        return {names[number]: value for number, value in found.items()}

    def _asked(self, message: Message, depth: int) -> dict[str, Any]:
        return {each.json_name: self.one(each, depth) for each in message.fields if each.label == "required"}

    def is_ever_written(self, field: Field) -> bool:
        """Whether a field is ever on the wire: without presence, one whose enum has only a 0 is not."""
        is_bare = not field.presence and not field.key and field.label != "repeated"
        return not (is_bare and self.kind(field) == "enum" and set(self.numbers(field)) == {0})

    def with_enum(self, reader: Values, enum: str, value: str) -> dict[str, Any] | None:
        """Return a message that holds a value of an enum where a reader has that enum too; none where there is none."""
        for name, message in self.schema.messages.items():
            read = reader.schema.messages[name].by_number if name in reader.schema.messages else {}
            for field in message.fields:
                if field.type == enum and field.number in read and read[field.number].type == enum:
                    held = {self.key(field): value} if field.key else self.whole(field, value)
                    return self.message(message, {field.number: held})
        return None
