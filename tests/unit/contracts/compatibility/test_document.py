"""Parts of documents: where they are, and whether two of them say the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headrace.contracts.compatibility.document import Document, Part, Sameness, alike, text

TWICE: dict[str, Any] = {"type": "object", "properties": {"a": {"$ref": "NEXT"}, "b": {"items": {"$ref": "AFTER"}}}}


def chain(length: int, last: Any) -> dict[str, Any]:
    """Return a document of definitions of which each refers to the two that follow it."""
    found: dict[str, Any] = {}
    for at in range(length):
        after = [f"#/$defs/n{min(at + step, length)}" for step in (1, 2)]
        found[f"n{at}"] = json.loads(json.dumps(TWICE).replace("NEXT", after[0]).replace("AFTER", after[1]))
    return {"$defs": {**found, f"n{length}": last}}


class Followed(Document):
    """A document that counts how often a reference in it is followed."""

    followed_times = 0

    def followed(self, reference: Any) -> Part | None:
        self.followed_times += 1
        return super().followed(reference)


@pytest.mark.parametrize("last", [{"type": "integer"}, {"type": "string"}])
def test_what_references_lead_to_is_held_against_each_other_once(last: Any) -> None:
    length = 60
    old, new = Followed(chain(length, {"type": "string"})), Followed(chain(length, last))
    same = Sameness()
    said = {
        same.parts(*(each.made({"$ref": f"#/$defs/n{at}"}, "#") for each in pair))
        for at in range(length)
        for pair in ((old, new), (new, old))
    }
    assert said == {last == {"type": "string"}}
    assert old.followed_times == new.followed_times == length + 1


class Compared(dict[str, Any]):
    """A schema that counts how often any of them is held against another."""

    times = 0

    def __ne__(self, other: object) -> bool:
        Compared.times += 1
        return super().__ne__(other)


@pytest.mark.parametrize("word", ["integer", "string"])
def test_two_parts_are_held_against_each_other_once_whichever_is_named_first(word: str) -> None:
    old, new = (Document({}).made(Compared(type=each), "#") for each in ("string", word))
    same, before = Sameness(), Compared.times
    assert {same.parts(*pair) for pair in ((old, new), (new, old), (old, new))} == {word == "string"}
    assert Compared.times == before + 1


def test_a_circle_is_the_same_unless_something_on_it_differs() -> None:
    round_ = {"$defs": {"a": {"items": {"$ref": "#/$defs/b"}}, "b": {"not": {"$ref": "#/$defs/a"}}, "c": {}}}
    other = {"$defs": {**round_["$defs"], "b": {"not": {"$ref": "#/$defs/a"}, "items": {"$ref": "#/$defs/c"}}}}
    for new, said in ((round_, True), (other, False)):
        one, two = Document(round_), Document(json.loads(json.dumps(new)))
        for name in ("a", "b"):
            assert Sameness().parts(*(each.made({"$ref": f"#/$defs/{name}"}, "#") for each in (one, two))) is said
    assert not Sameness().parts(*(each.made({"$ref": "#/$defs/nowhere"}, "#") for each in (one, two)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True), (0, False), (1, 1.0), (-0.0, 0), ([1, "a", [True]], [1, "a", [1]]), ([], []), ({"a": {}}, {"a": {}}),
        ({"a": {"b": [0]}}, {"a": {"b": [False]}}), ({"a": 1, "b": None}, {"b": None, "a": 1.0}),
        ({"enum": ["x", 1]}, {"enum": ["x", True]}),
    ],
)  # fmt: skip
def test_values_are_alike_where_their_text_is_the_same(one: Any, other: Any) -> None:
    assert one == other
    assert alike(one, other) is (text(one) == text(other))


def test_all_that_a_value_refers_to_is_told() -> None:
    names = set[str]()
    more = {"properties": {"$ref": {"$dynamicRef": "#b"}}, "enum": ["$ref"], "$ref": 1}
    schema = {"items": [{"$ref": "#/$defs/a"}], "not": more}
    assert alike(schema, schema, names)
    assert names == {"#/$defs/a", "#b"}


def test_a_part_knows_its_place() -> None:
    root = Document({}).root()
    assert root.at == "#"
    below = root.below({}, "properties", "a/b~c").below({}, "allOf", 1)
    assert below.below({}).at == below.at == "#/properties/a~1b~0c/allOf/1"
    assert root.document.made({}, "#/x").below({}, "not").at == "#/x/not"
