"""Wrappings: whatever stands in a message, each of its batch has one verdict, and its neighbours keep theirs."""

import json

from hypothesis import given
from hypothesis import strategies as st

from pulling import messages
from wrapping import FRAMED, NEW, URI, WRAPPED, dataset, decided, envelope, framed

NUMBERS = st.sampled_from([0, 1, 4, 7, 9, 2**31, 2**32 - 1])
DOCUMENTS = st.sampled_from([b"{}", b'{"id":"a"}', b'{"id":"a","note":"b"}', b"[]", b" ", b'{"id":"a"}{', b'{"id":5}'])
FRAMES = st.builds(framed, NUMBERS, DOCUMENTS | st.binary(max_size=12)) | st.binary(max_size=8).map(b"\0".__add__)
BARE = dataset({"v1": NEW})
VALUES = st.recursive(
    st.none() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["id", "note", "data", "}"]), inner),
    max_leaves=6,
)


@given(st.lists(FRAMES | DOCUMENTS | st.binary(max_size=8), min_size=1, max_size=6))
def test_bytes_behind_a_magic_byte_harm_nobody(payloads):
    kept, rejected, _ = decided(FRAMED, messages(framed(7, {"id": "first"}), *payloads, framed(1, {"id": "last"})))
    assert [kept[0]["id"], kept[-1]["id"]] == ["first", "last"]
    assert {each["stage"] for each in rejected} <= {"decode", "contract"}
    alone = [decided(FRAMED, messages(each)) for each in payloads]
    assert kept[1:-1] == [event for events, _, _ in alone for event in events]
    assert [each["code"] for each in rejected] == [each["code"] for _, told, _ in alone for each in told]


@given(st.binary(max_size=12) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_what_is_in_an_envelope_is_decided_as_it_is_without(data):
    """Neither text of an envelope is parsed as a whole where it is as usual: that must show nowhere."""
    uri = f"{URI}1-0-1".encode()
    texts = [
        b'{"schema":"' + uri + b'","data":' + data + b"}",
        b'{ "data" : ' + data + b' , "schema" : "' + uri + b'" }',
        b'{"sch\\u0065ma":"' + uri + b'","data":' + data + b"}",
    ]
    outcomes = [decided(WRAPPED, messages(envelope("1-0-0", {"id": "a"}), each)) for each in texts]
    bare = decided(BARE, messages(data))[0]
    for kept, rejected, _ in outcomes:
        assert kept[1:] == bare
        assert len({(each["stage"] == "decode") for each in rejected}) == len(rejected)
    assert len({tuple(each["stage"] for each in rejected) for _, rejected, _ in outcomes}) == 1
