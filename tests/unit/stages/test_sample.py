"""The keys of a sample are the same for ever, on every machine, and a smaller sample is part of a larger one."""

import json
from dataclasses import replace

import pyarrow as pa
import pytest

from headrace import words
from headrace.config.project import load_project
from headrace.contracts.load import load_contract
from headrace.stages.csv_rows import CsvSpec
from headrace.stages.sample import KeyField, KeyNumbers, common_fields, in_share
from headrace.stages.versioned import opening_of
from living import project_of
from wrapping import FRAMED, WRAPPED, envelope, framed

ID, NUMBER = KeyField(("id",), number=False), KeyField(("n",), number=True)


def batch(*payloads, attributes=None):
    schema = words.message_schema()
    columns = {each.name: pa.nulls(len(payloads), each.type) for each in schema}
    ids = pa.array([f"m{place}" for place in range(len(payloads))])
    columns |= {"message_id": ids, "payload": pa.array(payloads, pa.binary())}
    if attributes is not None:
        columns["attributes"] = pa.array([list(attributes.items())] * len(payloads), schema.field("attributes").type)
    return pa.record_batch(columns)


def test_a_key_has_one_number_for_ever():
    number = KeyNumbers("json", CsvSpec(), (ID,))
    assert number(batch(b'{"id": "o1"}')).tolist() == [KEY_OF_O1]
    same = batch(b'{"id":"o1","a":2}', b'\xef\xbb\xbf{ "id" : "\\u006f1" }', b'{"x": {"id": 2}, "id": "o1"}')
    assert set(number(same).tolist()) == {KEY_OF_O1}


KEY_OF_O1 = 3789672239328909162


def test_a_number_is_one_however_it_is_written():
    number = KeyNumbers("json", CsvSpec(), (NUMBER,))
    assert len(set(number(batch(*(b'{"n": %s}' % n for n in (b"7", b"7.0", b"70e-1", b'"7"')))).tolist())) == 1
    assert len(set(number(batch(b'{"n": 0}', b'{"n": -0.0}')).tolist())) == 1
    assert len(set(number(batch(b'{"n": 7}', b'{"n": 8}')).tolist())) == 2


def test_what_has_no_key_has_a_number_of_its_own():
    number = KeyNumbers("json", CsvSpec(), (ID, NUMBER))
    odd = [b'{"id": "o1"}', b"", b"\xff", b"[]", b'{"id": "o1", "n": null}', b'{"id": "a", "n": 1e999']
    keys = number(batch(*odd, *odd)).tolist()
    assert len(set(keys)) == 2 * len(odd), "as many as there are: each is rejected alone"
    assert number(batch(*odd, *odd)).tolist() == keys


def test_a_record_of_csv_has_the_key_of_its_cells():
    number = KeyNumbers("csv", CsvSpec(delimiter=";"), (ID,))
    told = number(batch(b'"o1";5', attributes={"csv-header": "id;n"}))
    assert told.tolist() == [KEY_OF_O1]
    assert number(batch(b"5;o1", attributes={"csv-header": "n;id"})).tolist() == told.tolist()


@pytest.mark.parametrize("of", [WRAPPED, FRAMED], ids=["wrapped", "framed"])
def test_an_event_has_its_key_whatever_it_comes_in(of):
    event = {"id": "o1"}
    ways = [framed(1, event), framed(4, {"note": "x"} | event), json.dumps(event).encode()]
    if of is WRAPPED:
        said = [envelope(version, event) for version in ("1-0-0", "1-0-1", "9-0-0")]
        ways = [*(json.dumps(each).encode() for each in said), json.dumps(said[0] | {"more": 1}).encode()]
    number = KeyNumbers("json", CsvSpec(), (ID,), opening_of(of))
    keys = number(batch(*ways[:3], b"", b"\0\0", ways[-1])).tolist()
    assert keys[:3] == [KEY_OF_O1] * 3
    assert len({KEY_OF_O1, *keys[3:5]}) == 3, "what cannot be opened is rejected alone"


