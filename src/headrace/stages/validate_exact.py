"""The exact path of validation: one event at a time, the full validator's verdict, every value converted exactly."""

from __future__ import annotations

import base64
import datetime as dt
import math
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace.contracts.contract import JSON_MARK
from headrace.contracts.load import compiled
from headrace.stages.json_text import HUGE, Unreadable, Wild, child, excerpt, quote, write

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.contracts.contract import Contract

    Convert = Callable[[Any, str], Any]

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_NAIVE_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - a wall clock's reading, on purpose
_MICRO = dt.timedelta(microseconds=1)
_INSTANT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt _](\d\d):(\d\d):(\d\d)(?:[.,](\d+))?\s*(?:([Zz])|([+-])(\d\d):?(\d\d))?", re.ASCII
)
_REASON_CHARACTERS = 500


class ExactPath:
    """Validates one object at a time and converts it to the contract's columns."""

    def __init__(self, contract: Contract) -> None:
        self._validator = compiled(contract.schema)
        self._names = frozenset(column.name for column in contract.columns)
        self._columns = [(column.name, converter(column.field())) for column in contract.columns]

    def row(self, value: dict[str, Any]) -> list[Any]:
        """Return the values of the contract's columns, as `pyarrow.array` takes them.

        Raises:
            Unreadable: what the validator found first, or out_of_range.
        """
        tamed = _tamed(value) if isinstance(value, Wild) else value
        if not self._validator.is_valid(tamed):
            error = min(self._validator.iter_errors(tamed), key=_order)
            raise _verdict(error, value)
        return [
            None if (item := value.get(name)) is None else convert(item, child("$", name))
            for name, convert in self._columns
        ]

    def unknown(self, value: dict[str, Any]) -> str | None:
        """Return the JSON text of the fields that are no column, by name, None where there are none."""
        unknown = {name: value[name] for name in sorted(value.keys() - self._names)}
        return write(unknown) if unknown else None


def _tamed(value: Any) -> Any:
    """Return a value whose numbers are within 10^±400: the validator would expand 1e999999999 into its digits.

    Nothing a contract can say tells such numbers apart, for no bound of a schema lies beyond.
    """
    if isinstance(value, dict):
        return {key: _tamed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_tamed(item) for item in value]
    if not isinstance(value, Decimal):
        return value
    if value and abs(value.adjusted()) > HUGE:
        return Decimal((value.as_tuple().sign, (1,), HUGE if value.adjusted() > 0 else -HUGE))
    return Decimal(value)  # the validator knows no other type


def _order(error: Any) -> tuple[int, list[str], list[str]]:
    """The fault nearest to the root comes first; the rest only makes the choice the same everywhere."""
    path = list(map(str, error.instance_path))
    return len(path), path, list(map(str, error.schema_path))


def _verdict(error: Any, value: Any) -> Unreadable:
    path, node = "$", value
    for step in error.instance_path:
        path, node = child(path, step), node[step]
    code, message = error.kind.name, error.message
    if code == "falseSchema":
        code = "additionalProperties" if list(error.schema_path)[-1:] == ["additionalProperties"] else "false"
    if code == "required":
        name = error.kind.property
        return Unreadable(code, f"{quote(name)} is required", child(path, name))
    if error.kind.name == "additionalProperties":
        unexpected = error.kind.unexpected
        names = ", ".join(quote(name) for name in unexpected)
        path, node = child(path, unexpected[0]), node[unexpected[0]]
        message = f"unknown field {names}" if len(unexpected) == 1 else f"unknown fields {names}"
    return Unreadable(code, message[:_REASON_CHARACTERS], path, excerpt(node))


def _out_of_range(value: Any, path: str, what: str) -> Unreadable:
    return Unreadable("out_of_range", f"the value does not fit {what}", path, excerpt(value))


