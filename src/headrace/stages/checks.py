"""The check words of quality rules, each a kernel over a column of values: which of them fail."""

from __future__ import annotations

import datetime as dt
import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from headrace.errors import ConfigError
from headrace.stages.paths import is_list

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Fails = Callable[[pa.Array], pa.Array]

CHECKS = ("not_null", "positive_number", "valid_email", "accepted_values", "between", "regex")
"""The words a `check` may be; anything else is read as an expression."""

Bound = bool | int | float | Decimal | dt.datetime | dt.date | str
"""A value as a rule has it in YAML."""

# What browsers accept in <input type=email> (https://html.spec.whatwg.org/multipage/input.html#valid-e-mail-address),
# and with a dot in the domain; the lengths are those of RFC 5321, 4.5.3.1.
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
EMAIL = rf"^[a-zA-Z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{_LABEL}(?:\.{_LABEL})+$"
"""The pattern of `valid_email`, for Arrow and DuckDB alike (RE2)."""
EMAIL_CHARACTERS = 254


def compile_check(
    word: str,
    kind: pa.DataType,
    *,
    values: Sequence[Bound] | None = None,
    minimum: Bound | None = None,
    maximum: Bound | None = None,
    inclusive: bool = True,
    pattern: str | None = None,
) -> tuple[Fails, str]:
    """Return a function from values to which of them fail (never null), and what to say of one that does.

    Null fails `not_null` only. NaN and the infinities are no positive numbers, and NaN is between nothing.

    Raises:
        ConfigError: The check does not fit values of this type, or what it compares with is no such value.
    """
    if word == "not_null":
        return pc.is_null, "is null"
    if is_list(kind):
        raise ConfigError(f"{word} looks at single values, not at {kind}", fix="write field[] for every element")
    if word == "positive_number":
        _require(word, kind, "a number", _is_number(kind))
        if pa.types.is_floating(kind):
            good: Fails = lambda column: pc.and_(pc.greater(column, 0), pc.is_finite(column))  # noqa: E731
        else:
            zero = pa.scalar(0, kind)
            good = lambda column: pc.greater(column, zero)  # noqa: E731
        return _unless(good), "is not a positive number"
    if word == "valid_email":
        _require(word, kind, "a string", _is_text(kind))
        return _unless(_is_email), "is not a valid email address"
    if word == "regex":
        _require(word, kind, "a string", _is_text(kind))
        return _unless(_matcher(pattern or "")), f"does not match {_short(pattern)}"
    if word == "accepted_values":
        _require(word, kind, "a plain value", _is_plain(kind))
        accepted = pa.array([_exact(value, kind) for value in values or ()], kind)
        listed = ", ".join(str(value) for value in values or ())
        return _unless(lambda column: pc.is_in(column, value_set=accepted)), f"is none of {_short(listed)}"
    return _between(kind, minimum, maximum, inclusive=inclusive)


def _between(kind: pa.DataType, minimum: Bound | None, maximum: Bound | None, *, inclusive: bool) -> tuple[Fails, str]:
    _require("between", kind, "a number, a date, a time or a string", _is_plain(kind) and not pa.types.is_boolean(kind))
    # Rounded inward where the type is coarser than the bound: for an integer, at least 0.5 is at least 1.
    low = None if minimum is None else _scalar(minimum, kind, ROUND_CEILING if inclusive else ROUND_FLOOR)
    high = None if maximum is None else _scalar(maximum, kind, ROUND_FLOOR if inclusive else ROUND_CEILING)
    above, below = (pc.greater_equal, pc.less_equal) if inclusive else (pc.greater, pc.less)

    def good(column: pa.Array) -> pa.Array:
        if low is None:
            return below(column, high)
        return above(column, low) if high is None else pc.and_(above(column, low), below(column, high))

    ends = "" if inclusive else " (exclusive)"
    if minimum is None:
        return _unless(good), f"is above {maximum}{ends}"
    if maximum is None:
        return _unless(good), f"is below {minimum}{ends}"
    return _unless(good), f"is not between {minimum} and {maximum}{ends}"