def test_a_cell_is_what_the_contract_says_of_it(tmp_path):
    """An empty text is a key like any other; an object in a cell has fields."""
    found = dataset(tmp_path, "id, shop.id")
    number = KeyNumbers("csv", CsvSpec(columns=("id", "shop")), common_fields([found]), contract=found.contract)
    cells = batch(b'"","{""id"": ""s1""}"', b'"","{ ""id"" : ""s1"", ""at"": null }"', b'"","{""id"": ""s2""}"')
    one, same, other = number(cells).tolist()
    assert one == same != other


def test_a_smaller_sample_is_part_of_a_larger_one():
    messages = batch(*(b'{"id": "%d"}' % n for n in range(4000)))
    keys = KeyNumbers("json", CsvSpec(), (ID,))(messages)
    small, large = (set(keys[in_share(keys, share)].tolist()) for share in (0.1, 0.3))
    assert small < large
    assert 320 < len(small) < 480
    assert 1080 < len(large) < 1320


FIELDS = {
    "id": {"type": "string"},
    "n": {"type": "integer"},
    "paid": {"type": "boolean"},
    "at": {"type": "string", "format": "date-time"},
    "any": {},
    "shop": {"type": "object", "properties": {"id": {"type": "string"}, "at": {"type": "string", "format": "date"}}},
}


def dataset(root, key, renamed=None):
    more = f"  bronze_to_silver:\n  - deduplication: {{key: [{key}]}}\n" if key else ""
    schema = {"type": "object", "properties": FIELDS}
    project = project_of(root / f"{key}{renamed}", "orders", schema=schema, more=more)
    if renamed is not None:
        (project.root / "schemas/orders").mkdir()
        older = {renamed.get(name, name): each for name, each in FIELDS.items()}
        older["n"] = {"type": "string"}
        (project.root / "schemas/orders/v1.json").write_text(json.dumps({"type": "object", "properties": older}))
        path = project.root / "connectors/orders.yaml"
        back = ", ".join(f"{old}: {new}" for new, old in renamed.items())
        steps = f"[{{rename: {{{back}}}}}, {{cast: [n]}}]" if renamed else "[{cast: [n]}]"
        path.write_text(path.read_text().replace("orders.json}", f"orders.json, upcast: {{v1: {steps}}}}}"))
        project = load_project(project.root)
    (found,) = project.sources["orders"].datasets
    return found


@pytest.mark.parametrize(
    ("keys", "fields"),
    [
        (["id, n"], {"id": False, "n": True}),
        (["id, n", "n, id, shop.id", "n"], {"n": True}),
        (["shop.id, shop.at, any, at, paid"], {"shop.id": False}),
        (["id", "n"], None),
        (["at"], None),
        ([None, "id", None], {"id": False}),
        ([None], {}),
        ([("id, n", {})], {"id": False, "n": True}),
        ([("id, n", {"id": "order"})], {"n": True}),
        ([("shop.id", {"shop": "store"})], None),
    ],
)
def test_what_every_key_has_at_one_place_is_what_is_sampled_by(tmp_path, keys, fields):
    """Not: what may be written in several ways, and what an older version calls otherwise."""
    datasets = [
        dataset(tmp_path / str(at), *(each if isinstance(each, tuple) else (each,))) for at, each in enumerate(keys)
    ]
    found = common_fields(datasets)
    assert (None if found is None else {each.name: each.number for each in found}) == fields


def test_what_an_older_version_has_elsewhere_is_no_key_to_sample_by(tmp_path):
    """Other letters, or another cell: a message of it would be taken for one of another key."""
    found = dataset(tmp_path, "id, shop.id", {})
    older, newest = found.versions
    shop = {"type": "object", "properties": {"ID": {"type": "string"}}}
    contract = load_contract("orders", {"type": "object", "properties": {**FIELDS, "shop": shop}})
    other = replace(found, versions=(replace(older, contract=contract), newest))
    assert [[each.name for each in common_fields([one]) or ()] for one in (found, other)] == [["id", "shop.id"], ["id"]]
    cells = replace(found, versions=(replace(older, csv_columns=("n", "id")), newest))
    assert common_fields([cells]) is None
