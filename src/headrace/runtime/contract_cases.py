"""Cases of a source: a message and what has to become of it, run through the ordinary stages. Pure, but for reading.

`tests/contracts/<source>.json` has `{"cases": [{"name", "message", "expect": {"fate", …}}]}`. It is JSON, not YAML, for
dbt reads what is YAML below `tests/`.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
from pydantic import Field, ValidationError

from headrace import words
from headrace.config.files import read_text
from headrace.config.json_lines import lines_of
from headrace.errors import ConfigError, EnrichError
from headrace.runtime.pipeline import Decided, Pipeline
from headrace.spec import Spec
from headrace.stages.event_json import event_json_sql
from headrace.stages.json_text import Unreadable, read, write
from headrace.stages.key import ALIAS
from headrace.stages.sql import SqlKernel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from headrace.config.source import Source

FOLDER = "tests/contracts"
SILVER, QUARANTINED, FILTERED = "silver", "quarantined", "filtered"


class ExpectSpec(Spec):
    """What has to become of a message. What is not said is not compared."""

    fate: Literal["silver", "quarantined", "filtered"] = Field(description="Where it ends.")
    dataset: str | None = Field(default=None, description="The dataset that it is of, where there are several.")
    values: dict[str, Any] = Field(default={}, description="Columns of silver; null where there is no value.")
    stage: str | None = Field(default=None, description="The stage that refuses it: decode, contract, quality, late …")
    code: str | None = Field(default=None, description="The code of the refusal.")
    path: str | None = Field(default=None, description="The JSON path of what is wrong.")


class CaseSpec(Spec):
    """One message, and what is expected of it."""

    name: str = Field(min_length=1, description="What the case is about.")
    message: Any = Field(description="The event; or, as a text, the bytes of the message as they are sent.")
    attributes: dict[str, str] = Field(default={}, description="The message's attributes.")
    ingest_time: dt.datetime | None = Field(default=None, description="When it arrives; default: now.")
    expect: ExpectSpec


class CasesSpec(Spec):
    """The cases of one source."""

    cases: tuple[CaseSpec, ...]


@dataclass(frozen=True)
class Became:
    """What became of a message: `fate` and, of that, what there is to say."""

    fate: str
    dataset: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    stage: str | None = None
    code: str | None = None
    path: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Result:
    """A case and what became of it; `wrong` says where the two differ, and is empty where they do not."""

    name: str
    at: str
    became: Became
    wrong: tuple[str, ...]


def cases_file(source_id: str) -> str:
    """Return where the cases of a source stand, relative to the project's folder."""
    return f"{FOLDER}/{source_id}.json"


def read_cases(root: Path, source_id: str) -> list[tuple[CaseSpec, str]]:
    """Return the cases of a source, each with its place. Raises `ConfigError` where they cannot be read."""
    file = cases_file(source_id)
    if not (root / file).is_file():
        raise ConfigError(
            f"the source {source_id!r} has no cases", at=file, fix=f'write {{"cases": [...]}} there; see {_DOCS}'
        )
    text = read_text(root / file, file)
    try:
        document = read(text, 200)
    except Unreadable as fault:
        raise ConfigError(f"not valid JSON: {fault.reason}", at=f"{file}:1", fix="correct it") from fault
    try:
        spec = CasesSpec.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        pointer = "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in first["loc"])
        raise ConfigError(
            f"{'.'.join(map(str, first['loc']))}: {first['msg']}",
            at=f"{file}:{lines_of(text, [pointer])[pointer]}",
            fix=f"see {_DOCS}",
        ) from error
    pointers = [f"/cases/{index}" for index in range(len(spec.cases))]
    lines = lines_of(text, pointers)
    return [(case, f"{file}:{lines[pointer]}") for case, pointer in zip(spec.cases, pointers, strict=True)]


_DOCS = "docs/howto/add-a-source.md"


def run_cases(source: Source, cases: Sequence[tuple[CaseSpec, str]], now: dt.datetime) -> list[Result]:
    """Run every case through the stages of its source, each as if it came alone."""
    stages = Stages(source)
    results = []
    for case, at in cases:
        payload = case.message if isinstance(case.message, str) else write(case.message)
        became = stages.of(payload.encode("utf-8", "surrogatepass"), case.attributes, case.ingest_time or now)
        results.append(Result(case.name, at, became, tuple(differences(case.expect, became))))
    return results


def differences(expect: ExpectSpec, became: Became) -> list[str]:
    """Return what of an expectation did not come true, a sentence each."""
    if expect.fate != became.fate:
        why = f": {became.stage}/{became.code}, {became.reason}" if became.reason else ""
        return [f"expected {expect.fate}, and it is {became.fate}{why}"]
    found = []
    for word in ("dataset", "stage", "code", "path"):
        wanted, got = getattr(expect, word), getattr(became, word)
        if wanted is not None and wanted != got:
            found.append(f"expected the {word} {wanted}, and it is {got}")
    for name, value in expect.values.items():
        if name not in became.values:
            found.append(f"silver has no column {name}")
        elif not _same(value, became.values[name]):
            found.append(f"{name}: expected {_shown(value)}, and it is {_shown(became.values[name])}")
    return found


