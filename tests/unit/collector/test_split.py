"""Splitting: what json itself says the elements are, as the bytes that were sent."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.collector.split import layout_of, split
from headrace.config.collector import CollectorSpec
from headrace.http.problems import Refused

LIMITS = CollectorSpec()
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=4)
BLANKS = st.text(" \t\r\n", max_size=3)


@st.composite
def written(draw, value):
    ascii_only, indent = draw(st.booleans()), draw(st.sampled_from([None, 1]))
    return json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")


@given(st.data(), st.lists(VALUES, max_size=6))
def test_an_array_is_its_elements(data, values):
    texts = [data.draw(written(value)) for value in values]
    blanks = [data.draw(BLANKS).encode() for _ in range(2 * len(texts) + 2)]
    inside = b",".join(blanks[2 * at] + text + blanks[2 * at + 1] for at, text in enumerate(texts))
    body = blanks[-1] + b"[" + inside + b"]" + blanks[-2]
    assert split(body, "json", LIMITS) == texts
    assert split(body, "detect", LIMITS) == texts


@given(st.data(), OBJECTS)
def test_an_object_is_itself(data, value):
    text = data.draw(written(value))
    blank = data.draw(BLANKS).encode()
    assert split(blank + text + blank, "json", LIMITS) == [text]
    assert split(blank + text + blank, "detect", LIMITS) == [text]


@given(st.lists(OBJECTS, min_size=2, max_size=6), st.sampled_from([b"\n", b"\r\n", b"\n\n \n"]))
def test_lines_are_events(values, end):
    texts = [json.dumps(value).encode() for value in values]
    assert split(end.join(texts), "lines", LIMITS) == texts
    assert split(end.join(texts) + end, "detect", LIMITS) == texts


@given(st.binary(max_size=60) | st.text('[]{}",\\:1a \n', max_size=30).map(str.encode))
def test_anything_is_split_or_refused(body):
    for layout in ("json", "lines", "detect"):
        try:
            events = split(body, layout, LIMITS)
        except Refused as refused:
            events, status = [], refused.status
        else:
            status = 202
        assert status in {202, 400}
        if status == 400:
            continue
        assert all(event in body for event in events)
        if layout == "json":
            try:
                whole = json.loads(body)
            except ValueError:
                continue
            assert [json.loads(event) for event in events] == (whole if isinstance(whole, list) else [whole])


@given(st.data(), st.lists(VALUES, min_size=1, max_size=4))
def test_half_an_array_is_refused(data, values):
    body = json.dumps(values).encode()
    cut = data.draw(st.integers(1, len(body) - 1))
    with pytest.raises(Refused):
        split(body[:cut], "json", LIMITS)


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b'[{"a": NaN}, {"a" 1}, {"b": 1}]', [b'{"a": NaN}', b'{"a" 1}', b'{"b": 1}']),
        (b'{"a": NaN}', [b'{"a": NaN}']),
        (b'{"a": "\xff"}', [b'{"a": "\xff"}']),
        (b'{"a": 1, "a": 2}', [b'{"a": 1, "a": 2}']),
        (b'["a]", "b\\"],", "\\\\"]', [b'"a]"', b'"b\\"],"', b'"\\\\"']),
    ],
)
def test_an_event_that_is_no_good_harms_no_neighbour(body, events):
    assert split(body, "json", LIMITS) == events


@pytest.mark.parametrize("blank", [b"\v", b"\f", b"\x1c", b"\xc2\x85"])
def test_what_only_others_call_blank_is_a_bad_event_and_no_end_of_ours(blank):
    assert split(blank, "lines", LIMITS) == [blank]
    assert split(b'{"a": 1}\n' + blank + b"\n \t\n", "lines", LIMITS) == [b'{"a": 1}', blank]


def test_types_say_how_a_body_is_laid_out():
    assert layout_of("application/json; charset=UTF-8") == "json"
    assert layout_of("application/vnd.shop+json") == "json"
    assert layout_of("application/x-ndjson") == "lines"
    assert layout_of("") == "detect"
    for refused in ("text/html", "application/json; charset=latin-1", "multipart/form-data; boundary=x"):
        with pytest.raises(Refused):
            layout_of(refused)
