"""The files of a batch on their way: all of them, or given up together."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path

import pytest

from headrace.errors import LakeError
from headrace.lake.base import StagedFile
from headrace.runtime.staging import Staging


def written(name: str) -> StagedFile:
    return StagedFile("silver.orders", Path(name), 1)


def coming(*files: StagedFile, problem: Exception | None = None) -> Future[list[StagedFile]]:
    future: Future[list[StagedFile]] = Future()
    if problem:
        future.set_exception(problem)
    else:
        future.set_result(list(files))
    return future


def test_files_are_those_at_hand_and_those_that_were_still_being_written():
    staging = Staging([written("bronze")])
    staging.take(coming(written("a"), written("b")))
    assert {str(each.path) for each in staging.files()} == {"bronze", "a", "b"}
    assert staging.files() == staging.given_up()


def test_what_fails_is_raised_and_the_rest_is_given_up_whole():
    staging = Staging([written("bronze")])
    staging.take(coming(written("a")))
    staging.take(coming(problem=LakeError("the disk refuses")))
    staging.take(coming(written("c")))
    with pytest.raises(LakeError):
        staging.files()
    assert sorted(str(each.path) for each in staging.given_up()) == ["a", "bronze", "c"]
