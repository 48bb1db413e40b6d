"""What came out: one checker for every peer, and the answer computed in the plainest way.

An answer is what DuckDB finds in a peer's output: the rows, a checksum of all their columns that does not depend on
order, the rows that lie in the partition of another day, and the lines that were set aside. `expected` reads the input
line by line into a dictionary, and has nothing in common with any peer but the library that knows JSON Schema.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = ("order_id", "status", "currency", "email", "channel", "note", "street", "city", "zip")
NUMBERS = ("customer_id", "quantity", "gift", "amount")
INSTANTS = ("ordered_at", "updated_at")
_TYPES = {"customer_id": "BIGINT", "quantity": "BIGINT", "gift": "BOOLEAN", "amount": "DOUBLE"}


@dataclass(frozen=True)
class Answer:
    """What a run has left: two runs did the same job where these are equal."""

    rows: int
    rejected: int
    checksum: str
    misplaced: int = 0


def checksum(relation: str, event_date: str | None = "event_date") -> str:
    """Return the query that finds rows, checksum and misplaced rows of a relation with the columns above.

    A row's part is 64 bits of the MD5 of its columns as text, and the checksum is the sum of all parts: one that is
    missing, repeated or different changes it, whatever their order.
    """
    columns = [f"{name}::VARCHAR" for name in TEXTS]
    columns += [f"{name}::{_TYPES[name]}::VARCHAR" for name in NUMBERS]
    columns += [f"epoch_us({name})::VARCHAR" for name in INSTANTS]
    text = " || chr(31) || ".join(f"coalesce({column}, chr(30))" for column in columns)
    misplaced = f"count(*) FILTER ({event_date}::DATE IS DISTINCT FROM ordered_at::DATE)" if event_date else "0"
    return (
        f"SELECT count(*) AS row_count, coalesce(sum(md5_number_lower({text})::HUGEINT), 0)::VARCHAR AS checksum, "
        f"{misplaced} AS misplaced FROM {relation}"
    )


def answer_of(relation: str, rejected: str, event_date: str | None = "event_date", attach: str = "") -> Answer:
    """Return the answer that lies in files: `relation` and `rejected` are SQL, the latter gives one number."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        if attach:
            connection.execute(attach)
        row = connection.execute(checksum(relation, event_date)).fetchone()
        aside = connection.execute(rejected).fetchone()
    assert row is not None
    assert aside is not None
    return Answer(row[0], aside[0], row[1], row[2])


def expected(folder: Path, schema: Path, scratch: Path) -> Answer:
    """Return the answer to the job: of each key the valid line with the greatest version."""
    import jsonschema_rs

    validator = jsonschema_rs.validator_for(json.loads(schema.read_text()), validate_formats=True)
    best: dict[str, tuple[str, bytes]] = {}
    rejected = 0
    for file in sorted(folder.iterdir()):
        with file.open("rb") as lines:
            for line in lines:
                order = _valid(line, validator)
                if order is None:
                    rejected += 1
                elif order["order_id"] not in best or best[order["order_id"]][0] < order["updated_at"]:
                    best[order["order_id"]] = (order["updated_at"], line)
    winners = scratch / "expected.jsonl"
    with winners.open("wb") as out:
        out.writelines(line for _, line in best.values())
    types = "{" + ", ".join(f"{name}: '{_TYPES.get(name, 'VARCHAR')}'" for name in TEXTS[:6] + NUMBERS)
    types += ", ordered_at: 'TIMESTAMP', updated_at: 'TIMESTAMP'"
    types += ", address: 'STRUCT(street VARCHAR, city VARCHAR, zip VARCHAR)'}"
    source = f"read_json('{winners}', format = 'newline_delimited', columns = {types})"
    try:
        return answer_of(f"(SELECT * EXCLUDE address, unnest(address) FROM {source})", f"SELECT {rejected}", None)
    finally:
        winners.unlink()


def _valid(line: bytes, validator: Any) -> dict[str, Any] | None:
    try:
        order = json.loads(line)
    except ValueError:
        return None
    return order if validator.is_valid(order) else None
