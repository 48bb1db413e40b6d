import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.config.files import MAX_DEPTH, find_root, parse_yaml, read_text, read_yaml
from headrace.errors import ConfigError


def test_values_are_yaml_1_2_core_and_nothing_else():
    text = """\
on: no
yes: off
quoted: 'null'
none: ~
empty:
flag: true
whole: -12
hex: 0x1f
octal: 0o17
zero_led: 0123
exponent: 1e3
infinite: -.inf
date: 2025-01-06
time: 12:30:00
block: |
  two
  lines
"""
    assert parse_yaml(text, "f.yaml").value == {
        "on": "no",
        "yes": "off",
        "quoted": "null",
        "none": None,
        "empty": None,
        "flag": True,
        "whole": -12,
        "hex": 31,
        "octal": 15,
        "zero_led": 123,
        "exponent": 1000.0,
        "infinite": float("-inf"),
        "date": "2025-01-06",
        "time": "12:30:00",
        "block": "two\nlines\n",
    }


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufeff"), max_size=8)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(TEXTS.filter(lambda key: key != "<<"), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(DOCUMENTS.filter(lambda value: value is not None))
def test_json_is_yaml_and_means_the_same(value):
    assert parse_yaml(json.dumps(value, ensure_ascii=False), "f.yaml").value == value


def test_every_key_and_item_has_its_line():
    document = parse_yaml("a: 1\n\nb:\n  - x\n  - y: 2\n    z: 3\n", "f.yaml")
    assert [document.line(key) for key in [("a",), ("b",), ("b", 0), ("b", 1), ("b", 1, "z")]] == [1, 3, 4, 5, 6]
    assert document.line(("b", 1, "not", "there")) == 5
    assert document.line(("nowhere",)) == 1


def test_aliases_and_merge_keys_expand_and_the_own_key_wins():
    document = parse_yaml("base: &b {p: 1, q: 2}\nmine:\n  <<: *b\n  q: 3\nlist: [*b, *b]\n", "f.yaml")
    assert document.value["mine"] == {"p": 1, "q": 3}
    assert document.value["list"] == [{"p": 1, "q": 2}, {"p": 1, "q": 2}]


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
MERGE_BOMB = "a0: &a0 {k: v}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "the key 'a' is here twice, first on line 1"),
        ("a:\n\t- b\n", 2, "a tab indents"),
        ("a:\n  b: 1\n\tc: 2\n", 3, "a tab indents"),
        ("a: 1\nb: [1, 2\n", 2, "not valid YAML"),
        ("a: b: c\n", 1, "not valid YAML"),
        ("", 1, "empty"),
        ("# only words\n", 1, "empty"),
        ("a: 1\nb: !!python/object/apply:os.system ['true']\n", 2, "tag"),
        ("a: 1\nb: !mine x\n", 2, "tag"),
        ("a: 1\nb: *nobody\n", 2, "names no anchor"),
        ("a: &a\n  b: *a\n", 2, "names no anchor"),
        ("a: 1\n---\nb: 2\n", 2, "second document"),
        ("a: 1\nb: \x01\n", 2, "control character"),
        ("? [a, b]\n: c\n", 1, "a key must be plain text"),
        ("a: " + "[" * 5000 + "]" * 5000, 1, "nested deeper"),
        ("[" * 20_000, 1, "nested deeper"),
        (BOMB, 1, "once its aliases are expanded"),
        (MERGE_BOMB, 1, "once its aliases are expanded"),
    ],
)
def test_what_is_wrong_is_said_at_its_line(text, line, said):
    with pytest.raises(ConfigError) as raised:
        parse_yaml(text, "f.yaml")
    assert said in raised.value.message
    assert raised.value.fix
    where = raised.value.at
    assert where == f"f.yaml:{line}" or (text in {BOMB, MERGE_BOMB} and where.startswith("f.yaml:"))


def test_as_deep_as_allowed_is_allowed():
    depth = MAX_DEPTH
    value = parse_yaml("[" * depth + "]" * depth, "f.yaml").value
    for _ in range(depth - 1):
        (value,) = value
    assert value == []


def test_aliases_nest_deeper_than_the_text_and_are_bounded_all_the_same():
    text = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, MAX_DEPTH + 2))
    with pytest.raises(ConfigError, match="nested deeper"):
        parse_yaml(text, "f.yaml")


def test_a_file_that_is_not_utf_8(tmp_path):
    path = tmp_path / "f.yaml"
    path.write_bytes(b"a: 1\nb: caf\xe9\n")
    with pytest.raises(ConfigError) as raised:
        read_yaml(path, "f.yaml")
    assert raised.value.at == "f.yaml:2"
    assert "0xe9" in raised.value.message


def test_a_byte_order_mark_and_crlf_are_fine(tmp_path):
    path = tmp_path / "f.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert read_yaml(path, "f.yaml").value == {"a": 1, "b": 2}


def test_a_file_that_is_too_large_is_not_read_whole(tmp_path):
    path = tmp_path / "f.yaml"
    path.write_bytes(b"#" * (1 << 20) + b"\n")
    with pytest.raises(ConfigError, match="larger than"):
        read_text(path, "f.yaml")


def test_the_root_is_the_nearest_folder_with_the_project_file(tmp_path, monkeypatch):
    (tmp_path / "shop/models/marts").mkdir(parents=True)
    (tmp_path / "shop/headrace.yaml").write_text("name: shop\n")
    monkeypatch.chdir(tmp_path / "shop/models/marts")
    assert find_root() == tmp_path / "shop"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"no headrace.yaml"):
        find_root()
    with pytest.raises(ConfigError, match=r"no headrace.yaml in"):
        find_root(tmp_path)
