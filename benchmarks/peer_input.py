"""The job of the peers' bench: its input, its contract, and the answer that everybody must give.

Orders of about 400 bytes, thirteen fields, one of them an object, over ten days. Of the lines 5% repeat, byte for byte,
a line from among the 100,000 before; 5% are another version of such an order, in no order of their versions; 1% break
the contract: a third by a wrong type, a third by a status that nobody knows, a third are cut off. What an order and its
version hold is a function of both, so that of two lines with one key and one version either will do.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

import shop_events

if TYPE_CHECKING:
    from pathlib import Path

SINCE = "2026-11-01"
DAYS = 10
FILES = 4
SEED = 7

SCHEMA = {
    **shop_events.SCHEMA,
    "required": ["order_id", "customer_id", "ordered_at", "updated_at", "status", "amount"],
    "properties": {
        **shop_events.SCHEMA["properties"],  # type: ignore[dict-item]
        "updated_at": {"type": "string", "format": "date-time"},
        "amount": {"type": "number", "exclusiveMinimum": 0},
    },
}

_BACK = "greatest(0, {n} - 1 - (hash({n}, 21, $seed) % 100000)::BIGINT)"
_KIND = "(hash({n}, 20, $seed) % 10000)"
_VERSION = "(1 + hash({n}, 23, $seed) % 259200000000)::BIGINT"  # microseconds: up to three days later
_LINES = f"""
    WITH drawn AS (
        SELECT n, {_BACK.format(n="n")} AS back, n > 0 AND {_KIND.format(n="n")} < $duplicates AS repeated,
            n > 0 AND {_KIND.format(n="n")} BETWEEN $duplicates AND $duplicates + $updates - 1 AS updated
        FROM range($first::BIGINT, $last::BIGINT) t(n)
    ), of_orders AS (
        SELECT n, CASE
                WHEN updated THEN {{'i': back, 'version': {_VERSION.format(n="n")}}}
                WHEN NOT repeated THEN {{'i': n, 'version': 0}}
                WHEN {_KIND.format(n="back")} BETWEEN $duplicates AND $duplicates + $updates - 1 AND back > 0
                    THEN {{'i': {_BACK.format(n="back")}, 'version': {_VERSION.format(n="back")}}}
                ELSE {{'i': back, 'version': 0}} END AS of
        FROM drawn
    ), orders AS (
        SELECT n, i, version, {shop_events.COLUMNS} FROM (SELECT n, of.i AS i, of.version AS version FROM of_orders)
    ), texts AS (
        SELECT n, hash(i, 22, version, $seed) % 10000 AS broken, to_json(struct_pack(
            order_id, customer_id, ordered_at := strftime(ordered_at, '%Y-%m-%dT%H:%M:%S.%fZ'),
            updated_at := strftime(ordered_at + to_microseconds(version), '%Y-%m-%dT%H:%M:%S.%fZ'),
            status := ['placed', 'paid', 'shipped', 'returned'][1 + (hash(i, 2, version, $seed) % 4)::INT],
            amount, currency, email, quantity, gift, channel, note, address))::VARCHAR AS text
        FROM orders
    )
    SELECT CASE
        WHEN broken < $invalid / 3 THEN replace(text, '"gift":', '"gift":"no","gifts":')
        WHEN broken < 2 * $invalid / 3 THEN replace(text, '"status":"', '"status":"un')
        WHEN broken < $invalid THEN substr(text, 1, 100)
        ELSE text END AS line
    FROM texts ORDER BY n
"""
STEP = 50_000


@dataclass(frozen=True)
class Job:
    """What every peer is given: a folder of files with one JSON order a line, and the contract."""

    folder: Path
    schema: Path
    events: int
    bytes: int


def write_input(
    folder: Path,
    events: int,
    *,
    seed: int = SEED,
    duplicates: float = 0.05,
    updates: float = 0.05,
    invalid: float = 0.01,
) -> Job:
    """Write the input and the contract: the same for the same arguments."""
    files = folder / "input"
    files.mkdir(parents=True)
    schema = folder / "orders.schema.json"
    schema.write_text(json.dumps(SCHEMA))
    size = 0
    per_file = -(-events // FILES)
    with duckdb.connect() as connection:
        for number in range(FILES):
            end = min(per_file * (number + 1), events)
            with (files / f"part-{number}.jsonl").open("wb") as out:
                for first in range(per_file * number, end, STEP):
                    shares = {"duplicates": duplicates, "updates": updates, "invalid": invalid}
                    lines = connection.execute(
                        _LINES,
                        {name: round(share * 10_000) for name, share in shares.items()}
                        | {
                            "seed": seed,
                            "since": SINCE,
                            "spacing": max(DAYS * 86_400_000_000 // events, 1),
                            "first": first,
                            "last": min(first + STEP, end),
                        },
                    ).fetchall()
                    size += out.write("".join(f"{line}\n" for (line,) in lines).encode())
    return Job(files, schema, events, size)
