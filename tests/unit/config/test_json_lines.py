import json

import pytest

from headrace.config.json_lines import lines_of

DOCUMENT = {"a": [1, {"b": 'x"}]', "c/d": {"~": [True, None, -1.5e3]}}], "é": {}, "": {"q": 1}, 'e"f': [[], [[1]]]}


def line_with(text: str, piece: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if piece in line)


def test_a_pointer_leads_to_the_line_of_its_member_or_item():
    text = json.dumps(DOCUMENT, indent=2)
    found = lines_of(text, ["#/a/1/b", "#/a/1/c~1d", "#/a/1/c~1d/~0/2", "#/é", "#//q", '#/e"f', "#"])
    assert found["#/a/1/b"] == line_with(text, '"b"')
    assert found["#/a/1/c~1d"] == line_with(text, "c/d")
    assert found["#/a/1/c~1d/~0/2"] == line_with(text, "-1500.0")
    assert found["#/é"] == line_with(text, "\\u00e9")
    assert found["#//q"] == line_with(text, '"q"')
    assert found['#/e"f'] == line_with(text, "e\\")
    assert found["#"] == 1
    assert set(lines_of(json.dumps(DOCUMENT), found).values()) == {1}


def test_what_is_not_there_is_at_what_is_around_it():
    text = json.dumps(DOCUMENT, indent=2)
    found = lines_of(text, ["/a/7/x", "/nope", "/a/1/c~1d/zz"])
    assert found == {"/a/7/x": line_with(text, '"a"'), "/nope": 1, "/a/1/c~1d/zz": line_with(text, "c/d")}


@pytest.mark.parametrize("text", ["", "nul", '{"a":', '{"a" 1}', "[1,", '{"a":{"b":[}', '{"a":1,,}', "[}", '"a', "{,"])
def test_a_text_that_is_no_json_ends_too(text):
    assert set(lines_of(text, ["/a/b", "/0/0"]).values()) == {1}


def test_a_large_schema_is_read_once_for_all_its_pointers():
    text = json.dumps({"properties": {f"p{n}": {"enum": [n] * 30} for n in range(3000)}}, indent=1)
    found = lines_of(text, [f"#/properties/p{n}/enum/3" for n in range(3000)])
    assert [found[f"#/properties/p{n}/enum/3"] for n in (0, 2999)] == [8, 34 * 2999 + 8]
