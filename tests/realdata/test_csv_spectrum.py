"""csv-spectrum: twelve CSV files with the JSON that every reader of CSV should make of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAMES = (
    "comma_in_quotes",
    "empty",
    "empty_crlf",
    "escaped_quotes",
    "json",
    "location_coordinates",
    "newlines",
    "newlines_crlf",
    "quotes_and_newlines",
    "simple",
    "simple_crlf",
    "utf8",
)


@pytest.mark.parametrize("way", ["published", "dropped"])
def test_rows_of_all_files_are_the_json_beside_them(shared: Path, platform: Callable[..., Any], way: str):
    folder = shared / "data/torture/csv_spectrum"
    expected: list[dict[str, str]] = []
    for name in NAMES:
        rows = json.loads((folder / "json" / f"{name}.json").read_bytes())
        if name == "location_coordinates":  # upstream's JSON is one bare object, and of another telephone
            rows = [rows | {"Contact Phone Number": "2095257564"}]
        expected += rows
    columns = list(dict.fromkeys(column for row in expected for column in row))
    schema = {"type": "object", "properties": {column: {"type": "string"} for column in columns}}
    ingestion = {"pattern": "batch_file", "message_format": "csv", "location": "landing/"}
    torture = platform("torture", schema, ingestion=ingestion)

    assert torture.take(way, *(folder / "csvs" / f"{name}.csv" for name in NAMES)) == len(expected)
    assert torture.drain() == {"accepted": len(expected), "silver": len(expected)}

    names = ", ".join(f'"{column}"' for column in columns)
    silver = torture.rows(f"SELECT {names} FROM {{silver}} ORDER BY _seq")
    assert [{name: cell for name, cell in row.items() if cell is not None} for row in silver] == expected
