"""Making a plan: every layer asked in turn, then history if that was asked for; nothing is changed."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import headrace
from headrace.governance.lineage_sql import Ref
from headrace.lake.reader import open_reader
from headrace.runtime import applied
from headrace.runtime.deployment import now
from headrace.runtime.inputs import inputs as warehouse_inputs
from headrace.runtime.plan import history
from headrace.runtime.plan.contracts import contract_changes, not_upcast
from headrace.runtime.plan.deployed import Deployed, deployed, digest_of
from headrace.runtime.plan.document import sealed
from headrace.runtime.plan.estimate import estimate
from headrace.runtime.plan.gold_models import model_changes
from headrace.runtime.plan.sampling import Sampling
from headrace.runtime.plan.scaled import spoken
from headrace.runtime.plan.silver_tables import table_changes
from headrace.runtime.plan.sources import changed
from headrace.runtime.plan.windows import given, pasts, sides
from headrace.warehouse.rendering import dbt_files

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Mapping, Sequence

    from headrace.config.project import Project
    from headrace.config.source import Source
    from headrace.lake.reader import LakeReader
    from headrace.runtime.applied import Refusal
    from headrace.runtime.plan.silver_tables import TableChange
    from headrace.runtime.plan.windows import Past, Skipped
    from headrace.runtime.rebuild.silver import Rebuilt

EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Ask:
    """What a plan is to look at: with `history`, what is replayed since an instant (None: all of it).

    `sample` is the share of all keys that is replayed; None: every message.
    """

    history: bool = False
    since: dt.datetime | None = None
    examples: int = EXAMPLES
    sample: float | None = None


@dataclass(frozen=True)
class Made:
    """A plan, and, while it is held, the lake that its replay made.

    By source, `windows` has which messages, and `sides` the source as it was at any time in its window, as it was
    deployed, and as it is now.
    """

    document: dict[str, Any]
    rebuilt: Rebuilt | None
    was: Deployed
    windows: Mapping[str, range]
    sides: Mapping[str, Sequence[Source]]


def plan(project: Project, ask: Ask | None = None) -> dict[str, Any]:
    """Return the plan of a project: the documented shape of `headrace plan --json`."""
    with planned(project, ask or Ask()) as made:
        return made.document


@contextmanager
def planned(project: Project, ask: Ask, windows: Mapping[str, range] | None = None) -> Iterator[Made]:
    """Make a plan, and keep what its replay made until the block ends. `windows` are those of an earlier plan."""
    began = time.monotonic()
    again_is_asked = windows is None
    with tempfile.TemporaryDirectory() as folder, open_reader(project.state / "lake") as lake:
        snapshot = lake.pin() if lake is not None else None
        was = deployed(project, lake, Path(folder))
        again: dict[str, Past] = {}
        skipped: list[Skipped] = []
        if windows is not None:
            again = given(was, project, lake, windows, Path(folder))
        elif ask.history:
            again, skipped = pasts(was, project, lake, ask.since, Path(folder))
        windows = {name: each.window for name, each in again.items()}
        said = read_inputs(project, lake, was, windows)
        if lake is None or snapshot is None or was.project is None or not windows:
            yield Made(_document(project, ask, said, was, lake, [], skipped, began), None, was, {}, {})
            return
        both = sides(again, was.project, project)
        # What is applied is made of every message, as a rebuild is; a plan need not take those that matter to nothing.
        sampling = Sampling(ask.sample, lake, windows) if again_is_asked else None
        with history.replayed(project, lake, windows, sampling) as rebuilt:
            replayed_in = time.monotonic() - began
            found = history.compared(project, snapshot, rebuilt, windows, both, ask.examples, sampling)
            for one in found:
                one["decided_by"] = list(again[one["source"]].versions)
            document = _document(project, ask, said, was, lake, found, skipped, began, replayed_in)
            yield Made(document, rebuilt, was, windows, both)


def read_inputs(
    project: Project, lake: LakeReader | None, was: Deployed, windows: Mapping[str, range]
) -> dict[str, Any]:
    """Return the digests of all that a plan is made of."""
    return {
        "project": project.name,
        "environment": project.environment,
        "files": project.digest,
        "models": digest_of(dbt_files(warehouse_inputs(project))),
        "deployed": was.digest,
        "deployed_models": was.models_digest,
        "code_version": headrace.__version__,
        "history": {name: _history(lake, name, each) for name, each in windows.items() if lake is not None},
    }


def _history(lake: LakeReader, source: str, window: range) -> dict[str, Any]:
    """Return a window, and the digest of every batch of its source: taken under what, and with what outcome."""
    rows = lake.rows(
        "SELECT first_seq, next_seq, deployment, lookups, digests FROM lake.ops.batches WHERE source = ? ORDER BY ALL",
        [source],
    )
    said = hashlib.sha256(json.dumps(rows, default=str, sort_keys=True).encode()).hexdigest()
    return {"first": window.start, "end": max((row["next_seq"] for row in rows), default=0), "batches": said}


def _document(
    project: Project,
    ask: Ask,
    said: dict[str, Any],
    was: Deployed,
    lake: LakeReader | None,
    replayed: list[dict[str, Any]],
    skipped: list[Skipped],
    began: float,
    replayed_in: float = 0.0,
) -> dict[str, Any]:
    whole = {each["dataset"] for one in replayed if one["first"] == 0 for each in one["datasets"]}
    changes = changed(was.project, project)
    tables = table_changes(was.project, project, lake, whole)
    models = model_changes(was, project, lake, tables, _other_values(replayed), _other_rows(replayed))
    contracts = contract_changes(was.project, project)
    fixed = applied.refusals(project.sources.values(), applied.applied(lake)) if lake is not None else []
    breaking = [*(each.message for each in fixed), *_breaking(contracts, tables, models, replayed, was)]
    breaking += [
        sentence
        for one in replayed
        for each in one["datasets"]
        for sentence in not_upcast(project, each["dataset"], each["versions"])
    ]
    partitions = {
        each["dataset"]: each["rewritten"] for one in replayed for each in one["datasets"] if each["rewritten"]
    }
    sampled = any(one["sample"] for one in replayed)
    return sealed(
        {
            "made_at": now().isoformat(),
            "inputs": said,
            "first": not was.digest,
            "undeployable": was.problem,
            "changes": changes,
            "contracts": contracts,
            "tables": tables,
            "models": models,
            "history": {
                "asked": ask.history,
                "since": ask.since,
                "sample": ask.sample,
                "sources": replayed,
                "skipped": [asdict(each) for each in skipped],
            },
            "partitions": partitions,
            "breaking": breaking,
            "refused": _refused(fixed, tables, sampled=sampled),
            "nothing": not (changes or contracts or tables or models or replayed or _is_new(project, said)),
            "estimate": estimate(project, lake, replayed, replayed_in, time.monotonic() - began),
        }
    )


def _is_new(project: Project, said: Mapping[str, Any]) -> bool:
    """Whether anything differs at all: a digest covers what no layer shows, such as a seed's rows."""
    return bool(project.digest != said["deployed"] or said["models"] != said["deployed_models"])


