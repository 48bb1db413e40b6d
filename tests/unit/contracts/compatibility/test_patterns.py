"""Patterns as sets of texts: what is said of two is never contradicted by a text."""

import pytest

from headrace.contracts.compatibility import Verdict, compare, strings
from headrace.contracts.compatibility.budget import TEXTS, Budget
from headrace.contracts.compatibility.expression import listed_by, tree_of
from headrace.contracts.compatibility.patterns import NOTHING, Texts

WITHIN = [
    (r"^[A-Z]{3}-\d{4}$", r"^[A-Z]{3}-\d{4,6}$"),
    ("^(new|paid)$", "^(new|paid|sent)$"),
    (r"^[a-z]+$", r"^\w+$"),
    (r"^\d+$", "^[0-9]+$"),
    ("^ord_[0-9]+$", "^ord_"),
    ("^.+$", r"[\s\S]"),
    ("^a|^b", "^[ab]"),
    ("(ab)+", "ab"),
    (r"^\p{L}+$", r"^[\p{L}\d]+$"),
    ("^$", "^x?$"),
    (r"^[^@\s]+@[^@\s]+$", "@"),
    ("^[à-ü]$", "^[^a-z]$"),
    ("^(?:a|bc)??$", "^.{0,2}$"),
]
APART = [
    ("^[a-z]+$", "^[a-z]{1,9}$"),
    ("a", "^a"),
    ("^a|b$", "^a"),
    (r"^\S+$", r"^\w+$"),
    ("", "$^"),  # which takes no text but the empty one
    ("^[^a]$", "^[a-z]$"),
    ("^.*$", "^.*x.*$"),
    (r"^\d{4}$", r"^\d{2}$"),
    ("^[.]$", r"^\w$"),
]
UNREAD = ["^(?=a)b", r"(a)\1", r"\bа", "(?i)a", "^[[a]]$", "a{,3}", "^(x{900}){900}$", "a++"]
EVERY = [*dict.fromkeys(pattern for pair in [*WITHIN, *APART] for pattern in pair)]


def within(narrow, wide):
    return Texts().within(frozenset({narrow}), wide, Budget())


@pytest.mark.parametrize(("narrow", "wide"), WITHIN)
def test_a_pattern_within_another(narrow, wide):
    assert within(narrow, wide)


@pytest.mark.parametrize(("narrow", "wide"), APART)
def test_a_text_tells_patterns_apart(narrow, wide):
    known, found, _ = Texts().beyond(frozenset({narrow}), wide, Budget())
    assert known
    assert found is not None
    assert strings.matches(narrow, found)
    assert not strings.matches(wide, found)


@pytest.mark.parametrize("pattern", UNREAD)
def test_of_what_is_not_read_nothing_is_said(pattern):
    assert not within("^a$", pattern)
    assert not within(pattern, "^a$")
    assert within(pattern, pattern)


def test_no_text_contradicts_what_is_said():
    known = Texts()
    texts = ["\n", " ", "-", "à", "٣", "\u3000", "a@b", "Z\u2028", "😀"]
    texts += [text for pattern in EVERY for text in strings.like(pattern)]
    for narrow in EVERY:
        least, most = known.lengths(narrow)
        mine = [text for text in dict.fromkeys(texts) if strings.matches(narrow, text)]
        assert all(least <= len(text) <= most for text in mine)
        for wide in EVERY:
            if known.within(frozenset({narrow}), wide, Budget()):
                assert all(strings.matches(wide, text) for text in mine)


@pytest.mark.parametrize("name", strings.SHAPES)
def test_every_text_of_a_format_has_its_shape(name):
    """Each sample with one character more, less or another: what the validator still takes, the shape takes."""
    marks = "09:-.TtZz+ aF%/@\né[]{}P"
    for sample in (*strings.FORMATS[name], *strings.of_format(name, 64)):
        near = {
            sample[:at] + mark + sample[at + cut :] for at in range(len(sample) + 1) for mark in marks for cut in (0, 1)
        }
        near |= {sample[:at] + sample[at + 1 :] for at in range(len(sample))}
        for text in (each for each in near if strings.has_format(name, each, 2020)):
            assert strings.matches(strings.SHAPES[name], text), text


def of(**words):
    return {"type": "object", "properties": {"a": {"type": "string", **words}}}


@pytest.mark.parametrize(
    ("old", "new", "backward", "forward"),
    [
        ({"pattern": "^[A-Z]{3}$"}, {"pattern": "^[A-Z]{3}$", "maxLength": 3}, "compatible", "compatible"),
        ({"pattern": "^[A-Z]{3}$"}, {"pattern": "^[A-Z]{3,4}$"}, "compatible", "breaking"),
        ({"format": "date-time"}, {"format": "date-time", "minLength": 1}, "compatible", "compatible"),
        ({"format": "date-time"}, {"format": "date-time", "maxLength": 64}, "breaking", "compatible"),
        ({"format": "uuid"}, {"pattern": "^[0-9a-fA-F-]{36}$"}, "compatible", "breaking"),
        ({"format": "uri", "maxLength": 90}, {"format": "uri", "maxLength": 80}, "breaking", "compatible"),
        ({"minLength": 1}, {"pattern": "^[^x]"}, "breaking", "compatible"),
        ({"pattern": r"^\$.*x$"}, {"pattern": r"^\$.*x$", "maxLength": 255}, "breaking", "compatible"),
    ],
)
def test_bounds_formats_and_patterns_know_of_each_other(old, new, backward, forward):
    changes = compare(of(**old), of(**new))
    for side, wanted in (("backward", backward), ("forward", forward)):
        assert {getattr(each, side) for each in changes} - {Verdict.COMPATIBLE} <= {Verdict(wanted)}
        assert any(getattr(each, side) == wanted for each in changes)


