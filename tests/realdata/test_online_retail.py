"""Days of an online shop as CSV: exact duplicates, null customers, and rows that another program broke."""

from __future__ import annotations

import csv
import tarfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SCHEMA = {
    "type": "object",
    "required": ["InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "UnitPrice", "Country"],
    "properties": {
        "InvoiceNo": {"type": "string"},
        "StockCode": {"type": "string"},
        "Description": {"type": "string"},
        "Quantity": {"type": "integer"},
        "InvoiceDate": {"type": "string"},
        "UnitPrice": {"type": "number", "format": "decimal", "precision": 12, "scale": 3},
        "CustomerID": {"type": "integer"},
        "Country": {"type": "string"},
    },
    "additionalProperties": False,
}
DAYS = 4
BROKEN = (
    b"536365,85123A,A LAMP,6,2010-12-01 08:26:00,2.55\n",
    b"536365,85123A,A,LAMP,6,2010-12-01 08:26:00,2.55,1.0,UK\n",
)


def test_lines_of_an_invoice_merge_by_the_rule_of_fates(
    shared: Path, platform: Callable[..., Any], keyed: Callable[..., Any], tmp_path: Path
):
    with tarfile.open(shared / "data/events/online_retail/online_retail_2010-12_to_2011-05_by_day.tar.gz") as archive:
        members = [member for member in archive.getmembers() if member.isfile()][:DAYS]
        archive.extractall(tmp_path, members, filter="data")
    files = [tmp_path / member.name for member in members]
    raw: list[dict[str, str]] = []
    for file in files:
        with file.open(newline="") as lines:
            raw += csv.DictReader(lines)
    with files[0].open("ab") as file:
        file.writelines(BROKEN)
    # The rule, in plain Python: of a key's distinct lines the one that was first seen last is the row.
    winners: dict[tuple[str, str], tuple[str, ...]] = {}
    distinct: set[tuple[str, ...]] = set()
    for each in raw:
        line = tuple(each.values())
        if line not in distinct:
            distinct.add(line)
            winners[each["InvoiceNo"], each["StockCode"]] = line
    assert len(winners) < len(distinct) < len(raw)

    processing = keyed("InvoiceNo", "StockCode")
    ingestion = {"pattern": "batch_file", "message_format": "csv"}
    retail = platform("retail", SCHEMA, ingestion=ingestion, event_time="InvoiceDate", processing=processing)
    assert retail.publish(*files) == len(raw) + len(BROKEN)
    assert retail.drain() == {
        "accepted": len(raw) + len(BROKEN),
        "silver": len(winners),
        "superseded": len(distinct) - len(winners),
        "duplicate": len(raw) - len(distinct),
        "quarantined": len(BROKEN),
    }

    assert retail.codes() == {("decode", "ragged_row", "$"): len(BROKEN)}
    silver = retail.rows("SELECT * FROM {silver}")
    assert {(row["InvoiceNo"], row["StockCode"]): _line(row) for row in silver} == {
        key: (line[2], int(line[3]), line[4], float(line[5]), float(line[6]) if line[6] else None, line[7])
        for key, line in winners.items()
    }


def _line(row: dict[str, Any]) -> tuple[Any, ...]:
    names = ("Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
    return tuple(float(row[name]) if name == "UnitPrice" else row[name] for name in names)