def _refused(fixed: Sequence[Refusal], tables: Sequence[TableChange], *, sampled: bool) -> list[dict[str, str]]:
    """Return why `apply` takes no such plan, whatever happens until then, where, and what to type instead."""
    found = [{"why": str(each.message), "at": each.place(), "fix": each.fix} for each in fixed]
    found += [
        {"why": f"{each['table']}: {each['why']}", "at": "plan", "fix": each["fix"]}
        for each in tables
        if each["action"] == "refused"
    ]
    if sampled:
        why = "the plan is of a sample of history, and what it says of the whole is an estimate"
        fix = "make one of all of it, and look at it: headrace plan --history, without --sample"
        found.append({"why": why, "at": "plan", "fix": fix})
    return found


def _other_values(replayed: list[dict[str, Any]]) -> list[Ref]:
    """Return the columns of silver that hold other values, by the replay."""
    return [
        Ref(f"silver.{each['dataset']}", column["column"].lower())
        for one in replayed
        for each in one["datasets"]
        for column in each["columns"]
    ]


def _other_rows(replayed: list[dict[str, Any]]) -> set[str]:
    """Return the silver tables into which rows come, or out of which they go, by the replay."""
    return {
        f"silver.{each['dataset']}"
        for one in replayed
        for each in one["datasets"]
        if each["left"] or each["entered"] or each["moved"]
    }


def _breaking(
    contracts: list[dict[str, Any]],
    tables: Any,
    models: Any,
    replayed: list[dict[str, Any]],
    was: Deployed,
) -> list[str]:
    found = [f"what is deployed does not load any more: {was.problem}"] if was.problem else []
    found += [
        f"the contract {each['dataset']} does not take what its version of before took, and has no upcast from it"
        for each in contracts
        if each["breaks"]
    ]
    found += [f"{each['table']} cannot be: {each['why']}" for each in tables if each["action"] == "refused"]
    found += [f"{each['model']} breaks: {each['breaks']}" for each in models if each["breaks"]]
    for one in replayed:
        fail, of = one["now_fail"], f"{one['messages']:,} messages of {one['source']} would fail"
        if fail["messages"] and one["sample"] is None:
            found.append(f"{fail['messages']:,} of {of}")
        elif fail["messages"]:
            share = f"{100 * one['sample']['share']:.3g} % of the keys"
            found.append(f"about {spoken(fail['whole'])} of {of}, by a sample of {share}")
    return found
