"""Bounds and kinds of numbers, as conditions in SQL that are true only for what every validator takes.

A number is the text that decode found; each condition is narrower than what it stands for where that may be rounded.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace.contracts.types import duckdb_type
from headrace.stages.validate_texts import NotCompiled

if TYPE_CHECKING:
    from collections.abc import Mapping

EXACT_IN_DOUBLE = 2**53
_LOSES = "|".join(
    ["[0-9]{19}", "[0-9]{16}[eE]", *(rf"[0-9]{{{whole}}}[.][0-9]{{{15 - whole}}}" for whole in range(1, 15))]
)
"""What a number has that is read as a double and has over 15 digits; texts may have it, too."""


def bound_rules(schema: Mapping[str, Any], at: str, type_: pa.DataType) -> list[str]:
    """Return the conditions of `minimum`, `maximum` and the exclusive ones."""
    return [_bound(at, type_, limit, sign, strict=strict) for limit, sign, strict in _bounds(schema)]


def step_rule(step: object, at: str, type_: pa.DataType) -> str:
    """Return the condition of `multipleOf`."""
    if not pa.types.is_int64(type_) or type(step) is not int or not 0 < step < EXACT_IN_DOUBLE:
        raise NotCompiled
    return f"{cast(at, type_)} % {step} = 0"


def fits_rule(at: str, type_: pa.DataType) -> str:
    """Return the condition that a number is converted to a type without loss."""
    if pa.types.is_int64(type_):
        return f"TRY_CAST({at} AS BIGINT)::VARCHAR = {at}"
    if pa.types.is_floating(type_):
        return f"isfinite(TRY_CAST({at} AS DOUBLE))"
    whole, scale = type_.precision - type_.scale, type_.scale
    fraction = rf"(\.[0-9]{{1,{scale}}})?" if scale else ""
    whole_digits = f"[0-9]{{1,{whole}}}" if whole else "0"
    # 0.0 may have been 1e-999.
    return f"regexp_full_match({at}, '-?{whole_digits}{fraction}') AND {at} NOT IN ('0.0', '-0.0')"


def may_lose_digits(type_: pa.DataType) -> bool:
    """Return whether a type holds decimals with a fraction: what reads these as doubles keeps 15 digits."""
    if pa.types.is_struct(type_):
        return any(may_lose_digits(field.type) for field in type_)
    if pa.types.is_list(type_):
        return may_lose_digits(type_.value_type)
    return bool(pa.types.is_decimal(type_) and type_.scale)


def keeps_digits(doc: str) -> str:
    """Return the condition that no number of a document, wherever it is, was read as a double and lost digits.

    A double keeps 15 digits. What is written as an integer of at most 18 is read as one, and keeps them all; most
    documents have no run of digits that long at all, and are asked no more.
    """
    return f"CASE WHEN regexp_matches({doc}, '[0-9.]{{16}}') THEN NOT regexp_matches({doc}, '{_LOSES}') ELSE true END"


def cast(at: str, type_: pa.DataType) -> str:
    """Return the SQL of the value as one of a type; of what is none it is null."""
    return f"TRY_CAST({at} AS {duckdb_type(type_)})"


def _bounds(schema: Mapping[str, Any]) -> list[tuple[Any, str, bool]]:
    """Return bounds as (limit, sign, whether the limit itself is out)."""
    found = []
    for word, sign in (("imum", ">"), ("imum", "<")):
        low, high = ("min" if sign == ">" else "max") + word, "exclusive" + ("Min" if sign == ">" else "Max") + word
        exclusive = schema.get(high)
        if isinstance(exclusive, bool):  # draft 4
            if low in schema:
                found.append((schema[low], sign, exclusive))
            continue
        if low in schema:
            found.append((schema[low], sign, False))
        if exclusive is not None:
            found.append((exclusive, sign, True))
    return found


def _bound(at: str, type_: pa.DataType, limit: Any, sign: str, *, strict: bool) -> str:
    """Return the condition that a number keeps a bound, whatever was rounded on its way here."""
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not math.isfinite(limit):
        raise NotCompiled
    value = cast(at, type_)
    if pa.types.is_int64(type_) or (pa.types.is_decimal(type_) and not type_.scale):
        least = math.floor(limit) + 1 if sign == ">" and strict else math.ceil(limit)
        most = math.ceil(limit) - 1 if strict else math.floor(limit)
        edge = least if sign == ">" else most
        if abs(edge) >= 10**38:
            raise NotCompiled
        return f"{value} {sign}= {edge}::DECIMAL(38,0)" if abs(edge) >= 2**63 else f"{value} {sign}= {edge}"
    if abs(limit) >= EXACT_IN_DOUBLE:
        raise NotCompiled
    inside = f"{cast(at, pa.float64())} {sign} {float(limit)!r}::DOUBLE"
    # On the bound itself only the text of an integer is sure to be what was written.
    return inside if strict or limit != int(limit) else f"({inside} OR {at} = '{int(limit)}')"
