"""Compatibility of real schemas: Apicurio's vectors, and the version chains of Iglu, Wikimedia and Octokit."""

from __future__ import annotations

import gzip
import itertools
import json
import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import yaml

from headrace.contracts.compatibility import STRICT, Change, Verdict, compare
from headrace.contracts.compatibility.avro import compare_avro
from headrace.contracts.load import compiled

if TYPE_CHECKING:
    from pathlib import Path

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DISAGREED = {
    ("String: pattern 1", 10): "both",  # what follows is argued in docs/reference/compatibility.md, vector by vector
    ("String: pattern 2", 11): "both",
    ("Const", 96): "both",
    ("Complex: anyOf 1", 108): "both",
    ("Complex: oneOf 1", 117): "none",
    ("Complex: oneOf 3", 119): "none",
    ("Conditional: if", 124): "both",
    ("Conditional: then", 125): "both",
    ("Conditional: else", 126): "both",
}


def said(changes: tuple[Change, ...]) -> str:
    """Return what changes come to, in the words of the vectors."""
    good = [all(getattr(each, side) is Verdict.COMPATIBLE for each in changes) for side in ("backward", "forward")]
    return {(True, True): "both", (True, False): "backward", (False, True): "forward"}.get((good[0], good[1]), "none")


def test_the_vectors_of_json_schema(shared: Path):
    tests = json.loads((shared / "data/compat/apicurio_jsonschema_compat.json").read_text())["tests"]
    assert len(tests) == 145
    for place, test in enumerate(tests):
        wanted = DISAGREED.get((test["id"], place), test["compatibility"])
        changes = compare(test["original"], test["updated"], model=STRICT)
        assert said(changes) == wanted, (place, test["id"], changes)
        for change in changes:
            shown(change, test["original"], test["updated"])
    assert set(DISAGREED) == {(tests[place]["id"], place) for _, place in DISAGREED}


def test_the_vectors_of_avro(shared: Path):
    tests = json.loads((shared / "data/compat/apicurio_avro_compat.json").read_text())["tests"]
    assert [said(compare_avro(test["original"], test["updated"])) for test in tests] == [
        test["compatibility"] for test in tests
    ]


def shown(change: Change, old: Any, new: Any) -> None:
    """Assert that the examples of a change do what they say."""
    for verdict, example, writer, reader in (
        (change.backward, change.backward_example, old, new),
        (change.forward, change.forward_example, new, old),
    ):
        if verdict is Verdict.BREAKING:
            writes, reads = (compiled(each if isinstance(each, dict) else {}) for each in (writer, reader))
            assert writes.is_valid(example)
            assert reader is False or not reads.is_valid(example)


def judged(chains: dict[str, list[tuple[tuple[int, ...], Any]]], names: tuple[str, ...]) -> Counter[tuple[str, str]]:
    """Return how often each kind of step is judged how, backward."""
    found: Counter[tuple[str, str]] = Counter()
    for chain in chains.values():
        for (was, old), (now, new) in itertools.pairwise(sorted(chain, key=lambda each: each[0])):
            kind = next(name for name, a, b in zip(names, was, now, strict=True) if a != b)
            verdicts = {change.backward for change in compare(old, new)}
            worst = next(
                (each for each in (Verdict.BREAKING, Verdict.UNDECIDED) if each in verdicts), Verdict.COMPATIBLE
            )
            found[kind, worst.value] += 1
    return found


def test_iglu_additions_are_additions(shared: Path):
    root = shared / "data/schemas/iglu_central"
    chains = defaultdict(list)
    for path in root.rglob("*-*-*"):
        if path.is_file():
            number = tuple(map(int, path.name.split("-")))
            chains[str(path.parent)].append((number, json.loads(path.read_text())))
    found = judged(chains, ("MODEL", "REVISION", "ADDITION"))
    assert found == {
        ("ADDITION", "compatible"): 86, ("ADDITION", "breaking"): 4,
        ("REVISION", "compatible"): 4,
        ("MODEL", "breaking"): 32, ("MODEL", "undecided"): 12, ("MODEL", "compatible"): 3,
    }  # fmt: skip


def test_wikimedia_breaks_only_with_a_major_version(shared: Path):
    root = shared / "data/schemas/wikimedia_primary"
    chains = defaultdict(list)
    for path in root.rglob("*.yaml"):
        if re.fullmatch(r"\d+\.\d+\.\d+", path.stem):
            number = tuple(map(int, path.stem.split(".")))
            chains[str(path.parent)].append((number, yaml.load(path.read_text(), Loader=LOADER)))
    assert judged(chains, ("major", "minor", "patch")) == {
        ("major", "breaking"): 10, ("major", "compatible"): 5, ("minor", "compatible"): 13, ("patch", "compatible"): 2,
    }  # fmt: skip


def test_octokit_breaks_with_a_major_version_and_a_payload_shows_it(shared: Path):
    root = shared / "data/schemas/octokit_webhooks"
    old, new = (
        json.loads(gzip.decompress((root / f"schema-{each}.json.gz").read_bytes())) for each in ("3.77.1", "4.13.0")
    )
    breaking = [change for change in compare(old, new) if change.backward is Verdict.BREAKING]
    assert breaking
    writes, reads = compiled(old), compiled(new)
    for change in breaking:
        assert writes.is_valid(change.backward_example)
        assert not reads.is_valid(change.backward_example)
    assert compare(old, old) == ()
