"""What befalls this process at a fault point: a step that fails, or the end of everything."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from headrace import fault_points

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def failing_at(point: str, fail: Callable[[], None]) -> Iterator[None]:
    """Have the first passing of a point, and no other, call `fail`."""
    passed = []

    def watcher(reached: str) -> None:
        if reached == point and not passed:
            passed.append(reached)
            fail()

    with _watched(watcher):
        yield
    assert passed, f"{point} was not passed"


class CutOffError(BaseException):
    """The process is gone: nothing may catch this."""


@contextmanager
def cut_off_at(point: str, after: str = "") -> Iterator[None]:
    """Cut off what comes to a point, and must come to it; with `after`, once it has passed that."""
    passed = []

    def watcher(reached: str) -> None:
        passed.append(reached)
        if reached == point and (not after or after in passed):
            raise CutOffError

    with _watched(watcher), pytest.raises(CutOffError):
        yield


@contextmanager
def _watched(watcher: Callable[[str], None]) -> Iterator[None]:
    fault_points.watch(watcher)
    try:
        yield
    finally:
        fault_points.watch(None)