def _same(wanted: Any, got: Any) -> bool:
    if isinstance(wanted, dict) and isinstance(got, dict):
        return all(_same(wanted.get(name), got.get(name)) for name in wanted.keys() | got.keys())
    if isinstance(wanted, list) and isinstance(got, list):
        return len(wanted) == len(got) and all(map(_same, wanted, got))
    if isinstance(wanted, bool) or isinstance(got, bool):
        return wanted is got
    number = (int, float, Decimal)
    if isinstance(wanted, number) and isinstance(got, number):
        return Decimal(str(wanted)) == Decimal(str(got))
    return bool(wanted == got)


def _shown(value: Any) -> str:
    text = write(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


_SHOWN = 80


class Stages:
    """The stages of a source, for messages that come one at a time and are looked at."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._pipeline = Pipeline(source)
        self._kernel = SqlKernel()
        self._lookups = _seeds(source)

    def decide(self, messages: pa.RecordBatch) -> Decided:
        """Return what the stages make of messages."""
        return self._pipeline(messages, self._lookups) if self._lookups else self._pipeline(messages)

    def of(self, payload: bytes, attributes: Mapping[str, str], now: dt.datetime) -> Became:
        """Return what becomes of one message."""
        batch = pa.RecordBatch.from_pylist([{"payload": payload, "attributes": list(attributes.items()) or None}],
                                           schema=_GIVEN)  # fmt: skip
        decided = self.decide(arriving(batch, now))
        for rows in decided.quarantine:
            for row in rows.to_pylist():
                return Became(
                    QUARANTINED, row["dataset"], stage=row["stage"], code=row["code"], path=row["path"],
                    reason=row["reason"],
                )  # fmt: skip
        for dataset, batches in decided.kept.items():
            for kept in batches:
                return Became(SILVER, dataset, self.values(kept)[0])
        return Became(FILTERED)

    def values(self, kept: pa.RecordBatch) -> list[dict[str, Any]]:
        """Return the contract's columns of events that came through, as JSON has them; absent ones are null."""
        own = [each for each in kept.schema if not each.name.startswith("_") or each.name not in _ENVELOPE]
        sql = f"SELECT {event_json_sql(own, ALIAS)} AS doc FROM rows {ALIAS}"
        texts = self._kernel.run(sql, rows=pa.Table.from_batches([kept])).column("doc").to_pylist()
        none = dict.fromkeys(each.name for each in own)
        return [none | read(text) for text in texts]


_GIVEN = pa.schema([("payload", pa.binary()), ("attributes", pa.map_(pa.string(), pa.string()))])
_ENVELOPE = {*words.ENVELOPE, words.EXTRA, words.ROW, words.KEY_HASH, words.EVENT_DATE}


def arriving(batch: pa.RecordBatch, now: dt.datetime, first: int = 0) -> pa.RecordBatch:
    """Return what is published as the stages get it: with a position, an id, a time of arrival and a number."""
    count = len(batch)
    numbers = pa.array(range(first, first + count), pa.int64())
    attributes = batch.column("attributes") if "attributes" in batch.schema.names else None
    kind = words.message_schema().field("attributes").type
    columns = {
        "partition": pa.repeat("sample", count),
        "offset": numbers,
        "message_id": numbers.cast(pa.string()),
        "ingest_time": pa.repeat(pa.scalar(now, pa.timestamp("us", "UTC")), count),
        "attributes": pa.nulls(count, kind) if attributes is None else attributes.cast(kind),
        "payload": batch.column("payload"),
    }
    return pa.RecordBatch.from_pydict(columns, schema=words.message_schema()).append_column("seq", numbers)


def _seeds(source: Source) -> dict[str, pa.Table]:
    """Return the seeds that events are enriched from; a silver dataset is not there outside of a lake."""
    columns: dict[str, dict[str, pa.ChunkedArray]] = {}
    for step in (step for dataset in source.datasets for step in dataset.enrichments):
        if step.seed is None:
            raise EnrichError(
                f"{source.id} looks up {step.lookup!r}, which is no seed: its cases cannot run without the lake",
                fix="test it with headrace publish and headrace explain",
            )
        columns.setdefault(step.lookup, {}).update({name: step.seed[name] for name in step.columns})
    return {name: pa.table(each) for name, each in columns.items()}


def cases_text(cases: Sequence[Mapping[str, Any]]) -> str:
    """Return the text of a file of cases, a case an indented object, its message on one line."""
    parts = []
    for case in cases:
        members = [f"      {json.dumps(name)}: {_one_line(value)}" for name, value in case.items()]
        parts.append("    {\n" + ",\n".join(members) + "\n    }")
    return '{\n  "cases": [\n' + ",\n".join(parts) + "\n  ]\n}\n"


def _one_line(value: Any) -> str:
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(f"{json.dumps(name, ensure_ascii=False)}: {_one_line(each)}" for name, each in value.items())
            + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(_one_line, value)) + "]"
    return write(value)
