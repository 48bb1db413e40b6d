"""Events in wrappings, and what the stages decide of them: Iglu's envelopes, Confluent's frames."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from headrace import words
from headrace.contracts.iglu import family
from headrace.contracts.load import load_contract
from headrace.contracts.versions import Version, number_of
from headrace.stages.csv_rows import CsvSpec
from headrace.stages.dataset import Dataset
from headrace.stages.upcast_way import check_upcasts
from headrace.stages.versioned import Versioned, VersionFrom

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

CSV = CsvSpec()
TEXT = {"type": "string"}
URI = "iglu:com.shop/order/jsonschema/"


def shape(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": ["id"], "properties": properties, "additionalProperties": False}


def dataset(schemas: Mapping[str, Any], **more: Any) -> Dataset:
    """Return a dataset of the versions that are named, the newest last."""
    versions = tuple(
        Version(name, number_of(name) or (0, 0, 0), load_contract("orders", schema, version=name.removeprefix("v")),
                schema, lifecycle="stable")
        for name, schema in schemas.items()
    )  # fmt: skip
    return Dataset("orders", versions[-1].contract, versions=versions, **more)


OLD, NEW = shape(id=TEXT), shape(id=TEXT, note=TEXT)
FRAMED = dataset(
    {"v1": OLD, "v2": NEW}, version_from=VersionFrom.model_validate({"confluent": {"v1": 1, "v2": [4, 7]}})
)
WRAPPED = dataset({"1-0-0": OLD, "1-0-1": NEW}, iglu=family("com.shop/order"))


def framed(number: int, body: Any) -> bytes:
    return b"\0" + number.to_bytes(4, "big") + (body if isinstance(body, bytes) else json.dumps(body).encode())


def envelope(version: str, data: Any, uri: str = URI) -> dict[str, Any]:
    return {"schema": f"{uri}{version}", "data": data}


def decided(
    of: Dataset, batch: pa.RecordBatch, kind: str = "json", csv: CsvSpec = CSV
) -> tuple[list[Any], list[Any], list[str]]:
    """Return the events, the rejections, and the version of each message, of which each is one of the two."""
    (kept, rejected, warned), found = Versioned(kind, csv, of).decide(batch)
    assert not len(warned)
    assert not [each for each in check_upcasts(of.versions, of.upcasts) if not each.warning]
    names = [each.contract.version.rpartition("-")[0] for each in of.versions]
    told = names[-1:] * len(batch) if found is None else [each.rpartition("-")[0] for each in found.to_pylist()]
    assert sorted([*kept[words.ROW].to_pylist(), *rejected["row"].to_pylist()]) == list(range(len(batch)))
    assert kept[words.ROW].to_pylist() == sorted(kept[words.ROW].to_pylist())
    assert [each.rpartition("-")[0] for each in kept[words.SCHEMA_VERSION].to_pylist()] == [
        told[row] for row in kept[words.ROW].to_pylist()
    ]
    columns = [column.name for column in of.contract.columns]
    return kept.select(columns).to_pylist(), rejected.to_pylist(), told
