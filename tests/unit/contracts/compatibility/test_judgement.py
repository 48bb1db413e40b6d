"""A chain of versions under each mode."""

import pytest

from headrace.contracts.compatibility import judge
from headrace.errors import ContractError


def amount(**more):
    return {"type": "object", "properties": {"amount": {"type": "number", **more}}}


CHAIN = [amount(), amount(minimum=0), amount(minimum=0, maximum=9), amount(minimum=0)]


@pytest.mark.parametrize(
    ("mode", "allowed", "pairs"),
    [
        ("backward", True, [2]),
        ("backward_compatible", True, [2]),
        ("forward", False, [2]),
        ("full", False, [2]),
        ("backward_transitive", False, [2, 1, 0]),
        ("full_transitive", False, [2, 1, 0]),
        ("none", True, [2]),
    ],
)
def test_a_mode_judges_the_last_version(mode, allowed, pairs):
    found = judge(CHAIN, mode)
    assert (found.allowed, [pair.earlier for pair in found.pairs]) == (allowed, pairs)


def test_a_transitive_mode_says_which_version_breaks():
    found = judge(CHAIN, "backward_transitive")
    assert [(pair.earlier, [change.rule for change in pair.breaking]) for pair in found.pairs if pair.breaking] == [
        (0, ["minimum-added"])
    ]


def test_one_version_is_always_allowed():
    assert judge([amount()], "full_transitive").allowed


def test_an_unknown_mode_is_told():
    with pytest.raises(ContractError, match="unknown mode 'sideways'"):
        judge(CHAIN, "sideways")
