"""Applying a plan: refused where any of its inputs is another by now, and then exactly what it said.

    without history   tables are extended, then the files are recorded: each step by itself, any of them again at will
    with history      one transaction of the lake: tables, silver, ledger, quarantine, batches, the record of the files

What was done is read off the lake, so a plan that was applied is done, and one that was cut off is applied again.
"""

from __future__ import annotations

import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.errors import BusyError, InputError
from headrace.lake.ducklake import DuckLake
from headrace.lake.history import History
from headrace.lake.reader import open_reader
from headrace.runtime import control
from headrace.runtime.deployment import recorded, records, refuse_changed_versions, take
from headrace.runtime.plan.deployed import deployed
from headrace.runtime.plan.document import stale
from headrace.runtime.plan.making import Ask, Made, planned, read_inputs
from headrace.runtime.rebuild.silver import sweep
from headrace.runtime.state import open_state

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.config.project import Project
    from headrace.errors import UserError


@dataclass(frozen=True, slots=True)
class Applied:
    """What `apply` did: `deployed` and `decided` are steps that this call took; neither, and it was done before.

    `messages` were decided again, in `partitions` of silver by dataset.
    """

    plan: str
    deployed: bool
    decided: bool
    messages: int
    partitions: Mapping[str, list[str]]


def apply(project: Project, document: Mapping[str, Any]) -> Applied:
    """Apply a plan of this project. Idempotent; killed at any moment, the next call does what is left.

    Raises `InputError` where an input of the plan is another by now, and says which; `BusyError` while `up` runs.
    """
    open_state(project.state)
    if document["nothing"] or is_applied(project, document):
        sweep(project)  # one that was killed right after its commit has left what it made
        return Applied(document["digest"], False, False, 0, {})
    if refused(project, document):
        check(project, document)  # which says first where it is stale
    windows = {name: range(each["first"], each["end"]) for name, each in (document["inputs"]["history"] or {}).items()}
    if not windows:
        with closing(DuckLake(project.state / "lake")) as lake:
            check(project, document)
            done = take(project, lake)
        return Applied(document["digest"], done, False, 0, {})
    # The writer's lock first: what is replayed is what will be replaced.
    with closing(DuckLake(project.state / "lake")) as lake:
        check(project, document)
        with planned(project, Ask(history=True), windows) as made:
            _refuse(refused(project, made.document))
            is_new = _swap(project, lake, made)
            partitions = made.document["partitions"]
        lake.keep_copy()
    return Applied(document["digest"], is_new, True, sum(map(len, windows.values())), partitions)


def check(project: Project, document: Mapping[str, Any]) -> None:
    """Raise `InputError` where a plan does not hold any more, or what `refused` says; what is applied already holds."""
    if document["nothing"] or is_applied(project, document):
        return
    with open_reader(project.state / "lake") as lake, tempfile.TemporaryDirectory() as folder:
        if lake is not None:
            lake.pin()
        windows = {name: range(each["first"], each["end"]) for name, each in document["inputs"]["history"].items()}
        fresh = read_inputs(project, lake, deployed(project, lake, Path(folder)), windows)
    _refuse_stale(document["inputs"], fresh)
    _refuse(refused(project, document))


def refused(project: Project, document: Mapping[str, Any]) -> list[UserError]:
    """Return why `apply` does not take a plan that is not applied yet, though it is not stale: each says what to type.

    That `up` runs comes last: it is worth stopping only for a plan that can be applied.
    """
    found: list[UserError] = [InputError(each["why"], at=each["at"], fix=each["fix"]) for each in document["refused"]]
    if not document["nothing"] and control.ask(project.state, {"verb": "ping"}) is not None:
        found.append(
            BusyError(
                "headrace up is running, and it alone writes this environment",
                at=str(project.state),
                fix="stop it with Ctrl-C, which drains it; apply; then start it again: it takes the new files",
            )
        )
    return found


def _swap(project: Project, lake: DuckLake, made: Made) -> bool:
    """Put what was made in the place of what was; return whether the files were not deployed yet."""
    if made.rebuilt is None:
        raise InputError("the plan has no history to decide again", at="plan", fix="headrace plan --history 30d")
    histories = [
        History(
            name,
            window.start,
            tuple(dict.fromkeys(each.name for side in made.sides[name] for each in side.datasets)),
            project.digest,
        )
        for name, window in made.windows.items()
    ]
    datasets = [dataset for source in project.sources.values() for dataset in source.datasets]
    refuse_changed_versions(project, lake)
    ops = records(project, lake)
    lake.decide_again(made.rebuilt.folder, histories, datasets, ops)
    return bool(ops)


def is_applied(project: Project, document: Mapping[str, Any]) -> bool:
    """Return whether the files of a plan are deployed, and its history is decided under them by the code it is of."""
    said = document["inputs"]
    if said["files"] != project.digest:
        return False
    with open_reader(project.state / "lake") as lake:
        if lake is None or lake.layout("ops.deployments") is None:
            return False
        newest = lake.rows("SELECT * FROM lake.ops.deployments ORDER BY deployed_at DESC LIMIT 1")
        now = recorded(project)
        if not newest or (newest[0]["digest"], newest[0].get("models")) != (now["digest"], now["models"]):
            return False
        for name, each in (said["history"] or {}).items():
            other = lake.rows(
                "SELECT 1 FROM lake.ops.batches WHERE source = ? AND next_seq > ? AND first_seq < ? "
                "AND (deployment <> ? OR code_version <> ?) LIMIT 1",
                [name, each["first"], each["end"], project.digest, said["code_version"]],
            )
            if other:
                return False
    return True


def _refuse_stale(was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    if found := stale(was, now):
        raise InputError(
            f"the plan is stale; what it was made of has changed: {'; '.join(found)}",
            at="plan",
            fix="make it anew, and look at it: headrace plan",
        )


def _refuse(why: Sequence[UserError]) -> None:
    if why:
        raise why[0]
