"""What is proven by its length is what the exact reader reads, however well a document is made to deceive."""

from __future__ import annotations

import itertools
import json
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from headrace.contracts.load import load_contract
from headrace.stages import decode_proof, decode_tally
from headrace.stages.decode_proof import Prover
from headrace.stages.json_text import Unreadable, read

if TYPE_CHECKING:
    import pytest

CONTRACT = load_contract(
    "orders",
    {
        "properties": {
            "t": {"type": "string"},
            "u": {"type": "string"},
            "n": {"type": "integer"},
            "p": {"type": "number"},
            "ok": {"type": "boolean"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "at": {"type": "object", "properties": {"s": {"type": "string"}, "q": {"type": "number"}}},
        }
    },
)
# Numbers that DuckDB writes in more bytes than they were written in, and others that it does not.
NUMBERS = [
    "1",
    "-0",
    "1e1",
    "1e2",
    "12e1",
    "1e5",
    "1e15",
    "1e300",
    "15e99",
    "1e-3",
    "1e-4",
    "1e-5",
    "0.05",
    "0.5",
    "-1e2",
]
WORDS = ["inf", "-inf", "nan", "Infinity", "true", "null"]
EXTRAS = ["", ",", " ", ',"":1', ',"z":1', ',"z":12', ',"":""', ',"":["",""]', ',"z":{"y":1}', ',"n":2', ',"z":null']


def by_length(documents: list[str], monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return what is proven of each document without counting more than quotes; None where nothing is."""

    def nothing(texts: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        none = np.zeros(len(texts), dtype=np.int64)
        return none, none, np.ones(len(texts), dtype=bool)

    for each in (decode_proof, decode_tally):
        monkeypatch.setattr(each, "count_bytes", nothing)
    return Prover(CONTRACT)(pa.array(documents, pa.string())).fields.to_pylist()


def said(document: str) -> dict[str, object] | None:
    try:
        return read(document)
    except Unreadable:
        return None


def test_what_machines_write_is_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = [
        '{"t":"a","u":"größe","n":-17,"p":51.18,"ok":true,"tags":["x",""],"at":{"s":"1.5","q":0.05}}',
        '{"t":"2026-01-01","n":9007199254740993}',
        '{"tags":[]}',
        '{"at":{"s":"Infinity!"}}',
    ]
    proven = by_length(documents, monkeypatch)
    assert [each is not None for each in proven] == [True] * len(documents)
    assert proven[0]["at"] == {"s": "1.5", "q": "0.05"}
    assert proven[0]["tags"] == ["x", ""]


def test_blanks_and_escapes_are_left_to_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    assert by_length(['{"t": "a"}', '{"t":"\\u0041"}', '{"t":"a\\""}', '{"t":"a"}\n', ""], monkeypatch) == [None] * 5


def test_a_text_that_was_no_string_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number in a column of text gives back two quotes, and perhaps more: room for what was never found."""
    values = [*NUMBERS, *WORDS, '"1"', '"100.0"', r'"a\"\""', "[]", '[""]', "{}", '{"a":1}']
    documents = [f'{{"t":{t},"u":{u}{extra}}}' for t, u, extra in itertools.product(values, values, EXTRAS)] + [
        f'{{"{name}":{value},"p":{p}{extra}}}'
        for name, value, p, extra in itertools.product(["t", "p", "n", "ok"], values, NUMBERS, EXTRAS)
    ]
    documents += [
        f'{{"tags":[{a},{b}{end}],"at":{{"s":{a},"q":{b}{extra}}}}}'
        for a, b, end, extra in itertools.product(["1e2", "1e5", '""', "inf"], NUMBERS, ["", ","], EXTRAS)
    ]
    proven = by_length(documents, monkeypatch)
    assert sum(each is not None for each in proven) > 40
    for document, found in zip(documents, proven, strict=True):
        if found is None:
            continue
        exact = said(document)
        assert exact is not None, document
        assert exact.keys() <= found.keys(), document
        for name, value in exact.items():
            if name in {"t", "u"}:
                assert value == found[name], document
            elif name in {"n", "p", "ok"}:
                assert value == json.loads(found[name], parse_float=Decimal), document
