"""Event time: when an event happened, by its own account, as one UTC column."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc

from headrace import words
from headrace.errors import ConfigError
from headrace.stages import paths
from headrace.stages.base import Outcome
from headrace.stages.rejections import none_rejected, rejections
from headrace.stages.sql import SqlKernel

_INSTANT = pa.timestamp("us", "UTC")
_FIRST, _LAST = -62_135_596_800_000_000, 253_402_300_799_999_999  # years 1 to 9999, what calendars downstream hold

_ISO = (
    r"^(\d{4}-\d{2}-\d{2})"
    r"(?:[T t](\d{2})(?::?(\d{2})(?::?(\d{2})(?:[.,](\d+))?)?)?)?"
    r" ?(Z|z|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?$"
)
_FROM_TEXT = f"""
WITH split AS (
    SELECT regexp_extract(trim(x), '{_ISO}', ['day', 'hour', 'minute', 'second', 'fraction', 'zone']) AS p FROM t
), local AS (
    SELECT p.zone AS zone, TRY_CAST(
        p.day || ' ' || coalesce(nullif(p.hour, ''), '00') || ':' || coalesce(nullif(p.minute, ''), '00')
        || ':' || coalesce(nullif(p.second, ''), '00') || '.' || rpad(left(p.fraction, 6), 6, '0') AS TIMESTAMP
    ) AS wall
    FROM split
)
SELECT CASE
    WHEN zone = '' THEN epoch_us(TRY(wall AT TIME ZONE $1))
    WHEN upper(zone) = 'Z' THEN epoch_us(wall)
    ELSE epoch_us(wall) - CASE zone[1] WHEN '-' THEN -60000000 ELSE 60000000 END * (
        CAST(zone[2:3] AS BIGINT) * 60 + CASE WHEN length(zone) > 3 THEN CAST(right(zone, 2) AS BIGINT) ELSE 0 END
    ) END AS us
FROM local
"""
_FROM_WALL = "SELECT epoch_us(TRY(x AT TIME ZONE $1)) AS us FROM t"
# What an epoch counts shows in its size: seconds until the year 5138, then milliseconds, microseconds, nanoseconds.
_FROM_INTEGER = """
SELECT CASE
    WHEN x BETWEEN -99999999999 AND 99999999999 THEN x * 1000000
    WHEN x BETWEEN -99999999999999 AND 99999999999999 THEN x * 1000
    WHEN x BETWEEN -99999999999999999 AND 99999999999999999 THEN x
    ELSE x // 1000 - CASE WHEN x % 1000 < 0 THEN 1 ELSE 0 END END AS us
FROM (SELECT TRY_CAST(x AS BIGINT) AS x FROM t)
"""
_FROM_NUMBER = """
SELECT TRY_CAST(CASE
    WHEN abs(x) < 1e11 THEN round(x * 1e6)
    WHEN abs(x) < 1e14 THEN round(x * 1e3)
    WHEN abs(x) < 1e17 THEN round(x)
    WHEN isfinite(x) THEN floor(x / 1e3) END AS BIGINT) AS us
