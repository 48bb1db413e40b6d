"""Confluent's frame: its schema id names the version of the JSON behind it."""

import pytest
from pydantic import ValidationError

from headrace.stages.masking import Maskings
from headrace.stages.versioned import VersionFrom
from pulling import messages
from wrapping import FRAMED, dataset, decided, framed, shape


def test_the_id_names_the_version():
    note = {"id": "a", "note": "x"}
    kept, (failure,), told = decided(FRAMED, messages(framed(1, {"id": "a"}), framed(7, note), framed(1, note)))
    assert kept == [{"id": "a", "note": None}, {"id": "a", "note": "x"}]
    assert (failure["row"], failure["code"]) == (2, "additionalProperties")
    assert told == ["1", "2", "1"]


def test_a_message_without_a_frame_is_taken_as_it_is():
    kept, rejected, told = decided(FRAMED, messages({"id": "a"}, framed(1, {"id": "b"}), {"id": "c", "note": "x"}))
    assert ([each["id"] for each in kept], rejected, told) == (["a", "b", "c"], [], ["2", "1", "2"])


@pytest.mark.parametrize(
    ("payload", "stage", "code", "value"),
    [
        (framed(9, {"id": "a"}), "contract", "version_unknown", "9"),
        (framed(2**32 - 1, b"\xff"), "contract", "version_unknown", "4294967295"),
        (b"\0", "decode", "frame_cut", "1"),
        (b"\0\0\0\1", "decode", "frame_cut", "4"),
        (framed(4, b""), "decode", "empty_message", None),
        (framed(4, b"\x06abc"), "decode", "frame_not_json", "4"),  # Avro: a text of three characters
        (framed(4, b"\0\x0a\x01a"), "decode", "frame_not_json", "4"),  # Protobuf: the first message, field 1
        (framed(4, b"\xff\xfe"), "decode", "frame_not_json", "4"),
        (framed(4, b"[]"), "decode", "not_an_object", "[]"),
        (b"", "decode", "empty_message", None),
    ],
)
def test_what_is_no_framed_event_is_set_aside_alone(payload, stage, code, value):
    good = framed(4, {"id": "good"})
    kept, (failure,), _ = decided(FRAMED, messages(good, payload, good))
    assert len(kept) == 2
    assert (failure["row"], failure["stage"], failure["code"], failure["value"]) == (1, stage, code, value)
    kept, (failure,), _ = decided(FRAMED, messages(payload))
    assert (kept, failure["code"]) == ([], code)


def test_an_unknown_id_is_told_with_those_that_are_known():
    (failure,) = decided(FRAMED, messages(framed(9, {})))[1]
    assert failure["reason"] == (
        "the frame names a schema id that no version has; `version_from.confluent` knows 1 (v1), 4 (v2), 7 (v2)"
    )


def test_a_slice_of_a_batch_is_opened_as_it_is_alone():
    batch = messages({"id": "no"}, framed(1, {"id": "a"}), framed(7, {"id": "b", "note": "x"}))
    assert decided(FRAMED, batch.slice(1))[2] == ["1", "2"]


def test_what_is_personal_is_masked_behind_its_frame():
    tagged = dataset({"v1": shape(email={"type": "string", "x-pii": True})}, version_from=FRAMED.version_from)
    shown = Maskings([tagged])["orders"].payload
    assert shown(framed(1, {"email": "a@example.com"})) == '{"email":"***"}'
    assert shown(b"\0\0a@example.com") == "*** (15 bytes)"


def test_a_schema_has_one_version():
    with pytest.raises(ValidationError, match="the schema id 1 is given twice"):
        VersionFrom(confluent={"v1": 1, "v2": [2, 1]})
    for ids in ({}, {"v1": []}, {"v1": -1}, {"v1": 2**31}, {"v1": True}, {"v1": "one"}):
        with pytest.raises(ValidationError):
            VersionFrom(confluent=ids)
