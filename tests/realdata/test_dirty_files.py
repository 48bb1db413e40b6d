"""Files as they lie about: mixed types, nulls, names with blanks; another validator counts what a contract refuses."""

from __future__ import annotations

import csv
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MOVIES = {
    "type": "object",
    "required": ["Title", "US Gross", "Release Date"],
    "properties": {
        "Title": {"type": "string"},
        "US Gross": {"type": "integer"},
        "Worldwide Gross": {"type": ["integer", "null"]},
        "US DVD Sales": {"type": ["integer", "null"]},
        "Production Budget": {"type": ["integer", "null"], "exclusiveMinimum": 1000},
        "Release Date": {"type": "string", "pattern": "^[A-Z][a-z]{2} [0-9]{2} [0-9]{4}$"},
        "MPAA Rating": {"enum": ["G", "PG", "PG-13", "R", "NC-17", "Not Rated", None]},
        "Running Time min": {"type": ["integer", "null"]},
        "IMDB Rating": {"type": ["number", "null"], "maximum": 9},
        "IMDB Votes": {"type": ["integer", "null"]},
        "Rotten Tomatoes Rating": {"type": ["integer", "null"]},
        **{
            name: {"type": ["string", "null"]}
            for name in ("Distributor", "Source", "Major Genre", "Creative Type", "Director")
        },
    },
    "additionalProperties": False,
}
NUMBERS = ("Cost Other", "Cost Repair", "Cost Total $", "Speed IAS in knots")


@pytest.mark.parametrize("way", ["published", "dropped"])
def test_movies_of_mixed_types_are_refused_as_another_validator_refuses_them(
    shared: Path, platform: Callable[..., Any], way: str
):
    file = shared / "data/events/dirty/vega_movies.json"
    raw = json.loads(file.read_text())
    other = jsonschema.Draft202012Validator(MOVIES)
    good = [movie for movie in raw if other.is_valid(movie)]
    faults: Counter[str] = Counter()
    for movie in raw:
        faults.update({str(error.validator) for error in other.iter_errors(movie)})
    movies = platform("movies", MOVIES, ingestion={"pattern": "batch_file", "location": "landing/"})

    assert movies.take(way, file) == len(raw) == 3201
    assert movies.drain() == {"accepted": 3201, "silver": len(good), "quarantined": 3201 - len(good)}
    assert 0 < len(good) < 3191

    names = ", ".join(f'"{name}"' for name in MOVIES["properties"])
    silver = movies.rows(f"SELECT {names} FROM {{silver}}")
    assert Counter(_text(row) for row in silver) == Counter(_text(movie) for movie in good)
    found = movies.codes()
    assert {stage for stage, _, _ in found} == {"contract"}
    assert {code for _, code, _ in found} == set(faults)
    assert ("contract", "type", '$["US Gross"]') in found
    wrong_titles = [movie["Title"] for movie in raw if not isinstance(movie["Title"], str)]
    quarantined = movies.rows("SELECT value FROM lake.ops.quarantine WHERE path = '$.Title'")
    assert {row["value"] for row in quarantined} <= {json.dumps(title) for title in wrong_titles}


def _text(movie: dict[str, Any]) -> str:
    return json.dumps(
        {name: float(each) if isinstance(each, int) else each for name, each in movie.items()}, sort_keys=True
    )


@pytest.mark.parametrize("way", ["published", "dropped"])
def test_birdstrikes_of_a_csv_file_get_the_types_of_their_contract(
    shared: Path, platform: Callable[..., Any], way: str
):
    file = shared / "data/events/dirty/vega_birdstrikes.csv"
    with file.open(newline="") as lines:
        raw = list(csv.DictReader(lines))
    schema = {
        "type": "object",
        "properties": {
            name: {"type": "integer", "minimum": 0} if name in NUMBERS else {"type": "string"} for name in raw[0]
        }
        | {"Flight Date": {"type": "string", "format": "date"}},
        "required": ["Flight Date"],
        "additionalProperties": False,
    }
    ingestion = {"pattern": "batch_file", "message_format": "csv", "location": "landing/"}
    strikes = platform("strikes", schema, ingestion=ingestion)

    assert strikes.take(way, file) == len(raw) == 10000
    assert strikes.drain() == {"accepted": 10000, "silver": 10000}

    for name in NUMBERS:
        (row,) = strikes.rows(f'SELECT sum("{name}") AS total, count("{name}") AS n FROM {{silver}}')
        cells = [int(each[name]) for each in raw if each[name]]
        assert (row["total"], row["n"]) == (sum(cells), len(cells))
    columns = '"Airport Name", "Wildlife Species", "Flight Date"::VARCHAR AS "Flight Date"'
    silver = strikes.rows(f"SELECT {columns}, count(*) AS n FROM {{silver}} GROUP BY ALL")
    counted = Counter((row["Airport Name"], row["Wildlife Species"], row["Flight Date"]) for row in raw)
    assert {(row["Airport Name"], row["Wildlife Species"], row["Flight Date"]): row["n"] for row in silver} == counted