def _unless(good: Fails) -> Fails:
    """Return which values are not good; null is neither."""
    return lambda column: pc.and_(pc.is_valid(column), pc.invert(pc.fill_null(good(column), True)))


def _is_email(column: pa.Array) -> pa.Array:
    short = pc.less_equal(pc.binary_length(column), EMAIL_CHARACTERS)
    return pc.and_(short, pc.match_substring_regex(column, EMAIL))


def _matcher(pattern: str) -> Fails:
    try:
        pc.match_substring_regex(pa.array([""]), pattern)
    except pa.ArrowInvalid as error:
        reason = str(error).split(":", 1)[-1].strip()[:120]
        raise ConfigError(f"the pattern {_short(pattern)} does not compile: {reason}", fix="write RE2 syntax") from None
    return lambda column: pc.match_substring_regex(column, pattern)


def _scalar(bound: Bound, kind: pa.DataType, rounding: str) -> pa.Scalar:
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        exact = _number(bound, kind)
        step = Decimal(1).scaleb(-kind.scale) if pa.types.is_decimal(kind) else Decimal(1)
        if exact.adjusted() > 75:
            raise _unfit(bound, kind)
        with localcontext(prec=120):  # more digits than any column has
            rounded = (exact / step).to_integral_value(rounding) * step
        return _fit(rounded if pa.types.is_decimal(kind) else int(rounded), bound, kind)
    return _fit(_exact(bound, kind), bound, kind)


def _exact(value: Bound, kind: pa.DataType) -> Any:
    """Return a value of YAML as one of a column's type, if it is one to the last digit."""
    if pa.types.is_boolean(kind) and isinstance(value, bool):
        return value
    if _is_text(kind) and isinstance(value, str):
        return value
    if _is_number(kind):
        number = _number(value, kind)
        if pa.types.is_floating(kind):
            return float(number)
        if pa.types.is_decimal(kind):
            return _fit(number, value, kind).as_py()
        if number == number.to_integral_value() and number.adjusted() < 20:
            return _fit(int(number), value, kind).as_py()
        raise _unfit(value, kind)
    try:
        if isinstance(value, str):
            value = dt.datetime.fromisoformat(value)
        if pa.types.is_date(kind) and isinstance(value, dt.date):
            if isinstance(value, dt.datetime) and value.time() != dt.time():
                raise _unfit(value, kind)
            return value.date() if isinstance(value, dt.datetime) else value
        if pa.types.is_timestamp(kind) and isinstance(value, dt.date):
            instant = value if isinstance(value, dt.datetime) else dt.datetime(value.year, value.month, value.day)  # noqa: DTZ001
            return instant.replace(tzinfo=dt.UTC) if instant.tzinfo is None else instant
    except ValueError:
        pass
    raise _unfit(value, kind)


def _number(value: Bound, kind: pa.DataType) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or not math.isfinite(value):
        raise _unfit(value, kind)
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


def _fit(value: Any, given: Bound, kind: pa.DataType) -> pa.Scalar:
    try:
        return pa.scalar(value, kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        raise _unfit(given, kind) from None


def _unfit(value: Bound, kind: pa.DataType) -> ConfigError:
    if _is_text(kind):
        return ConfigError(f"{value} is no string, as the field is", fix=f"put it in quotes: '{value}'")
    return ConfigError(f"{_short(value)} is no value of the field, which is {kind}", fix=f"write a value of {kind}")


def _require(word: str, kind: pa.DataType, wanted: str, fits: bool) -> None:
    if not fits:
        raise ConfigError(
            f"{word} needs {wanted}, and the field is {kind}", fix="change the check or the contract's type"
        )


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_plain(kind: pa.DataType) -> bool:
    time = pa.types.is_date(kind) or pa.types.is_timestamp(kind)
    return bool(_is_text(kind) or _is_number(kind) or time or pa.types.is_boolean(kind))


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 100 else text[:99] + "…"
