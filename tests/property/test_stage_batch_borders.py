"""Where a batch is cut does not matter to event time, enrichment, quality and late; and every row comes out once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from headrace import words
from headrace.errors import ConfigError
from headrace.stages.enrich import Enrich, Enrichment
from headrace.stages.event_time import EventTime
from headrace.stages.expression import ERRS, FAILS, PASSES, compile_expression
from headrace.stages.late import Late, LateSpec
from headrace.stages.quality import Quality, RuleSpec
from headrace.stages.sql import SqlKernel

if TYPE_CHECKING:
    from headrace.stages.base import Stage

INSTANT = pa.timestamp("us", "UTC")
SCHEMA = pa.schema(
    {
        "text_at": pa.string(),
        "epoch": pa.int64(),
        "seconds": pa.float64(),
        "wall": pa.timestamp("us"),
        "amount": pa.float64(),
        "count": pa.int64(),
        "email": pa.string(),
        "items": pa.list_(pa.struct({"sku": pa.string(), "amount": pa.float64()})),
        "total": pa.float64(),
        words.ROW: pa.int32(),
        words.INGEST_TIME: INSTANT,
        words.EVENT_TIME: INSTANT,
    }
)
NOW = datetime(2024, 6, 1, tzinfo=UTC)
instants = st.datetimes(datetime(2024, 5, 1), datetime(2024, 7, 1), timezones=st.just(UTC))  # noqa: DTZ001
iso_like = st.from_regex(
    r"\A\d{4}-[01]\d-[0-3]\d([T ][0-2]\d(:?[0-5]\d(:?[0-5]\d([.,]\d{1,8})?)?)?)?(Z|[+-][0-2]\d(:?[0-5]\d)?)?\Z",
    alphabet=st.characters(max_codepoint=127),
)
texts = st.one_of(
    st.none(), iso_like, instants.map(datetime.isoformat), st.sampled_from(["", "x", "now", "a@b.co", "é@x", "a\x00"])
)
numbers = st.one_of(st.none(), st.floats(), st.sampled_from([0.0, 0.1, 0.2, 0.3, 1e300]))
integers = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.integers(-3, 3))
items = st.one_of(
    st.none(), st.lists(st.one_of(st.none(), st.fixed_dictionaries({"sku": texts, "amount": numbers})), max_size=4)
)
rows = st.lists(
    st.fixed_dictionaries(
        {
            "text_at": texts,
            "epoch": integers,
            "seconds": numbers,
            "wall": st.one_of(st.none(), st.datetimes()),
            "amount": numbers,
            "count": integers,
            "email": texts,
            "items": items,
            "total": numbers,
            words.INGEST_TIME: st.just(NOW),
            words.EVENT_TIME: instants,
        }
    ),
    max_size=8,
)
RULES = [
    RuleSpec(field="email", check="valid_email", severity="warn"),
    RuleSpec(check="sum(items[].amount) = total", severity="warn"),
    RuleSpec(field="items[].sku", check="not_null"),
    RuleSpec(field="amount", check="positive_number"),
    RuleSpec(field="count", check="between", min=-2, max=2**40),
    RuleSpec(check="count + 1 > 0 and amount / count < 100 and cast(email as int) > 3"),
    RuleSpec(field="items[].amount", check="accepted_values", values=[0.1, 0.2, 0.3], severity="warn"),
]


def made(values: list[dict[str, Any]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([{**row, words.ROW: i} for i, row in enumerate(values)], schema=SCHEMA)


def alike_however_cut(stage: Stage, batch: pa.RecordBatch, cut: int) -> None:
    whole = stage(batch)
    halves = [stage(batch.slice(0, cut)), stage(batch.slice(cut))]
    for name in ("kept", "rejected", "warned"):
        parts = pa.Table.from_batches([getattr(half, name) for half in halves])
        assert str(parts.to_pylist()) == str(getattr(whole, name).to_pylist()), name  # as text: NaN is not itself
        assert parts.schema == getattr(whole, name).schema
    out = whole.kept.column(words.ROW).to_pylist() + whole.rejected.column("row").to_pylist()
    assert sorted(out) == list(range(len(batch)))
    assert stage(batch).kept.equals(whole.kept) or any(pa.types.is_floating(field.type) for field in batch.schema)


def looked_up(*on: tuple[str, str, pa.DataType], **more: Any) -> Enrich:
    """Return a stage over a small lookup of what the rows are likely to hold."""
    rows = [(text, number) for text in ("", "x", "a@b.co", "now") for number in range(-3, 4)]
    table = pa.table({
        "text": [text for text, _ in rows],
        "number": pa.array([number for _, number in rows], pa.int64()),
        "name": [f"{text} {number}" for text, number in rows],
        "more": pa.array([{"n": number} if number else None for _, number in rows]),
    })  # fmt: skip
    added = tuple(table.schema.field(name) for name in ("name", "more"))
    return Enrich(Enrichment("small", on=on, added=added, **more), SCHEMA, table)


TEXT, NUMBER = ("email", "text", pa.string()), ("count", "number", pa.int64())
DEFAULT = {"name": pa.scalar("unknown")}
STAGES: list[Stage] = [
    looked_up(TEXT),
    looked_up(TEXT, NUMBER, miss="quarantine", prefix="their_"),
    looked_up(("seconds", "number", pa.float64()), TEXT, miss="default", defaults=DEFAULT, struct="their"),
    *(
        EventTime(column, zone)
        for column in ("text_at", "epoch", "seconds", "wall")
        for zone in ("UTC", "Europe/Berlin")
    ),
    Late(LateSpec(window="3d", too_late="quarantine", future_window="1h", too_early="quarantine")),
    Quality(RULES, SCHEMA),
]


@given(rows, st.integers(0, 8))
@settings(deadline=None, max_examples=25)
def test_batch_borders_do_not_matter(values: list[dict[str, Any]], cut: int):
    batch = made(values)
    for stage in STAGES:
        without = batch.drop_columns([words.EVENT_TIME]) if isinstance(stage, EventTime) else batch
        alike_however_cut(stage, without, min(cut, len(values)))


cents = st.integers(-(10**7), 10**7).map(lambda n: Decimal(n) / 100)
TOTAL = compile_expression("sum(items[].amount) = total", SCHEMA)
KERNEL = SqlKernel(isolate_errors=True)


@given(st.lists(cents, max_size=30))
@settings(deadline=None, max_examples=100)
def test_a_sum_of_doubles_is_the_sum_of_what_was_written(amounts: list[Decimal]):
    elements = [{"amount": float(amount)} for amount in amounts]
    right, wrong = float(sum(amounts)), float(sum(amounts) + Decimal("0.01"))
    batch = made([{"items": elements, "total": right}, {"items": elements, "total": wrong}])
    assert TOTAL.verdicts(KERNEL, batch).to_pylist() == [PASSES, FAILS]


operands = st.sampled_from(
    ["count", "epoch", "cast(email as int)", "total", "sum(items[].amount)", "0", "9223372036854775807"]
)
sums = st.recursive(
    operands, lambda inner: st.builds("({} {} {})".format, inner, st.sampled_from(["+", "*", "/", "//", "%"]), inner),
    max_leaves=5,
)  # fmt: skip
conditions = st.recursive(
    st.one_of(
        st.builds("{} between {} and {}".format, sums, sums, sums),
        st.builds("nullif({}, 0) < abs({})".format, sums, sums),
    ),
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner),
        st.builds("(case when {} then {} else {} end)".format, inner, inner, inner),
    ),
    max_leaves=3,
)


@given(conditions, rows)
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
def test_an_expression_never_raises_and_rows_do_not_touch_each_other(text: str, values: list[dict[str, Any]]):
    try:
        expression = compile_expression(text, SCHEMA, KERNEL)
    except ConfigError:
        return  # constants that cannot be computed are found when the file is read, not by a row
    batch = made(values)
    together = expression.verdicts(KERNEL, batch).to_pylist()
    alone = [expression.verdicts(KERNEL, batch.slice(i, 1))[0].as_py() for i in range(len(batch))]
    assert together == alone
    assert set(together) <= {PASSES, FAILS, ERRS}


TEXT_STAGES = {zone: EventTime("text_at", zone) for zone in ("UTC", "America/New_York")}


@given(iso_like, st.sampled_from(sorted(TEXT_STAGES)))
@example("2024-01-01T24:00:00Z", "UTC")
@example("2024-01-01T00:00:00+23:59", "UTC")
@example("2024-01-01T0000Z", "UTC")
@settings(deadline=None, max_examples=150)
def test_a_text_means_the_same_beside_any_neighbour(text: str, zone: str):
    # Arrow's parser reads a batch of good texts, a query one with any other: they must agree on every text.
    stage = TEXT_STAGES[zone]
    columns = ["text_at", words.ROW, words.INGEST_TIME]
    alone = stage(made([{"text_at": text}]).select(columns))
    beside = stage(made([{"text_at": text}, {"text_at": "nonsense"}]).select(columns))
    assert alone.kept.to_pylist() == beside.kept.to_pylist()
    assert alone.rejected.to_pylist() == beside.rejected.to_pylist()[: len(alone.rejected)]


@given(instants, st.integers(-14 * 60, 14 * 60))
@settings(deadline=None, max_examples=50)
def test_an_instant_survives_any_zone_it_is_written_in(at: datetime, minutes: int):
    sign = "-" if minutes < 0 else "+"
    offset = timedelta(minutes=abs(minutes))
    local = (at + (offset if minutes >= 0 else -offset)).replace(tzinfo=None)
    text = f"{local.isoformat()}{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    batch = made([{"text_at": text}]).select(["text_at", words.ROW, words.INGEST_TIME])
    assert TEXT_STAGES["UTC"](batch).kept.column(words.EVENT_TIME).to_pylist() == [at]


keys = st.tuples(st.sampled_from([None, "", "x", "y", "é"]), st.one_of(st.none(), st.integers(-2, 2)))
WORDS = pa.schema({"a": pa.string(), "b": pa.int64(), words.ROW: pa.int32()})


@given(st.lists(keys, max_size=12), st.lists(keys, max_size=12), st.sampled_from(["null", "quarantine", "default"]))
@settings(deadline=None, max_examples=150)
def test_an_enriched_event_is_what_a_dictionary_says(known: list[Any], asked: list[Any], miss: Any):
    table = pa.table({
        "a": pa.array([a for a, _ in known], pa.string()),
        "b": pa.array([b for _, b in known], pa.int64()),
        "nth": pa.array(range(len(known)), pa.int64()),
    })  # fmt: skip
    on = (("a", "a", pa.string()), ("b", "b", pa.int64()))
    defaults = {"nth": pa.scalar(-1)} if miss == "default" else {}
    step = Enrichment("known", on=on, added=(table.schema.field("nth"),), miss=miss, defaults=defaults)
    batch = pa.RecordBatch.from_pylist([{"a": a, "b": b, words.ROW: i} for i, (a, b) in enumerate(asked)], schema=WORDS)
    outcome = Enrich(step, WORDS, table)(batch)

    first: dict[Any, int] = {}
    for nth, key in enumerate(known):
        if None not in key:
            first.setdefault(key, nth)
    missed = [i for i, key in enumerate(asked) if None not in key and key not in first]
    kept = [i for i in range(len(asked)) if miss != "quarantine" or i not in missed]
    assert outcome.kept[words.ROW].to_pylist() == kept
    assert outcome.kept["nth"].to_pylist() == [first.get(asked[i], -1 if miss == "default" else None) for i in kept]
    told, untold = (outcome.rejected, outcome.warned) if miss == "quarantine" else (outcome.warned, outcome.rejected)
    assert told["row"].to_pylist() == missed
    assert len(untold) == 0
