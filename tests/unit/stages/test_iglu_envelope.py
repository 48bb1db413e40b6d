"""Self-describing events: the envelope names the version of what is in it, however it is written."""

import json

import pytest

from headrace.contracts.iglu import family
from headrace.stages.masking import Maskings
from pulling import messages
from wrapping import TEXT, URI, WRAPPED, dataset, decided, envelope, shape


def outcome(*events):
    kept, rejected, told = decided(WRAPPED, messages(*events))
    return kept, [(each["row"], each["stage"], each["code"], each["path"], each["value"]) for each in rejected], told


def test_an_event_is_held_against_the_version_of_its_envelope():
    kept, rejected, _ = outcome(
        envelope("1-0-0", {"id": "a"}),
        envelope("1-0-1", {"id": "b", "note": "x"}),
        envelope("1-0-0", {"id": "c", "note": "not yet"}),  # the newest has it, and is not what the event names
    )
    assert kept == [{"id": "a", "note": None}, {"id": "b", "note": "x"}]
    assert rejected == [(2, "contract", "additionalProperties", "$.note", '"not yet"')]


@pytest.mark.parametrize(
    "text",
    [
        '{"schema":"iglu:com.shop/order/jsonschema/1-0-0","data":{"id":"a"}}',
        '\ufeff { "schema" : "iglu:com.shop/order/jsonschema/1-0-0" ,\n "data" :\t{ "id" : "a" } }\r\n',
        '{"data":{"id":"a"},"schema":"iglu:com.shop/order/jsonschema/1-0-0"}',
        '{"\\u0073chema":"iglu:com.shop\\/order/jsonschema/1-0-0","data":{"id":"\\u0061"}}',
    ],
)
def test_it_does_not_matter_how_an_envelope_is_written(text):
    assert outcome(text.encode())[0] == [{"id": "a", "note": None}]
    between = outcome(envelope("1-0-1", {"id": "x"}), text.encode(), b"broken", envelope("1-0-1", {"id": "y"}))
    assert [each["id"] for each in between[0]] == ["x", "a", "y"]


BEGUN = f'{{"schema":"{URI}1-0-0","data":'
WRONG = {
    "a later version": (envelope("1-0-7", {"id": "a"}), "contract", "version_unknown", "$.schema", '"1-0-7"'),
    "another model": (envelope("2-0-0", {"id": "a"}), "contract", "version_unknown", "$.schema", '"2-0-0"'),
    "another vendor": (
        envelope("1-0-0", {}, "iglu:org.x/order/jsonschema/"), "contract", "schema_unknown", "$.schema",
        '"iglu:org.x/order/jsonschema/1-0-0"',
    ),
    "no version": (envelope("1-0", {"id": "a"}), "contract", "schema_malformed", "$.schema", f'"{URI}1-0"'),
    "no URI": ({"schema": "orders", "data": {}}, "contract", "schema_malformed", "$.schema", '"orders"'),
    "no text": ({"schema": 5, "data": {}}, "decode", "schema_malformed", "$.schema", "5"),
    "no data": ({"schema": f"{URI}1-0-0"}, "decode", "envelope_missing", "$", None),
    "no envelope": ({"id": "bare"}, "decode", "envelope_missing", "$", None),
    "more beside": ({**envelope("1-0-0", {"id": "a"}), "more": {}}, "decode", "envelope_more", "$", None),
    "data is a list": (envelope("1-0-0", [{"id": "a"}]), "decode", "not_an_object", "$.data", '[{"id":"a"}]'),
    "twice in data": (f'{BEGUN}{{"id":"a","id":"b"}}}}', "decode", "duplicate_key", "$.id", None),
    "two data": (f'{BEGUN}{{"id":"a"}},"data":{{}}}}', "decode", "duplicate_key", "$.data", None),
    "cut": (f'{{"schema":"{URI}1-0-0","data":{{"id":"a"}}', "decode", "invalid_json", None, None),
    "two events": (json.dumps(envelope("1-0-0", {"id": "a"})) * 2, "decode", "multiple_documents", None, ...),
    "not UTF-8": (f'{BEGUN}{{"id":"'.encode() + b'\xff"}}', "decode", "invalid_utf8", None, None),
    "empty": (b"", "decode", "empty_message", None, None),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_opened_is_set_aside_alone(name):
    event, stage, code, path, value = WRONG[name]
    event = event.encode() if isinstance(event, str) else event
    good = envelope("1-0-1", {"id": "good"})
    kept, ((row, *found),), told = outcome(good, event, good)
    assert [each["id"] for each in kept] == ["good", "good"]
    assert [row, *found[:3]] == [1, stage, code, path]
    assert value is ... or found[3] == value
    assert set(told) <= {"1-0-0", "1-0-1"}


def test_a_batch_of_which_nothing_can_be_opened():
    kept, rejected, _ = outcome({"id": "a"}, b"")
    assert kept == []
    assert [each[2] for each in rejected] == ["envelope_missing", "empty_message"]


def test_what_is_personal_is_masked_in_its_envelope():
    tagged = dataset({"1-0-0": shape(id=TEXT, email={"type": "string", "x-pii": True})}, iglu=WRAPPED.iglu)
    shown = Maskings([tagged])["orders"].payload
    payload = json.dumps(envelope("1-0-0", {"id": "a", "email": "a@example.com"})).encode()
    assert json.loads(shown(payload)) == envelope("1-0-0", {"id": "a", "email": "***"})
    assert "a@example.com" not in shown(payload.replace(b'"data"', b'"date"'))
    assert "a@example.com" not in shown(payload.replace(b"iglu:", b"a@example.com"))


def test_families_are_named_in_several_ways():
    for text in ("com.shop/order", "iglu:com.shop/order/jsonschema", "iglu:com.shop/order"):
        assert str(family(text)) == "iglu:com.shop/order/jsonschema"
    assert [family("com.shop/order/jsonschema/2-*-*").has(each) for each in ("1-0-0", "2-0-0", "2-3-1")] == [
        False, True, True,
    ]  # fmt: skip
    assert [family(text) for text in ("order", "com.shop/order/jsonschema/1-0-0", "a/b/c/d", "../a/b", "")] == [
        None
    ] * 5
