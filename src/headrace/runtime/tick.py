"""The tick: one round of an event's life, from the bus to one commit.

    pull ─▶ decode ▸ validate ▸ event time ▸ enrich ▸ quality ▸ late ─▶ stage bronze   `prepare`, no lock, no catalog
                                                                     │
    ack ◀─ commit: bronze + silver + quarantine + ledger + position ◀┴─ merge      `commit`, the writer's thread
           + outbox

`prepare` of the next round may run while `commit` of this one does. What a crash interrupts has left nothing but staged
files that no snapshot names: the next start seeks the bus to the committed positions and takes the same messages again.
"""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from headrace import words
from headrace.bus.base import Subscription
from headrace.errors import BusError, HeadraceError, InDoubtError, LakeError, SpaceError
from headrace.fault_points import reach
from headrace.lake import digests, tables
from headrace.lake.base import Change, Removal
from headrace.runtime import batch as rows
from headrace.runtime.outbox import Outbox, outboxes
from headrace.runtime.pipeline import Pipeline, refusal
from headrace.runtime.references import SourceReferences
from headrace.runtime.staging import Staging
from headrace.stages.merge import Merge
from headrace.words import Fate

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from headrace.bus.base import Bus
    from headrace.config.source import Source
    from headrace.lake.base import StagedFile
    from headrace.lake.ducklake import DuckLake
    from headrace.runtime.pipeline import Stages
    from headrace.runtime.references import References
    from headrace.stages.dataset import Dataset
    from headrace.stages.merge import Merged

T = TypeVar("T", rows.Prepared, rows.Merges)
U = TypeVar("U")
PULL_BYTES = 64 << 20


_SUBSCRIPTION = "lake-"


def subscription(source: str) -> str:
    """Return the name of a source's subscription: sources that share a topic each get every message."""
    return f"{_SUBSCRIPTION}{source}"


def source_of(subscription: str) -> str | None:
    """Return the source that a subscription is of; None where it is none of ours."""
    return subscription.removeprefix(_SUBSCRIPTION) if subscription.startswith(_SUBSCRIPTION) else None