FROM (SELECT CAST(x AS DOUBLE) AS x FROM t)
"""


def check_event_time(column: str | None, timezone: str, schema: pa.Schema) -> tuple[str, str] | None:
    """Return (message, fix) where a contract cannot give this event time, or None where it can."""
    if timezone != "UTC" and timezone not in _timezones():  # which opens a database, and most sources are in UTC
        near = paths.did_you_mean(timezone, _timezones(), "write an IANA name such as Europe/Berlin")
        return f"{timezone[:80]!r} is not a time zone", near
    if column is None:
        return None
    try:
        path = paths.resolve(column, schema)
    except ConfigError as error:
        return error.message, error.fix
    if paths.ELEMENTS in path.steps:
        return f"{column} names the elements of a list; an event has one time", "name a single field"
    if _reader(path.type) is None:
        return f"{column} is {path.type}, which gives no time", "name a timestamp, date, string or epoch number"
    return None


@dataclass(frozen=True)
class EventTime:
    """The stage: adds EVENT_TIME, from a column or path of the contract, or from INGEST_TIME where none is named.

    A timestamp with a zone is taken as it is. A naive one, a date (its midnight) or a naive text is a wall clock in
    `timezone`: a time that occurs twice, when clocks go back, is the second one; a time that is skipped, when they go
    forward, is read with the offset from before the change (02:30 becomes 03:30), as PostgreSQL does.

    A text is ISO 8601 in its extended form, with `T` or a space, to any precision (microseconds are kept), with or
    without a zone. A number counts from 1970: seconds below 1e11, milliseconds below 1e14, microseconds below 1e17,
    else nanoseconds.

    A row without the value is rejected with code `event_time_missing`; with one that gives no time within the years 1
    to 9999, with code `event_time_unparseable`; both of stage `contract`.
    """

    column: str | None
    timezone: str = "UTC"
    _kernel: SqlKernel = field(default_factory=SqlKernel, repr=False, compare=False)

    def __call__(self, batch: pa.RecordBatch) -> Outcome:
        """Take a batch with the contract's columns, ROW and INGEST_TIME; EVENT_TIME comes last."""
        if self.column is None:
            kept = batch.append_column(words.EVENT_TIME, batch.column(words.INGEST_TIME).cast(_INSTANT))
            return Outcome(kept, none_rejected(), none_rejected())
        path = paths.resolve(self.column, batch.schema)
        values = paths.leaves(batch, path).values
        micros = self._micros(values)
        good = pc.fill_null(pc.and_(pc.greater_equal(micros, _FIRST), pc.less_equal(micros, _LAST)), False)
        times = pc.if_else(good, micros, None).cast(_INSTANT)
        kept = batch.append_column(words.EVENT_TIME, times)
        if pc.all(good, min_count=0).as_py():
            return Outcome(kept, none_rejected(), none_rejected())
        bad = pc.invert(good)
        return Outcome(kept.filter(good), self._reject(batch.filter(bad), path, values.filter(bad)), none_rejected())

    def _micros(self, values: pa.Array) -> pa.Array:
        reader = _reader(values.type)
        if reader is None:
            return pa.nulls(len(values), pa.int64())
        if reader == "instant":
            return values.cast(_INSTANT, safe=False).cast(pa.int64())
        if self.timezone == "UTC" and pa.types.is_timestamp(values.type):
            return values.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
        if reader == _FROM_TEXT:
            # Arrow's own parser reads most of what _ISO does, the same way and far faster, but all or nothing; and to
            # fail costs as much as the query, so the first text says which of its two readings may do.
            first = pc.first(values).as_py() or ""
            zoned = re.search(r"(?:[Zz]|[+-]\d\d(?::?\d\d)?)$", first[10:])
            with contextlib.suppress(pa.ArrowInvalid):
                return self._micros(values.cast(_INSTANT if zoned else pa.timestamp("us")))
        query = reader.replace("$1", f"'{self.timezone}'")  # the name of a zone that DuckDB knows
        return self._kernel.run(query, t=pa.table({"x": values})).column("us").combine_chunks().cast(pa.int64())

    def _reject(self, batch: pa.RecordBatch, path: paths.Path, values: pa.Array) -> pa.RecordBatch:
        missing = pc.is_null(values)
        code = pc.if_else(missing, "event_time_missing", "event_time_unparseable")
        reason = pc.if_else(
            missing, f"{self.column} has no value, and it is the event time", f"{self.column} cannot be read as a time"
        )
        text = self._kernel.run("SELECT CAST(to_json(x) AS VARCHAR) AS x FROM t", t=pa.table({"x": values}))
        rows = batch.column(words.ROW)
        value = text.column("x").combine_chunks()
        return rejections(rows, stage="contract", code=code, reason=reason, path=path.json(), value=value)


@cache
def _timezones() -> frozenset[str]:
    """Return the zones that the kernel itself knows, whatever the machine has installed."""
    return frozenset(SqlKernel().run("SELECT name FROM pg_timezone_names()").column("name").to_pylist())


def _reader(kind: pa.DataType) -> str | None:
    """Return how values of a type become microseconds: a query, or `instant` where they already are."""
    if pa.types.is_timestamp(kind):
        return "instant" if kind.tz else _FROM_WALL
    if pa.types.is_date(kind):
        return _FROM_WALL
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _FROM_TEXT
    if pa.types.is_integer(kind):
        return _FROM_INTEGER
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _FROM_NUMBER
    return None
