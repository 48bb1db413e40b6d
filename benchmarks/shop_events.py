"""Seeded events for the benchmarks: orders of about 400 bytes, twelve fields, one of them nested."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["order_id", "customer_id", "ordered_at", "status", "amount"],
    "additionalProperties": False,
    "properties": {
        "order_id": {"type": "string", "minLength": 1},
        "customer_id": {"type": "integer", "minimum": 0},
        "ordered_at": {"type": "string", "format": "date-time"},
        "status": {"enum": ["placed", "paid", "shipped", "returned"]},
        "amount": {"type": "number"},
        "currency": {"type": "string", "minLength": 3, "maxLength": 3},
        "email": {"type": ["string", "null"]},
        "quantity": {"type": "integer", "minimum": 1},
        "gift": {"type": "boolean"},
        "channel": {"type": "string"},
        "note": {"type": "string"},
        "address": {
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}, "zip": {"type": "string"}},
        },
    },
}

PER_BATCH = 50_000

COLUMNS = """
    format('o-{:016x}', hash(i, $seed)) AS order_id,
    (hash(i, 1, $seed) % 1000000)::BIGINT AS customer_id,
    $since::TIMESTAMP + to_microseconds((i * $spacing)::BIGINT) AS ordered_at,
    ['placed', 'paid', 'shipped', 'returned'][1 + (hash(i, 2, $seed) % 4)::INT] AS status,
    round((hash(i, 3, $seed) % 100000) / 100.0 + 1, 2)::DOUBLE AS amount,
    ['EUR', 'USD', 'GBP'][1 + (hash(i, 4, $seed) % 3)::INT] AS currency,
    format('customer{}@example.com', hash(i, 1, $seed) % 1000000) AS email,
    (1 + hash(i, 5, $seed) % 9)::BIGINT AS quantity,
    hash(i, 6, $seed) % 10 = 0 AS gift,
    ['web', 'app', 'store', 'partner'][1 + (hash(i, 7, $seed) % 4)::INT] AS channel,
    substr('please leave the parcel with the neighbours on the second floor if nobody is at home today, and '
           || 'ring the bell twice: the dog is friendly', 1, 60 + (hash(i, 8, $seed) % 70)::INT) AS note,
    {street: format('Main Street {}', hash(i, 9, $seed) % 400),
     city: ['Oslo', 'Lyon', 'Graz', 'Porto', 'Gent'][1 + (hash(i, 10, $seed) % 5)::INT],
     zip: format('{:05d}', hash(i, 11, $seed) % 100000)} AS address
"""


def rows(first: int, count: int, *, seed: int, since: str, spacing_micros: int) -> pa.Table:
    """Return orders as typed columns: the same for the same arguments, whatever the calls before."""
    with duckdb.connect() as connection:
        return connection.execute(
            f"SELECT {COLUMNS} FROM range($first::BIGINT, $last::BIGINT) t(i)",
            {"seed": seed, "since": since, "spacing": spacing_micros, "first": first, "last": first + count},
        ).to_arrow_table()


def messages(
    count: int, *, seed: int, since: str, spacing_micros: int, duplicates: float = 0.05, invalid: float = 0.01
) -> Iterator[pa.RecordBatch]:
    """Yield batches of payloads: JSON orders in time order.

    A share of `duplicates` repeats, byte for byte, an order from among the 100,000 before it; a share of `invalid`
    breaks the contract (half by a wrong type, half by an unknown status).
    """
    step = PER_BATCH
    with duckdb.connect() as connection:
        for first in range(0, count, step):
            batch = connection.execute(
                f"""
                WITH numbered AS (
                    SELECT n, CASE WHEN n > 0 AND hash(n, 20, $seed) % 10000 < $duplicates
                        THEN greatest(0, n - 1 - (hash(n, 21, $seed) % 100000)::BIGINT) ELSE n END AS i
                    FROM range($first::BIGINT, $last::BIGINT) t(n)
                ), orders AS (SELECT n, i, {COLUMNS} FROM numbered)
                SELECT encode(CASE
                    WHEN hash(i, 22, $seed) % 10000 < $invalid / 2 THEN replace(text, '"gift":', '"gift":"no","gifts":')
                    WHEN hash(i, 22, $seed) % 10000 < $invalid THEN replace(text, '"status":"', '"status":"un')
                    ELSE text END) AS payload
                FROM (SELECT n, i, to_json(struct_pack(
                    order_id, customer_id, ordered_at := strftime(ordered_at, '%Y-%m-%dT%H:%M:%S.%fZ'), status, amount,
                    currency, email, quantity, gift, channel, note, address))::VARCHAR AS text FROM orders)
                ORDER BY n
                """,
                {
                    "seed": seed, "since": since, "spacing": spacing_micros, "first": first,
                    "last": min(first + step, count),
                    "duplicates": int(duplicates * 10000), "invalid": int(invalid * 10000),
                },
            ).to_arrow_table()  # fmt: skip
            yield from batch.combine_chunks().to_batches()
