"""The fault points: all that are listed are passed somewhere, and all that are passed are listed and told of."""

import ast
from pathlib import Path

import pytest

import headrace
from headrace import fault_points
from headrace.fault_points import POINTS, STEPS, reach, watch

PAGE = Path(__file__).parents[2] / "docs" / "concepts" / "chaos.md"


def passed():
    """Return the points that the code passes, by their names as they stand there."""
    found = []
    for path in Path(headrace.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "reach":
                assert isinstance(node.args[0], ast.Constant), f"{path}:{node.lineno}: a name that nobody can look for"
                found.append(node.args[0].value)
    return found


def test_every_point_is_listed_and_passed():
    assert set(passed()) == set(POINTS)


def test_the_page_has_every_step():
    page = PAGE.read_text()
    missing = [line for name, what in STEPS.items() if (line := f"| `{name}` | {what} |") not in page]
    assert not missing, "\n".join(missing)


def test_nobody_listens_until_asked():
    heard = []
    watch(heard.append)
    try:
        reach("bus.publish.before")
    finally:
        watch(None)
    reach("bus.publish.after")
    assert heard == ["bus.publish.before"]


def test_a_watcher_may_refuse():
    def full(point):
        raise OSError(28, "No space left on device")

    watch(full)
    try:
        with pytest.raises(OSError, match="No space"):
            reach("lake.sync.before")
    finally:
        watch(None)
    assert fault_points._watcher is None
