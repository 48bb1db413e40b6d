"""The front half of an event's life: messages in, what goes to silver and to quarantine out. Pure."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from headrace import words
from headrace.connectors.ingestion import dataset_name
from headrace.lake import tables
from headrace.stages.decode import Decode
from headrace.stages.enrich import Enrich
from headrace.stages.event_time import EventTime
from headrace.stages.key import KeyHash, KeyPresent
from headrace.stages.late import Late
from headrace.stages.masking import UNKNOWN_DATASET, Maskings
from headrace.stages.quality import Quality
from headrace.stages.rejections import none_rejected, rejections
from headrace.stages.validate import Validate
from headrace.stages.versioned import Versioned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from headrace.config.source import Source
    from headrace.stages.base import Stage
    from headrace.stages.dataset import Dataset

NO_LOOKUPS: Mapping[str, pa.Table] = MappingProxyType({})


@dataclass
class Decided:
    """What the stages made of a batch: every message is in `kept`, `quarantine` or `filtered`, once.

    `kept` has the events of each dataset, contract columns and envelope, ready to merge. `quarantine` has rows of the
    quarantine table, its batch not yet named. `arrived` counts the messages by dataset and contract version.
    """

    kept: dict[str, list[pa.RecordBatch]] = field(default_factory=dict)
    quarantine: list[pa.Table] = field(default_factory=list)
    arrived: Counter[tuple[str, str]] = field(default_factory=Counter)
    filtered: int = 0
    warned: Counter[str] = field(default_factory=Counter)

    def add(self, other: Decided) -> None:
        """Take in what became of the messages that follow."""
        for name, batches in other.kept.items():
            self.kept.setdefault(name, []).extend(batches)
        self.quarantine += other.quarantine
        self.arrived += other.arrived
        self.filtered += other.filtered
        self.warned += other.warned


class Stages(Protocol):
    """What decides the messages of one source, batch by batch. Belongs to one thread."""

    def __call__(self, messages: pa.RecordBatch, lookups: Mapping[str, pa.Table] = NO_LOOKUPS) -> Decided:
        """Decide a batch of `words.message_schema()` plus `seq`; enrich it from these versions of its lookups."""


class Pipeline:
    """The stages of one source. Belongs to one thread."""

    def __init__(self, source: Source, stages: Callable[[Source, Dataset], Sequence[Stage]] | None = None) -> None:
        """Make the stages of every dataset of the source: `stages_of`, unless told otherwise."""
        self._source = source
        make = stages or stages_of
        self._stages = {dataset.name: list(make(source, dataset)) for dataset in source.datasets}
        by_name = {dataset.name: dataset for dataset in source.datasets}
        tables = (table.name for table in source.spec.ingestion.tables)
        self._maskings = Maskings(source.datasets)
        self._tables = {table: by_name.get(dataset_name(source.id, table)) for table in tables}

    def __call__(self, messages: pa.RecordBatch, lookups: Mapping[str, pa.Table] = NO_LOOKUPS) -> Decided:
        """Decide a batch of `words.message_schema()` plus `seq`; enrich it from these versions of its lookups."""
        self._stages = {
            name: [stage.seeing(lookups[stage.step.lookup]) if isinstance(stage, Enrich) else stage for stage in stages]
            for name, stages in self._stages.items()
        }
        if self._tables:
            return self._route(messages)
        return self._one(next(iter(self._source.datasets), None), messages)

    def _one(self, dataset: Dataset | None, messages: pa.RecordBatch) -> Decided:
        """Decide the messages of one dataset; without one they stay in bronze."""
        if dataset is None:
            return Decided(filtered=len(messages), arrived=Counter({("", ""): len(messages)}))
        return self._decide(dataset, messages)

    def _route(self, messages: pa.RecordBatch) -> Decided:
        """Part the messages of a source with tables by the attribute that names the table."""
        decided = Decided()
        named = pc.map_lookup(messages["attributes"], words.DATASET_ATTRIBUTE, "last")
        rest = pa.repeat(True, len(messages))
        for table, dataset in self._tables.items():
            mine = pc.fill_null(pc.equal(named, table), fill_value=False)
            rest = pc.and_(rest, pc.invert(mine))
            if mine.true_count:
                decided.add(self._one(dataset, messages.filter(mine)))
        unknown = messages.filter(rest)
        if len(unknown):
            rejected = rejections(
                pa.array(range(len(unknown)), pa.int32()),
                stage="decode",
                code=UNKNOWN_DATASET,
                reason=f"the attribute {words.DATASET_ATTRIBUTE!r} names none of the tables: {', '.join(self._tables)}",
                value=named.filter(rest),
            )
            decided.arrived["", ""] += len(unknown)
            decided.quarantine.append(quarantine_rows(self._source.id, "", "", unknown, rejected))
        return decided

    def _decide(self, dataset: Dataset, messages: pa.RecordBatch) -> Decided:
        """Run the stages; where one fails by a bug of ours, halve the batch until only what it fails on is left."""
        versions: pa.Array | None = None
        try:
            kept, rejected, warned, versions = self._through(dataset, messages)
        except Exception as problem:  # noqa: BLE001 - one bad message never stops its neighbours
            if len(messages) > 1:
                half = len(messages) // 2
                decided = self._decide(dataset, messages.slice(0, half))
                decided.add(self._decide(dataset, messages.slice(half)))
                return decided
            kept, warned = None, Counter()
            rejected = failure(problem)
        decided = Decided(warned=warned)
        if kept is not None and len(kept):
            decided.kept[dataset.name] = [kept]
        rejected = self._maskings[dataset.name].rejected(rejected)
        for version, count, theirs in _by_version(dataset, len(messages), versions, rejected):
            decided.arrived[dataset.name, version] += count
            if len(theirs):
                decided.quarantine.append(quarantine_rows(self._source.id, dataset.name, version, messages, theirs))
        return decided

    def _through(
        self, dataset: Dataset, messages: pa.RecordBatch
    ) -> tuple[pa.RecordBatch, pa.RecordBatch, Counter[str], pa.Array | None]:
        """Return what `through` does, and the version of each message where several versions live at once."""
        first, *rest = self._stages[dataset.name]
        if not isinstance(first, Versioned):
            return *through([first, *rest], messages), None
        (batch, refused, _), versions = first.decide(messages)
        kept, rejected, warned = through(rest, batch)
        return kept, pa.concat_batches([refused, rejected]), warned, versions


def _by_version(
    dataset: Dataset, messages: int, versions: pa.Array | None, rejected: pa.RecordBatch
) -> Iterator[tuple[str, int, pa.RecordBatch]]:
    """Return each contract version that a batch has messages of, how many, and those of its rejections."""
    if versions is None:
        yield dataset.contract.version, messages, rejected
        return
    of_rejected = versions.take(rejected.column("row"))
    for each in pc.value_counts(versions).to_pylist():
        yield each["values"], each["counts"], rejected.filter(pc.equal(of_rejected, each["values"]))


def stages_of(source: Source, dataset: Dataset) -> list[Stage]:
    """Return the stages of a dataset in their order: what an event goes through between the bus and the merge."""
    stages: list[Stage] = (
        [Versioned(source.message_format, source.csv, dataset)]
        if dataset.is_versioned
        else [Decode(source.message_format, dataset.contract, source.csv), Validate(dataset.contract)]
    )
    stages += [KeyPresent(dataset), EventTime(dataset.event_time, dataset.timezone)]
    columns = dataset.columns()
    stages += [Enrich(step, columns) for step in dataset.enrichments]
    if dataset.rules:
        stages.append(Quality(dataset.rules, columns))
    if dataset.late:
        stages.append(Late(dataset.late))
    if dataset.key:
        stages.append(KeyHash(dataset))
    return stages


def through(stages: Sequence[Stage], batch: pa.RecordBatch) -> tuple[pa.RecordBatch, pa.RecordBatch, Counter[str]]:
    """Return what came through all stages, all rejections, and how often each warning was given."""
    rejected = [none_rejected()]
    warned: Counter[str] = Counter()
    for stage in stages:
        batch, refused, noticed = stage(batch)
        rejected.append(refused)
        if len(noticed):
            counts = pa.Table.from_batches([noticed]).group_by(["code", "reason"]).aggregate([([], "count_all")])
            warned.update({f"{each['code']}: {each['reason']}": each["count_all"] for each in counts.to_pylist()})
    return batch, pa.concat_batches(rejected), warned


def failure(problem: Exception) -> pa.RecordBatch:
    """Return the rejection of the one message that a bug of ours failed on."""
    reason = f"headrace failed on this message: {problem}"[:500]
    return rejections(pa.array([0], pa.int32()), stage="internal", code=type(problem).__name__, reason=reason)


def refusal(source: str, dataset: Dataset, event: pa.RecordBatch, problem: Exception) -> pa.Table:
    """Return the quarantine row of the one event that its merge failed on, by a bug of ours."""
    message = pa.RecordBatch.from_pydict(
        {
            "message_id": event.column(words.EVENT_ID),
            "seq": event.column(words.SEQ),
            "ingest_time": event.column(words.INGEST_TIME),
            "partition": pa.nulls(1, pa.string()),
            "offset": pa.nulls(1, pa.int64()),
        }
    )
    version = event.column(words.SCHEMA_VERSION)[0].as_py()
    rejected = Maskings([dataset])[dataset.name].rejected(failure(problem))
    return quarantine_rows(source, dataset.name, version, message, rejected)


def quarantine_rows(
    source: str, dataset: str, version: str, messages: pa.RecordBatch, rejected: pa.RecordBatch
) -> pa.Table:
    """Return rows of the quarantine table for rejections of these messages; the tick names the batch."""
    theirs = messages.take(rejected.column("row"))
    count = len(rejected)
    columns = {
        "id": theirs.column("message_id"),
        "source": pa.repeat(source, count),
        "dataset": pa.repeat(dataset, count),
        "seq": theirs.column("seq"),
        "partition": theirs.column("partition"),
        "offset": theirs.column("offset"),
        "ingest_time": theirs.column("ingest_time"),
        **{name: rejected.column(name) for name in ("stage", "code", "reason", "path", "value")},
        "contract_version": pa.repeat(version, count),
        "fingerprint": fingerprints(source, dataset, rejected),
        "status": pa.repeat("open", count),
        "batch_id": pa.nulls(count, pa.string()),
    }
    return pa.table(columns, schema=tables.QUARANTINE.columns)


def fingerprints(source: str, dataset: str, rejected: pa.RecordBatch) -> pa.Array:
    """Return, per rejection, what clusters equal failures: source, dataset, stage, code and path without indexes."""
    path = pc.replace_substring_regex(pc.fill_null(rejected.column("path"), ""), r"\[\d+\]", "[*]")
    cluster = pc.binary_join_element_wise(rejected.column("stage"), rejected.column("code"), path, "|")
    encoded = cluster.dictionary_encode()
    clusters = [f"{source}|{dataset}|{each}" for each in encoded.dictionary.to_pylist()]
    names = [hashlib.sha256(each.encode()).hexdigest()[:12] for each in clusters]
    return pa.array(names, pa.string()).take(encoded.indices)
