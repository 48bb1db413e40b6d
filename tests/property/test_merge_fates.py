"""The winner and fates of a key (DESIGN §8), whatever the batches, held against a plain Python model of the rule."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from headrace import words
from headrace.contracts.load import load_contract
from headrace.stages.dataset import Dataset
from headrace.stages.key import KeyHash
from headrace.stages.merge import Merge

CONTRACT = load_contract(
    "orders",
    {
        "type": "object",
        "required": ["id"],
        "properties": {
            "id": {"type": "string"},
            "version": {"type": "integer"},
            "amount": {"type": "number"},
            "address": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    },
)
MERGES = {
    versioned: Merge(Dataset("orders", CONTRACT, key=("id",), version_by="version" if versioned else None))
    for versioned in (True, False)
}
KEY_HASH = KeyHash(Dataset("orders", CONTRACT, key=("id",)))
EPOCH = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)

messages = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.one_of(st.none(), st.integers(0, 2)),
        st.sampled_from([None, 0.0, 1.5]),
        st.sampled_from([None, "Oslo"]),
    ),
    max_size=25,
)
cuts = st.lists(st.integers(0, 25), max_size=5)


def rows(messages, first_seq):
    body = [
        {
            "id": key,
            "version": version,
            "amount": amount,
            "address": None if city is None else {"city": city},
            words.ROW: at,
            words.EVENT_ID: f"m{first_seq + at}",
            words.INGEST_TIME: EPOCH,
            words.SEQ: first_seq + at,
            words.TRACE_ID: None,
            words.SCHEMA_VERSION: CONTRACT.version,
            words.EVENT_TIME: EPOCH,
        }
        for at, (key, version, amount, city) in enumerate(messages)
    ]
    instant = pa.timestamp("us", "UTC")
    schema = pa.schema(
        [
            *CONTRACT.arrow_schema(),
            (words.ROW, pa.int32()),
            (words.EVENT_ID, pa.string()),
            (words.INGEST_TIME, instant),
            (words.SEQ, pa.int64()),
            (words.TRACE_ID, pa.string()),
            (words.SCHEMA_VERSION, pa.string()),
            (words.EVENT_TIME, instant),
        ]
    )
    return pa.RecordBatch.from_pylist(body, schema=schema)


def model(messages, versioned):
    """Return the winner's sequence number per key and the totals, straight from the text of the rule."""
    by_key = defaultdict(lambda: defaultdict(list))
    for seq, message in enumerate(messages):
        by_key[message[0]][message].append(seq)
    totals, winners = Counter(), {}
    for key, pairs in by_key.items():

        def rank(pair, pairs=pairs):
            version = pair[1] if versioned and pair[1] is not None else -1
            return (version, min(pairs[pair]))

        winner = max(pairs, key=rank)
        winners[key] = min(pairs[winner])
        totals["silver"] += 1
        totals["superseded"] += len(pairs) - 1
        totals["duplicate"] += sum(map(len, pairs.values())) - len(pairs)
    return winners, +totals


def live(messages, cuts, versioned):
    """Return the same from the merge, batch by batch over a silver held in memory."""
    merge = MERGES[versioned]
    silver = rows([], 0).to_struct_array().to_pylist()
    lost, totals = set(), Counter()
    borders = sorted({0, len(messages), *(cut for cut in cuts if cut < len(messages))})
    for start, end in pairwise(borders):
        batch = rows(messages[start:end], start)
        stored = pa.Table.from_pylist(silver, schema=batch.schema).append_column(
            words.EVENT_DATE, pa.array([EPOCH.date()] * len(silver), pa.date32())
        )
        hashes = KEY_HASH.of(batch)
        contended = merge.contend(batch, hashes, np.isin(hashes, KEY_HASH.of(stored)))
        merged = merge(contended, stored, frozenset(lost))
        silver = [row for row in silver if row[words.SEQ] not in merged.removed_seqs] + merged.inserted.to_pylist()
        if merged.superseded is not None:
            lost |= set(merged.superseded["digest"].to_pylist())
        for delta in merged.deltas.values():
            totals.update({fate.value: n for fate, n in delta.items()})
    return {row["id"]: row[words.SEQ] for row in silver}, +totals


@given(messages, cuts, st.booleans())
def test_any_batching_gives_the_fates_of_the_rule(messages, cuts, versioned):
    assert live(messages, cuts, versioned) == model(messages, versioned)


def test_what_repeats_within_a_batch_as_it_is_is_told_without_a_query():
    batch = rows([("a", 1, 5, "Oslo"), ("b", 1, 5, "Oslo"), ("a", 1, 5, "Oslo"), ("a", 1, 5, "Oslo")], 0)
    contended = MERGES[True].contend(batch, KEY_HASH.of(batch), np.zeros(4, dtype=bool))
    assert contended.same.tolist() == [False, False, True, True]
    assert contended.pairs is None
    other = rows([("a", 1, 5, "Oslo"), ("a", 2, 5, "Oslo"), ("a", 1, 5, "Oslo"), ("b", 1, 5, "Oslo")], 0)
    contended = MERGES[True].contend(other, KEY_HASH.of(other), np.zeros(4, dtype=bool))
    assert contended.same.tolist() == [False, False, True, False]
    assert contended.places.tolist() == [0, 1], "the key is not alone without its duplicate either"


@given(messages, st.randoms(use_true_random=False), cuts)
def test_with_a_version_that_orders_all_any_order_gives_the_same_silver_values(messages, random, cuts):
    distinct = [(key, at, amount, city) for at, (key, _, amount, city) in enumerate(messages)]
    shuffled = list(distinct)
    random.shuffle(shuffled)
    (whole, totals), (other, other_totals) = live(distinct, cuts, True), live(shuffled, cuts, True)
    assert {distinct[seq] for seq in whole.values()} == {shuffled[seq] for seq in other.values()}
    assert totals == other_totals


def test_a_key_inside_a_struct_is_not_taken_for_a_column_of_that_name():
    # `customer.id` over a table called customer, and `rows.id` over one called rows, are what a bare path would mean.
    for name in ("customer", "rows", "suspects"):
        schema = {
            "properties": {"id": {"type": "string"}, name: {"type": "object", "properties": {"id": {"type": "string"}}}}
        }
        key_hash = KeyHash(Dataset(name, load_contract(name, {"type": "object", **schema}), key=(f"{name}.id",)))
        table = pa.table({"id": ["e1", "e2"], name: [{"id": "c1"}, {"id": "c1"}]})
        assert len(set(key_hash.of(table).tolist())) == 1


def test_a_field_added_inside_a_struct_leaves_older_payloads_as_they_were():
    def digest(fields, city):
        schema = {"id": {"type": "string"}, "address": {"type": "object", "properties": fields}}
        contract = load_contract("orders", {"type": "object", "properties": schema})
        dataset = Dataset("orders", contract, key=("id",))
        names = contract.arrow_schema().field("address").type
        batch = rows([("a", None, None, city)] * 2, 0)
        address = pa.array([{field.name: city if field.name == "city" else None for field in names}] * 2, names)
        table = pa.Table.from_batches([batch]).drop_columns(["version", "amount"]).set_column(1, "address", address)
        table = table.to_batches()[0]
        return Merge(dataset).contend(table, KeyHash(dataset).of(table), np.ones(2, dtype=bool)).digests

    text = {"type": "string"}
    assert digest({"city": text}, "Oslo") == digest({"city": text, "zip": text}, "Oslo")
    assert digest({"city": text}, "Oslo") != digest({"city": text}, "Rome")