def test_branches_that_share_no_text_exclude_each_other():
    one = {"oneOf": [{"type": "string", "format": "date"}, {"type": "string", "pattern": "^never$"}]}
    more = {"oneOf": [*one["oneOf"], {"type": "string", "format": "date-time"}]}
    assert all(change.backward == "compatible" for change in compare(one, more))


HARD = [(f"^(a|b)*a(a|b){{{at}}}x$", f"^(a|b)*b(a|b){{{at}}}x$") for at in range(12, 32)]


def test_hard_patterns_share_their_steps_and_leave_some_for_the_others():
    texts, budget = Texts(), Budget()
    asked = [texts.beyond(frozenset({narrow, wide}), NOTHING, budget) for narrow, wide in HARD]
    assert all(each.spent and not each.known for each in asked)
    left = budget.steps_of_texts()
    assert 0 < left < TEXTS / 32
    assert texts.beyond(frozenset(HARD[0]), NOTHING, budget).spent
    assert budget.steps_of_texts() == left  # nothing is tried again with fewer steps than did not do
    assert texts.within(frozenset({r"^[A-Z]{3}-\d{4}$"}), r"^[A-Z]{3}-\d{4,6}$", budget)


def test_what_was_answered_is_not_found_out_again_and_nothing_else_is_kept():
    texts, budget = Texts(), Budget()
    first = texts.beyond(frozenset({"^a+$"}), "^b+$", budget)
    left = budget.steps_of_texts()
    assert texts.beyond(frozenset({"^a+$"}), "^b+$", budget) is first
    assert budget.steps_of_texts() == left
    other = Budget()
    Texts().beyond(frozenset({"^a+$"}), "^b+$", other)
    assert other.steps_of_texts() == left


def test_a_pattern_that_is_too_hard_is_undecided_and_says_so():
    both = [{"pattern": f"^(a|b)*{at}(a|b){{{count}}}x$"} for count, at in enumerate("aabbaaba", start=12)]
    old, new = (of(allOf=both, pattern=f"^(a|b)*{at}(a|b){{20}}x$") for at in "ab")
    (change,) = compare(old, new)
    assert change.backward is change.forward is Verdict.UNDECIDED
    assert "takes too long to find out" in change.why


@pytest.mark.parametrize("nothing", ["(){1000000000}", "((){1000}){1000}", "(^$|){1000000000}"])
def test_nothing_however_often_is_nothing(nothing):
    assert within(f"^{nothing}a$", "^a$") is ("$" not in nothing)


def test_a_compiled_pattern_is_let_go_with_its_comparison():
    compare(of(pattern=r"^\p{L}{1,30}$"), of(pattern="^a"))
    assert strings._pattern.cache_info().currsize == 0


def test_a_class_of_thousands_of_ranges_is_compared():
    many = "".join(chr(0x4E00 + 2 * at) for at in range(3_000))
    assert within(f"^[{many}]$", "^[\u4e00-\u9fff]$")
    assert not within("^[\u4e00-\u9fff]$", f"^[{many}]$")


def test_what_a_pattern_lists_is_tried_text_by_text():
    many = [f"value-{at}" for at in range(700)]  # more states than a machine has
    narrow, wide = (f"^({'|'.join(each)})$" for each in (many[1:], many))
    assert within(narrow, wide)
    assert within(narrow, "^[a-z]+-[0-9]{1,3}$")
    assert Texts().beyond(frozenset({wide}), narrow, Budget()).found == "value-0"
    assert Texts().beyond(frozenset({wide, "9$"}), "^value-[0-8]", Budget()).found == "value-9"
    assert Texts().within(frozenset({wide, "^[^v]"}), NOTHING, Budget())
    assert not within("^(a|b", "^(a|b)$")
    assert not within("a|b", "^(a|b)$")


def test_a_machine_that_nobody_has_steps_to_go_through_is_not_made():
    texts, budget = Texts(), Budget()
    budget.spend_on_texts(TEXTS - 16 * 40)
    assert texts.beyond(frozenset({"^[a-z]{9,900}$"}), "^[a-z]*x$", budget).spent
    assert texts._machines == {}
    assert texts.within(frozenset({"^[ab]$"}), "^[a-c]$", budget)


def test_a_short_pattern_lists_no_more_than_is_asked_for():
    assert listed_by(tree_of("^x-(a|b)((c|)|d)$"), 99) == ["x-ac", "x-a", "x-ad", "x-bc", "x-b", "x-bd"]
    assert len(listed_by(tree_of(f"^{'(a|b)' * 8}{'c' * 100}$"), 256 * 109) or ()) == 256
    assert listed_by(tree_of(f"^{'(a|b)' * 8}{'c' * 100}$"), 256 * 109 - 1) is None
