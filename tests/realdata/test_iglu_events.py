"""Real self-describing events of Snowplow, held against the schemas of Iglu Central that they name."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft4Validator

from headrace.config.project import load_project
from pulling import messages
from wrapping import decided

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FAMILIES = {
    "com.snowplowanalytics.snowplow/client_session": {"1-0-1": 94},
    "com.snowplowanalytics.snowplow/geolocation_context": {"1-0-0": 50},
    "com.snowplowanalytics.snowplow/link_click": {"1-0-1": 19},
    "com.optimizely.optimizelyx/summary": {"1-0-0": 50},
}


def described(value: Any) -> Iterator[Any]:
    """Yield the self-describing parts of a document, however deep."""
    if isinstance(value, dict):
        if value.keys() == {"schema", "data"}:
            yield value
        for each in value.values():
            yield from described(each)
    elif isinstance(value, list):
        for each in value:
            yield from described(each)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_event_is_held_against_the_version_that_it_names(family: str, shared: Path, tmp_path: Path):
    lines = (shared / "data/events/snowplow_enriched/spec4_input_enriched.tsv").read_text(errors="replace")
    cells = (cell for cell in lines.replace("\n", "\t").split("\t") if cell.startswith('{"schema"'))
    events = [event for cell in cells for event in described(json.loads(cell))]
    folder = f"iglu/schemas/{family}/jsonschema"
    shutil.copytree(shared / f"data/schemas/iglu_central/{family}/jsonschema", tmp_path / folder)
    (tmp_path / "connectors").mkdir()
    (tmp_path / "headrace.yaml").write_text("name: real\n")
    (tmp_path / "connectors/events.yaml").write_text(
        f"source_id: events\ningestion: {{pattern: event_streaming}}\nschema: {{iglu: {family}}}\n"
    )
    (dataset,) = load_project(tmp_path, environ={}).source("events").datasets

    mine = [event for event in events if event["schema"].startswith(f"iglu:{family}/jsonschema/")]
    assert Counter(event["schema"].rpartition("/")[2] for event in mine) == FAMILIES[family]
    met = [
        Draft4Validator(json.loads((tmp_path / folder / event["schema"].rpartition("/")[2]).read_text())).is_valid(
            event["data"]
        )
        for event in mine
    ]
    kept, rejected, told = decided(dataset, messages(*events))
    assert len(kept) == sum(met) > 0
    codes = Counter(each["code"] for each in rejected)
    assert codes["schema_unknown"] + codes["not_an_object"] == len(events) - len(mine)
    assert {told[events.index(event)] for event in mine} == FAMILIES[family].keys()
    first = next(event for event, is_met in zip(mine, met, strict=True) if is_met)["data"]
    for name, value in first.items():
        assert name not in kept[0] or isinstance(value, dict | list) or str(kept[0][name]) in {str(value), f"{value}.0"}
