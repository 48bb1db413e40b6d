"""The structure of JSON text: brackets in pairs, strings left alone."""

import json

from hypothesis import given
from hypothesis import strategies as st

from headrace.connectors.json_structure import Structure

TEXTS = st.text('[]{}",\\ a', max_size=40).map(str.encode)


def slowly(text):
    """Return the place of the first bracket that closes another kind, and where the first document ends."""
    opened, inside, skip = [], False, False
    for at, byte in enumerate(text):
        character = chr(byte)
        if skip:
            skip = False
        elif inside:
            skip, inside = character == "\\", character != '"'
        elif character == '"':
            inside = True
        elif character in "[{":
            opened.append(character)
        elif character in "]}":
            if not opened:
                return None, at + 1
            if opened.pop() + character not in {"[]", "{}"}:
                return at, None
            if not opened:
                return None, at + 1
    return None, None


@given(TEXTS)
def test_as_a_slow_reader_finds_it(text):
    if b"\\" in text and not text.startswith((b"[", b"{")):
        return  # outside of strings a backslash means nothing, and the slow reader does not know it
    mismatch, end = slowly(b"[" + text)
    structure = Structure(b"[" + text)
    if b'"' not in text.replace(b"\\", b"") or b"\\" not in text:
        if mismatch is None:
            assert structure.first_end() == end
        if structure.first_end() is not None:
            assert structure.mismatch() == mismatch


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20))
def test_json_is_whole(value):
    structure = Structure(json.dumps([value]).encode())
    assert structure.is_whole()
    assert structure.mismatch() is None
    assert structure.first_end() == len(json.dumps([value]).encode())