def converter(field: pa.Field) -> Convert:
    """Return what turns a validated value into the field's type, exactly, or raises `Unreadable`."""
    type_ = field.type
    if (field.metadata or {}).items() >= JSON_MARK.items():
        return lambda value, _: write(value)
    if pa.types.is_struct(type_):
        return _struct([(child_.name, converter(child_)) for child_ in type_])
    if pa.types.is_list(type_):
        return _list(converter(type_.value_field))
    if pa.types.is_decimal(type_):
        return _decimal(type_)
    if pa.types.is_timestamp(type_):
        return _timestamp if type_.tz else _datetime
    if pa.types.is_int64(type_):
        return _int64
    if pa.types.is_float64(type_):
        return _double
    if pa.types.is_date(type_):
        return _date
    if pa.types.is_time(type_):
        return _time
    if pa.types.is_binary(type_):
        return _bytes
    return lambda value, _: value


def _struct(children: list[tuple[str, Convert]]) -> Convert:
    def convert(value: Any, path: str) -> Any:
        return {
            name: None if (item := value.get(name)) is None else each(item, child(path, name))
            for name, each in children
        }

    return convert


def _list(item: Convert) -> Convert:
    def convert(value: Any, path: str) -> Any:
        return [None if each is None else item(each, child(path, index)) for index, each in enumerate(value)]

    return convert


def _decimal(type_: pa.Decimal128Type) -> Convert:
    def convert(value: Any, path: str) -> Any:
        number = Decimal(value)
        if number and not -type_.scale <= number.adjusted() < type_.precision - type_.scale:
            raise _out_of_range(value, path, f"DECIMAL({type_.precision},{type_.scale})")
        sign, digits, exponent = number.as_tuple()
        kept = list(digits)
        shift = int(exponent) + type_.scale
        while shift < 0 and kept and kept[-1] == 0:
            kept.pop()
            shift += 1
        if shift < 0 and any(kept):
            raise _out_of_range(value, path, f"DECIMAL({type_.precision},{type_.scale})")
        return Decimal((sign, tuple(kept) or (0,), shift - type_.scale)) if any(kept) else Decimal(0)

    return convert


def _int64(value: Any, path: str) -> int:
    if isinstance(value, Decimal) and value and value.adjusted() > HUGE:
        raise _out_of_range(value, path, "a 64-bit integer")
    number = int(value)
    if not -(2**63) <= number < 2**63:
        raise _out_of_range(value, path, "a 64-bit integer")
    return number


def _double(value: Any, path: str) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if math.isinf(number):
        raise _out_of_range(value, path, "a double")
    return number


def _timestamp(value: str, path: str) -> int:
    return _micros(value, path, _EPOCH)


def _datetime(value: str, path: str) -> int:
    return _micros(value, path, _NAIVE_EPOCH)


def _micros(value: str, path: str, epoch: dt.datetime) -> int:
    """Return microseconds since 1970; finer fractions are cut, a leap second is the second after it."""
    match = _INSTANT.fullmatch(value)
    if match is None:
        raise _out_of_range(value, path, "a timestamp")
    year, month, day, hour, minute, second = map(int, match.group(1, 2, 3, 4, 5, 6))
    leap = second == 60
    try:
        instant = dt.datetime(year, month, day, hour, minute, 59 if leap else second, tzinfo=epoch.tzinfo)
        if match[9]:
            offset = dt.timedelta(hours=int(match[10]), minutes=int(match[11]))
            instant = instant - offset if match[9] == "+" else instant + offset
        instant += dt.timedelta(seconds=leap)
    except (ValueError, OverflowError) as error:
        raise _out_of_range(value, path, "a timestamp of the years 1 to 9999") from error
    return (instant - epoch) // _MICRO + int((match[7] or "0")[:6].ljust(6, "0"))


def _date(value: str, path: str) -> dt.date:
    try:
        return dt.date.fromisoformat(value)
    except ValueError as error:
        raise _out_of_range(value, path, "a date of the years 1 to 9999") from error


def _time(value: str, path: str) -> dt.time:
    """Return a clock's reading. An offset is refused: without its date no column keeps what it says."""
    try:
        time = dt.time.fromisoformat(value)
    except ValueError as error:
        raise _out_of_range(value, path, "a time of day") from error
    if time.tzinfo is not None:
        raise _out_of_range(value, path, "a time of day, which is of no zone: leave the offset out")
    return time


def _bytes(value: str, path: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except ValueError as error:
        raise _out_of_range(value, path, "base64") from error