class Tick:
    """Takes the messages of sources through their stages into the lake.

    `prepare` belongs to one thread and `commit` to the lake's; they may be two. A rebuild has references of its own
    and no outbox: what was pushed once is not pushed again.
    """

    def __init__(
        self,
        bus: Bus,
        lake: DuckLake,
        sources: Mapping[str, Source],
        deployment: str,
        clock: Callable[[], dt.datetime],
        *,
        pipeline: Callable[[Source], Stages] = Pipeline,
        merge: Callable[[Dataset], Merge] = Merge,
        outbox: Callable[[Source], Outbox] | None = Outbox,
        references: Callable[[Source, DuckLake], References] = SourceReferences,
    ) -> None:
        self._bus = bus
        self._lake = lake
        self._sources = sources
        self._deployment = deployment
        self._clock = clock
        self._pipeline = pipeline
        self._pipelines: dict[str, Stages] = {}  # compiled when first needed: a start with many sources is short
        self._merge_of = {
            dataset.name: (dataset, merge(dataset)) for source in sources.values() for dataset in source.datasets
        }
        self._outboxes = outboxes(sources, outbox) if outbox is not None else {}
        self._references = {name: references(source, lake) for name, source in sources.items()}
        self._stager = ThreadPoolExecutor(2, thread_name_prefix="stage")  # one for bronze, one for silver
        self._next_seq: dict[str, int] = {}
        self._next_offset: dict[str, dict[str, int | None]] = {}

    def start(self, names: Sequence[str] | None = None) -> dict[str, HeadraceError]:
        """Set sources (all, unless named) to what is committed: the lake's positions are the checkpoint, not the bus's.

        Runs in the lake's thread, while nothing is being prepared. Returns the sources whose topic refuses, and why:
        they are where they were, and must not be prepared.
        """
        refused: dict[str, HeadraceError] = {}
        seqs = self._lake.next_seqs()
        positions = self._lake.positions()
        for name in self._sources if names is None else names:
            source = self._sources[name]
            offsets = {
                each.partition: each.next_offset
                for each in positions
                if (each.source, each.topic) == (name, source.topic)
            }
            try:
                self._bus.subscribe(Subscription(source.topic, subscription(name)))
                known = {part: offset for part, offset in offsets.items() if offset is not None}
                self._bus.seek(source.topic, subscription(name), known)
            except (BusError, SpaceError) as problem:
                refused[name] = problem
                continue
            self._next_seq[name] = seqs.get(name, 0)
            self._next_offset[name] = offsets
        return refused

    def prepare(self, name: str, limit: int = 0) -> rows.Prepared | None:
        """Pull what waits for a source, run its stages and stage its bronze; None where nothing waits.

        `limit` bounds the messages below the source's own batch size (0: it does not).
        """
        source = self._sources[name]
        seen = self._references[name].current()
        most = min(limit, source.batch_rows) if limit else source.batch_rows
        pulled = self._bus.pull(source.topic, subscription(name), most, PULL_BYTES)
        if pulled is None:
            return None
        fresh = pulled.batch if self._bus.replayable else self._not_taken(name, pulled.batch)
        if not len(fresh):
            self._bus.ack(source.topic, subscription(name), pulled.receipt)
            return None
        first = self._next_seq[name]
        batch_id = f"{name}-{first}-{time.time_ns():x}"
        messages = rows.numbered(fresh, first)
        stretches = rows.stretches(fresh, self._next_offset[name])
        # Bronze is as it came, so it is written while the stages look at it.
        staging = self._stager.submit(self._stage_bronze, name, messages, batch_id)
        try:
            if name not in self._pipelines:
                self._pipelines[name] = self._pipeline(source)
            decided = self._pipelines[name](messages, seen.tables)
        except BaseException:
            self._lake.discard(Staging([], [staging]).given_up())
            raise
        files = staging.result()
        self._next_seq[name] = first + len(fresh)
        self._next_offset[name].update({each.partition: each.next_offset for each in stretches})
        oldest = pc.min(fresh.column("ingest_time")).as_py()
        last = first + len(fresh)
        return rows.Prepared(
            batch_id, name, source.topic, first, last, oldest, stretches, decided, tuple(files), (pulled.receipt,),
            seen.versions,
        )  # fmt: skip

    def _stage_bronze(self, name: str, messages: pa.RecordBatch, batch_id: str) -> list[StagedFile]:
        reach("tick.bronze.before")
        staged = self._lake.stage(tables.BRONZE, rows.bronze_rows(name, messages), batch_id)
        reach("tick.bronze.after")
        return staged

    def foresee(self, name: str) -> None:
        """Let the lake read what the merges of a source will ask it, in its thread, while a first batch is prepared."""
        for dataset in self._sources[name].datasets:
            self._lake.foresee(dataset)

    def commit(self, prepared: Sequence[rows.Prepared]) -> dict[str, Exception]:
        """Merge and commit batches, one a source, all in one transaction; return the sources that failed, and why.

        Where the transaction fails, halves of it are tried, so that one source never keeps another's batch from its
        commit; a failed source is taken up again by `start`. A full disk is everybody's and raises `SpaceError`.
        """
        failed: dict[str, Exception] = {}
        staging = {each.source: Staging(list(each.files)) for each in prepared}
        try:
            with self._lake.reading():
                merged = self._tried(prepared, staging, failed, self._merges)
            self._commit(self._tried(merged, staging, failed, self._change), staging, failed)
        except SpaceError:
            for left in staging.values():
                self._lake.discard(left.given_up())
            raise
        for each in prepared:
            if each.source not in failed:
                self._ack(each)
        return failed

    def _tried(
        self,
        batches: Iterable[T],
        staging: dict[str, Staging],
        failed: dict[str, Exception],
        act: Callable[[T, Staging], U],
    ) -> list[U]:
        """Return what `act` makes of each batch; a bug met by one source's data must not stop the others."""
        made = []
        for each in batches:
            try:
                made.append(act(each, staging[each.source]))
            except SpaceError:
                raise
            except Exception as problem:  # noqa: BLE001 - see above
                failed[each.source] = problem
                self._lake.discard(staging.pop(each.source).given_up())
        return made

    def _commit(self, changes: Sequence[Change], staging: dict[str, Staging], failed: dict[str, Exception]) -> None:
        if not changes:
            return
        try:
            reach("tick.commit.before")
            self._lake.commit(changes)
        except SpaceError:
            raise
        except InDoubtError as problem:
            for each in changes:  # its files may be silver by now: `start` is told by the positions
                failed[each.source] = problem
                del staging[each.source]
            return
        except Exception as problem:  # noqa: BLE001 - what it is, whoever is left alone with it says
            if len(changes) == 1:
                source = changes[0].source
                failed[source] = problem
                self._lake.discard(staging.pop(source).given_up())
                return
            half = len(changes) // 2
            self._commit(changes[:half], staging, failed)
            self._commit(changes[half:], staging, failed)
            return
        for each in changes:
            del staging[each.source]
        reach("tick.commit.after")

    def _merges(self, prepared: rows.Prepared, staging: Staging) -> rows.Merges:
        """Merge a batch; what it adds to silver is staged beside this thread, which goes on to the next batch."""
        self._lake.hold_references(prepared.lookups)
        merges = rows.Merges(prepared)
        for name, batches in prepared.decided.kept.items():
            dataset, merge = self._merge_of[name]
            events = batches[0] if len(batches) == 1 else pa.concat_batches(batches)
            merged, refused = self._merged_but(dataset, merge, events)
            merges.quarantine += [refusal(prepared.source, dataset, event, problem) for event, problem in refused]
            merges.tally.merged(name, merged)
            table = tables.silver(dataset)
            inserted = None
            if len(merged.inserted):
                inserted = merges.inserted[name] = rows.silver_rows(merged)
                staging.take(self._stager.submit(self._lake.stage, table, inserted, prepared.batch_id))
                if merged.hashes is not None:
                    merges.hashes[name] = merged.hashes
            if merged.removed_seqs:
                merges.removals.append(Removal(table.name, merged.removed_seqs, merged.removed_dates))
                merges.touched |= {(name, date) for date in merged.removed_dates}
            if inserted is not None or merged.removed is not None:
                payload = dataset.payload().names
                merges.digests[name] = self._stager.submit(digests.of_change, inserted, merged.removed, payload)
            if merged.superseded is not None:
                merges.lost.append(rows.superseded_rows(prepared.batch_id, name, merged.superseded))
        return merges

    def _change(self, merges: rows.Merges, staging: Staging) -> Change:
        """Return all that a batch does to the lake: its merges decided, its files written, its ledger counted."""
        prepared, files = merges.prepared, staging.files()
        touched = merges.touched | {(each.dataset, each.event_date) for each in files if each.event_date is not None}
        for part in merges.quarantine:
            dataset_name, version = part["dataset"][0].as_py(), part["contract_version"][0].as_py()
            merges.tally.move(dataset_name, version, Fate.QUARANTINED, len(part))
        if prepared.decided.filtered:
            merges.tally.move("", "", Fate.FILTERED, prepared.decided.filtered)
        now = self._clock()
        outbox = self._outboxes.get(prepared.source)
        waiting, noticed = outbox(merges, now) if outbox is not None else (None, Counter())
        ops = {
            tables.POSITIONS.name: rows.position_rows(prepared),
            tables.BATCHES.name: rows.batch_rows(merges, self._deployment, touched, now, noticed),
            tables.LEDGER.name: merges.tally.rows(prepared.batch_id, prepared.source),
        }
        if merges.quarantine:
            ops[tables.QUARANTINE.name] = rows.quarantine_of(prepared.batch_id, merges.quarantine)
        if merges.lost:
            ops[tables.SUPERSEDED.name] = pa.concat_tables(merges.lost)
        if waiting is not None:
            ops[tables.OUTBOX.name] = waiting
        return Change(prepared.source, tuple(files), tuple(merges.removals), ops, rows.keys_of(merges))

    def _merged_but(
        self, dataset: Dataset, merge: Merge, events: pa.RecordBatch
    ) -> tuple[Merged, list[tuple[pa.RecordBatch, Exception]]]:
        """Return the merge of the events, but for those that it fails on by a bug of ours, each with what it raised."""
        try:
            return self._merged(dataset, merge, events), []
        except (LakeError, SpaceError):
            raise
        except Exception:  # noqa: BLE001 - one bad message never stops its neighbours
            refused = self._to_blame(dataset, merge, events)
            seqs = pa.array([event.column(words.SEQ)[0].as_py() for event, _ in refused], pa.int64())
            good = events.filter(pc.invert(pc.is_in(events.column(words.SEQ), seqs)))
            return self._merged(dataset, merge, good), refused

    def _to_blame(
        self, dataset: Dataset, merge: Merge, events: pa.RecordBatch
    ) -> list[tuple[pa.RecordBatch, Exception]]:
        """Return the events that a merge fails on when they are alone. A merge is pure: trying it changes nothing."""
        try:
            self._merged(dataset, merge, events)
        except (LakeError, SpaceError):
            raise
        except Exception as problem:  # noqa: BLE001 - see above
            if len(events) == 1:
                return [(events, problem)]
            half = len(events) // 2
            halves = (events.slice(0, half), events.slice(half))
            return [each for part in halves for each in self._to_blame(dataset, merge, part)]
        return []

    def _merged(self, dataset: Dataset, merge: Merge, events: pa.RecordBatch) -> Merged:
        if not dataset.key:
            return merge.alone(events)
        hashes = events.column(words.KEY_HASH).to_numpy()
        events = events.drop_columns([words.KEY_HASH])
        contended = merge.contend(events, hashes, *self._lake.stored(dataset, events, hashes))
        known = self._lake.known(dataset, contended)
        return merge(contended, known.rows, known.superseded)

    def _ack(self, prepared: rows.Prepared) -> None:
        reach("tick.ack.before")
        for receipt in prepared.receipts:
            try:
                self._bus.ack(prepared.topic, subscription(prepared.source), receipt)
            except (BusError, SpaceError):
                return  # only a hint to retention; the committed position is in the lake
        reach("tick.ack.after")

    def _not_taken(self, name: str, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Drop what a bus without offsets hands out again: what is in bronze, and repeats within the batch."""
        ids = batch.column("message_id").to_pylist()
        taken = set(self._lake.taken(name, ids))
        keep = []
        for each in ids:
            keep.append(each not in taken)
            taken.add(each)
        return batch.filter(pa.array(keep, pa.bool_()))
