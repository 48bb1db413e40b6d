"""Wikimedia's event schemas: every one is a contract, and its own examples are valid and survive the way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from headrace.contracts.load import compiled, load_contract

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="session")
def schemas(shared: Path) -> dict[str, dict[str, Any]]:
    """Return every schema by its path."""
    root = shared / "data/schemas/wikimedia_primary"
    found = {str(path.relative_to(root)): yaml.safe_load(path.read_text()) for path in sorted(root.rglob("*.yaml"))}
    assert len(found) == 83
    return found


def test_every_schema_loads_and_its_examples_are_valid(schemas: dict[str, dict[str, Any]]):
    checked = 0
    for path, schema in schemas.items():
        contract = load_contract(path, schema, at=path)
        assert {column.name for column in contract.columns} >= set(schema.get("properties", ())), path
        for example in schema.get("examples", ()):
            assert compiled(contract.schema).is_valid(example), path
            checked += 1
    assert checked == 85


def test_examples_of_the_largest_and_of_a_small_family_reach_silver(
    schemas: dict[str, dict[str, Any]], platform: Callable[..., Any], tmp_path: Path
):
    largest = max(schemas, key=lambda path: len(json.dumps(schemas[path])) if "examples" in schemas[path] else 0)
    for number, path in enumerate((largest, "resource_change/1.0.0.yaml")):
        examples = schemas[path]["examples"]
        file = tmp_path / f"{number}.json"
        file.write_text(json.dumps(examples))
        wiki = platform(f"family_{number}", schemas[path])
        assert wiki.publish(file) == len(examples)
        assert wiki.drain() == {"accepted": len(examples), "silver": len(examples)}
