"""Embedded examples of published families: each is valid, under our reading, exactly as its family says.

Those of Wikimedia are in test_wikimedia_schemas; what is embedded in Iglu Central's schemas is none.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import yaml

from headrace.contracts.formats.bundle import bundled
from headrace.contracts.load import compiled, plain_schema

if TYPE_CHECKING:
    from pathlib import Path


class _Plain(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML whose dates are text, as JSON has them."""


_Plain.yaml_implicit_resolvers = {
    first: [each for each in resolvers if each[0] != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in _Plain.yaml_implicit_resolvers.items()
}


def test_contracts_of_odcs_are_valid_for_the_version_that_they_name(shared: Path):
    root = shared / "data/schemas/odcs"
    (newest,) = (path for path in root.glob("*.json") if "v3.1.0" in path.name)
    (older,) = (path for path in root.glob("*.json") if "v3.0.2" in path.name)
    reads = {path: compiled(plain_schema(json.loads(path.read_text()))) for path in (newest, older)}
    found = [yaml.load(path.read_text(), Loader=_Plain) for path in sorted((root / "examples").rglob("*.yaml"))]
    assert len(found) == 18
    assert all(reads[newest].is_valid(each) for each in found)
    assert not any(reads[older].is_valid(each) for each in found if each["apiVersion"] == "v3.1.0")
    assert not reads[newest].is_valid({**found[0], "apiVersion": "v9"})


def test_examples_of_openlineage_are_valid_for_their_facets(shared: Path):
    root = shared / "data/schemas/openlineage_spec"
    known: dict[str, Any] = {}
    for path in (*root.glob("*.json"), *(root / "facets").glob("*.json")):
        document = json.loads(path.read_text())
        known[document["$id"]] = document

    def load(place: str, reference: str) -> tuple[Any, str]:
        return known[reference], reference

    checked = 0
    for place, document in known.items():
        folder = root / "tests" / place.rpartition("/")[2].removesuffix(".json")
        examples = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
        if examples:
            reads = compiled(bundled(document, "", place, load))
            for example in examples:
                assert reads.is_valid(example), (place, [each.message for each in reads.iter_errors(example)])
                (name,) = example
                assert not reads.is_valid({name: {**example[name], "_producer": 1}}), place
            checked += len(examples)
    (whole,) = (each for place, each in known.items() if place.endswith("/OpenLineage.json"))
    event = json.loads((root / "tests/example_full_event.json").read_text())
    assert compiled(plain_schema(whole)).is_valid(event)
    assert not compiled(plain_schema(whole)).is_valid({**event, "eventTime": 7})
    assert checked == 46


def test_examples_of_the_text_of_cloudevents(shared: Path):
    root = shared / "data/schemas/cloudevents"
    reads = compiled(plain_schema(json.loads((root / "cloudevents.json").read_text())))
    text = (root / "spec.md").read_text()
    found = [json.loads(each) for each in re.findall(r"```(?:JSON|json)\n(.*?)```", text, re.DOTALL)]
    assert found
    for event in found:
        assert reads.is_valid(event), [each.message for each in reads.iter_errors(event)]
        assert not reads.is_valid({name: value for name, value in event.items() if name != "id"})
