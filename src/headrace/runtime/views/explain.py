"""Explaining one message: its one fate and why, from where it came to where it lies.

What is recorded is read. The verdict of each stage is not recorded, so the stages are asked again, about this one
message and under what it ran under then: a rebuild decides by the same.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace import words
from headrace.errors import InputError
from headrace.lake.reader import open_reader
from headrace.lake.references import References
from headrace.runtime.pipeline import failure, stages_of
from headrace.runtime.rebuild.recorded import Deployments
from headrace.runtime.views import recent
from headrace.stages import paths
from headrace.stages.canonical import column_sql
from headrace.stages.enrich import Enrich
from headrace.warehouse.dbt_project import readers_of
from headrace.words import Fate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.config.project import Project
    from headrace.config.source import Source
    from headrace.lake.reader import LakeReader
    from headrace.stages.base import Stage
    from headrace.stages.dataset import Dataset
    from headrace.stages.masking import Masking

_BATCH = "batch_id, committed_at, deployment, code_version, first_seq, next_seq, contracts, lookups"
_NAMES = {"KeyPresent": "key", "EventTime": "event time", "KeyHash": "", "Versioned": "decode, validate"}


def explain(project: Project, message_id: str, source: str | None = None) -> dict[str, Any]:
    """Return the documented shape of `headrace explain --json`, as of the lake's latest commit.

    What the contract tags as personal, today, is masked. Raises `InputError` where no committed message has this id,
    `ConfigError` where the source does not exist.
    """
    asked = [project.source(source)] if source else list(project.sources.values())
    with open_reader(project.state / "lake") as lake, tempfile.TemporaryDirectory() as folder:
        found = _position(lake, message_id, asked) if lake is not None else None
        if lake is None or found is None:
            raise _unknown(lake, message_id, source)
        lake.pin()
        batch = _batch(lake, found["source"], found["seq"])
        today = project.source(found["source"])
        then = Deployments(project, lake, Path(folder)).project(batch["deployment"]).source(today.id)
        said = recent.one(today, then, lake, found["seq"])
        dataset = next((each for each in then.datasets if each.name == said["dataset"]), None)
        masking = recent.masked_as(today, then, said["dataset"])
        trace, event = _traced(then, dataset, lake, found["seq"], References(project.state / "lake"), batch, masking)
        in_silver = said["fate"] == Fate.SILVER
        lost = said["fate"] in {Fate.SUPERSEDED, Fate.DUPLICATE}
        winner = _winner(lake, dataset, event, masking) if lost else None
        return {
            "id": message_id,
            "source": found["source"],
            "dataset": said["dataset"],
            "fate": said["fate"],
            "why": _why(said, winner),
            "message": {name: said[name] for name in _MESSAGE},
            "batch": batch,
            "stages": trace,
            "winner": winner,
            "row": said["event"],
            "files": {
                "bronze": _within(project, found["file"]),
                "silver": _within(project, _file(lake, dataset, found["seq"])) if in_silver else None,
            },
            "gold": readers_of(project.state, said["dataset"]) if in_silver else [],
        }


_MESSAGE = ("seq", "partition", "offset", "ingest_time", "attributes", "payload", "payload_base64")


def _position(lake: LakeReader, message_id: str, sources: list[Source]) -> dict[str, Any] | None:
    """Return the source, number and file of a message."""
    rows = lake.rows(
        "SELECT source, seq, filename AS file FROM lake.bronze.messages "
        "WHERE message_id = ? AND list_contains(?, source) ORDER BY source, seq",
        [message_id, [each.id for each in sources]],
    )
    if len({row["source"] for row in rows}) > 1:
        said = " and ".join(sorted({row["source"] for row in rows}))
        raise InputError(
            f"{said} take the same topic, and each has a fate for {message_id}",
            at="bronze.messages",
            fix=f"choose one of them: --source {rows[0]['source']}",
        )
    return rows[0] if rows else None


def _unknown(lake: LakeReader | None, message_id: str, source: str | None) -> InputError:
    """Return why there is nothing to explain: nobody has the message, or a source that was taken away."""
    at = "bronze.messages"
    known = "SELECT DISTINCT source FROM lake.bronze.messages WHERE message_id = ? ORDER BY 1"
    if lake is not None and source is None and (rows := lake.rows(known, [message_id])):
        gone = rows[0]["source"]
        message = f"{message_id!r} was committed by {gone}, which is no source of this project any more"
        return InputError(message, at=at, fix=f"put connectors/{gone}.yaml back")
    return InputError(
        f"no message {message_id!r} was committed" + (f" by {source}" if source else ""),
        at=at,
        fix="find its message_id by what you know: headrace good SOURCE --where payload.FIELD=VALUE --json "
        "(or bad); `headrace status` tells whether messages wait; what the collector refused is stored nowhere",
    )


def _batch(lake: LakeReader, source: str, seq: int) -> dict[str, Any]:
    row = lake.rows(
        f"SELECT {_BATCH} FROM lake.ops.batches WHERE source = ? AND first_seq <= ? AND next_seq > ?",
        [source, seq, seq],
    )[0]
    return row | {"committed_at": row["committed_at"].isoformat(), "lookups": row["lookups"] or {}}


def _traced(
    source: Source,
    dataset: Dataset | None,
    lake: LakeReader,
    seq: int,
    kept: References,
    batch: Mapping[str, Any],
    masking: Masking,
) -> tuple[list[dict[str, Any]], pa.RecordBatch | None]:
    """Return the verdict of every stage on a message, and the event that came through them all, if it did."""
    if dataset is None:
        return [], None
    columns = ", ".join(f'"{name}"' for name in words.message_schema().names)
    row = lake.rows(f"SELECT {columns} FROM lake.bronze.messages WHERE source = ? AND seq = ?", [source.id, seq])
    schema = words.message_schema().append(pa.field("seq", pa.int64()))
    event: pa.RecordBatch | None = pa.RecordBatch.from_pylist([row[0] | {"seq": seq}], schema=schema)
    told: list[dict[str, Any]] = []
    for stage in stages_of(source, dataset):
        name = _name(stage)
        verdict: dict[str, Any] = {"stage": name, "verdict": "not reached"}
        if event is not None:
            if isinstance(stage, Enrich):
                stage = stage.seeing(kept.load(batch["lookups"][stage.step.lookup]))  # noqa: PLW2901
            try:
                event, rejected, warned = stage(event)
            except Exception as problem:  # noqa: BLE001 - the bug that the message was quarantined for
                event, rejected, warned = None, failure(problem), None
            found = masking.rejected(rejected if warned is None or len(rejected) else warned).to_pylist()
            verdict["verdict"] = "refused" if len(rejected) else "warned" if found else "passed"
            verdict["findings"] = [{key: each[key] for key in ("code", "reason", "path", "value")} for each in found]
            if event is not None and not len(event):
                event = None
        if name:
            told.append(verdict)
    return told, event


def _name(stage: Stage) -> str:
    kind = type(stage).__name__
    return _NAMES.get(kind, kind.lower())


def _winner(
    lake: LakeReader, dataset: Dataset | None, event: pa.RecordBatch | None, masking: Masking
) -> dict[str, Any] | None:
    """Return the event of silver that has the key of this one."""
    if dataset is None or event is None or not dataset.key:
        return None
    schema = dataset.contract.arrow_schema()
    where, values = [], []
    for text in dataset.key:
        path = paths.resolve(text, schema)
        where.append(f"{column_sql('t', path.column, *path.steps)} IS NOT DISTINCT FROM ?")
        values.append(paths.leaves(event, path).values[0].as_py())
    version = "NULL"
    if dataset.version_by:
        path = paths.resolve(dataset.version_by, schema)
        version = column_sql("t", path.column, *path.steps)
    rows = lake.rows(
        f'SELECT t."{words.EVENT_ID}" AS id, t."{words.SEQ}" AS seq, t."{words.INGEST_TIME}" AS ingest_time, '
        f'{version} AS version FROM lake.silver."{dataset.name}" t WHERE {" AND ".join(where)} LIMIT 1',
        values,
    )
    if not rows:
        return None
    found = {name: recent.plain(value) for name, value in rows[0].items()}
    if dataset.version_by:
        found["version"] = masking.field(dataset.version_by, found["version"])
    key = {name: masking.field(name, recent.plain(value)) for name, value in zip(dataset.key, values, strict=True)}
    return found | {"key": key, "version_by": dataset.version_by}


def _why(said: Mapping[str, Any], winner: Mapping[str, Any] | None) -> str:
    """Return the fate as a sentence."""
    other = winner["id"] if winner else "another event"
    match said["fate"]:
        case Fate.SILVER:
            return f"it is in silver.{said['dataset']}"
        case Fate.QUARANTINED:
            return f"{said['stage']}/{said['code']}: {said['reason']}"
        case Fate.SUPERSEDED if winner and winner["version_by"]:
            return f"{other} has the same key, and a greater {winner['version_by']} (or came later with the same)"
        case Fate.SUPERSEDED:
            return f"{other} has the same key, and came later"
        case Fate.DUPLICATE:
            return f"the same event had come before; {other} is what silver has of its key"
        case Fate.FILTERED:
            return "its source has no contract: it stays in bronze"
        case fate:
            return str(fate)


def _within(project: Project, file: str) -> str:
    """Return the path of a file of the lake as the project's folder sees it."""
    path = Path(file)
    return str(path.relative_to(project.root)) if path.is_relative_to(project.root) else file


def _file(lake: LakeReader, dataset: Dataset | None, seq: int) -> str:
    if dataset is None:
        return ""
    rows = lake.rows(f'SELECT filename AS file FROM lake.silver."{dataset.name}" WHERE "{words.SEQ}" = ?', [seq])
    return str(rows[0]["file"]) if rows else ""
