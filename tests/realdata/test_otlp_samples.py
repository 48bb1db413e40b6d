"""OpenTelemetry's own JSON samples: documents over many lines, lists of lists of structs, kept to the last digit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAMES = ("events", "logs", "metrics", "trace")
_SPANS = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "resource": {"type": "object"},
            "scopeSpans": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "spans": {
                            "type": "array",
                            "items": {"type": "object", "properties": {"traceId": {"type": "string"}}},
                        },
                    },
                },
            },
        },
    },
}
SCHEMA = {
    "type": "object",
    "minProperties": 1,
    "properties": {"resourceSpans": _SPANS, "resourceMetrics": {"type": "array"}, "resourceLogs": {}},
}


def test_documents_of_many_lines_and_levels_arrive(shared: Path, platform: Callable[..., Any]):
    files = [shared / "data/events/otel_otlp_json" / f"{name}.json" for name in NAMES]
    raw = [json.loads(file.read_bytes()) for file in files]
    otlp = platform("otlp", SCHEMA)

    assert otlp.publish(*files) == len(files)
    assert otlp.drain() == {"accepted": len(files), "silver": len(files)}

    rows = otlp.rows(
        "SELECT resourceSpans AS spans, resourceMetrics AS metrics, resourceLogs AS logs FROM {silver} ORDER BY _seq"
    )
    for sent, row in zip(raw, rows, strict=True):
        assert json.loads(row["metrics"] or "null") == sent.get("resourceMetrics")
        assert json.loads(row["logs"] or "null") == sent.get("resourceLogs")
        traces = [
            span["traceId"] for each in row["spans"] or () for part in each["scopeSpans"] for span in part["spans"]
        ]
        assert traces == [
            span["traceId"]
            for each in sent.get("resourceSpans", ())
            for part in each["scopeSpans"]
            for span in part["spans"]
        ]
    assert any(row["spans"] for row in rows)
