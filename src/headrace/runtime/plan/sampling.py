"""Which of a source's messages a replay takes, where it need not take all; and what the whole is by a sample.

all that a source ran under ─▶ the fields that every key has ─▶ `SampledPipeline`: those keys alone go on
a count of the sample, by key ─▶ the count of the whole, from … to …
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace import words
from headrace.connectors.ingestion import dataset_name
from headrace.contracts.types import literal
from headrace.runtime.pipeline import NO_LOOKUPS, Pipeline
from headrace.runtime.plan.scaled import CONFIDENCE, Sums, estimated
from headrace.runtime.rebuild.bronze import READ_BYTES, READ_ROWS
from headrace.stages.sample import KeyField, KeyNumbers, common_fields, in_share
from headrace.stages.sql import one_batch
from headrace.stages.versioned import opening_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb

    from headrace.config.source import Source
    from headrace.lake.reader import LakeReader
    from headrace.runtime.pipeline import Decided, Stages
    from headrace.stages.dataset import Dataset

MOST_KEYS = 20_000_000
"""Of how many messages the keys are held in memory, eight bytes each."""

Fields = dict[str, tuple[KeyField, ...]]
"""By dataset: what its messages are sampled by."""


@dataclass
class Taken:
    """What a replay took of one source: the number of each message and of its key, by the first of its batch.

    Sixteen bytes for each message of the sample. A batch that is taken twice counts once.
    """

    batches: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    def table(self) -> pa.Table:
        """Return `seq` and `key` of each message."""
        seqs, keys = zip(*self.batches.values(), strict=True) if self.batches else ((), ())
        seq, key = (np.concatenate([np.empty(0, kind), *parts]) for parts, kind in ((seqs, "i8"), (keys, "u8")))
        return pa.table({"seq": seq.astype("i8"), "key": key.astype("u8")})


class Sampling:
    """Which messages a replay takes: a share of the keys of each source, or all; of before its window what matters.

    What comes of a window depends on what came before only where it has the key of a message in the window. `whole`
    says why a source is not sampled; `taken` what was taken, of the others: of all messages, or, where every key is
    taken, of those before the window.
    """

    def __init__(self, share: float | None, lake: LakeReader, windows: Mapping[str, range]) -> None:
        self.share = share
        self.windows = windows
        self.fields: dict[str, Fields] = {}
        self.whole: dict[str, str] = {}
        self.taken: dict[str, Taken] = {}
        self._lake = lake
        self._keys: dict[str, np.ndarray] = {}

    def over(self, ran_under: Mapping[str, Sequence[Source]]) -> None:
        """Say which sources are replayed, and all that each is replayed under: what a key was at any time counts."""
        for name, sources in ran_under.items():
            window = self.windows[name]
            if self.share is None and not is_worth_it(window):
                continue
            fields = fields_of(sources)
            if isinstance(fields, str):
                self.whole[name] = fields
                continue
            self.fields[name] = fields
            self.taken[name] = Taken()
            if is_worth_it(window):
                self._keys[name] = self._in_window(sources[-1], window)

    def pipeline(self, source: Source) -> Stages:
        """Return the stages of a source, as it is replayed."""
        if source.id not in self.taken:
            return Pipeline(source)
        return SampledPipeline(source, self)

    def chosen(self, source: str, seqs: np.ndarray, keys: np.ndarray) -> np.ndarray:
        """Return the rows of a batch that are taken, and remember them."""
        taken = np.full(len(seqs), fill_value=True) if self.share is None else in_share(keys, self.share)
        before = seqs < self.windows[source].start
        known = self._keys.get(source)
        if known is not None:
            at = np.minimum(np.searchsorted(known, keys), max(0, len(known) - 1))
            taken &= ~before | (known[at] == keys if len(known) else False)
        noted = taken if self.share is not None else taken & before
        if noted.any():
            self.taken[source].batches[int(seqs[0])] = (seqs[noted], keys[noted])
        return np.flatnonzero(taken)

    def _in_window(self, source: Source, window: range) -> np.ndarray:
        """Return the number of every key that a window has messages of, ascending."""
        keys_of = MessageKeys(source, self.fields[source.id])
        found = [np.empty(0, "u8")]
        at, count = window.start, READ_ROWS
        while at < window.stop:
            rows = self._lake.arrow(
                f"SELECT message_id, payload, attributes FROM lake.bronze.messages WHERE source = {literal(source.id)} "
                f"AND seq >= {at} AND seq < {min(at + count, window.stop)}",
                READ_BYTES if count > 1 else 1 << 40,
            )
            if rows is None:  # they are large
                count = max(1, count // 4)
                continue
            found.append(np.unique(keys_of(one_batch(rows))))
            at += count
        return np.unique(np.concatenate(found))


def is_worth_it(window: range) -> bool:
    """Return whether what came before a window is looked through for its keys: it is most, and they fit in memory."""
    return 0 < len(window) <= min(window.start, MOST_KEYS)


def fields_of(sources: Sequence[Source]) -> Fields | str:
    """Return by what each dataset is sampled that a source ever had; or why one cannot be."""
    fields: Fields = {}
    for dataset in {each.name for source in sources for each in source.datasets}:
        mine = [each for source in sources for each in source.datasets if each.name == dataset]
        if not _are_opened_alike(mine):
            return f"messages of {dataset} are opened at one time that are not at another"
        common = common_fields(mine)
        if common is None:
            return (
                f"the keys of {dataset} have no field in common that is text or a number, and at one place in the "
                "events of all versions"
            )
        fields[dataset] = common
    return fields


def _are_opened_alike(datasets: Sequence[Dataset]) -> bool:
    """Whether what could be opened of a dataset's messages at any time can be with the newest that is said of it."""
    newest = datasets[-1]
    if {(type(opening_of(each)), each.iglu and each.iglu[:3]) for each in datasets[:-1]} - {
        (type(opening_of(newest)), newest.iglu and newest.iglu[:3])
    }:
        return False
    ids = [{number for some in _ids(each).values() for number in some} for each in datasets]
    return set().union(*ids) == ids[-1]


def _ids(dataset: Dataset) -> Mapping[str, Sequence[int]]:
    said = dataset.version_from
    return said.confluent if said is not None and said.confluent is not None else {}


class MessageKeys:
    """Tells the key of each message of a source, whichever of its datasets it is of."""

    def __init__(self, source: Source, fields: Fields) -> None:
        by_name = {
            each.name: KeyNumbers(source.message_format, source.csv, fields[each.name], opening_of(each), each.contract)
            for each in source.datasets
        }
        nobody = KeyNumbers(source.message_format, source.csv, ())  # of no dataset: no key
        tables = [each.name for each in source.spec.ingestion.tables]
        self._tables = {each: by_name.get(dataset_name(source.id, each), nobody) for each in tables}
        self._rest = nobody if tables else next(iter(by_name.values()), nobody)

    def __call__(self, messages: pa.RecordBatch) -> np.ndarray:
        """Return the number of each message's key: see `KeyNumbers`."""
        if not self._tables:
            return self._rest(messages)
        named = pc.map_lookup(messages["attributes"], words.DATASET_ATTRIBUTE, "last")
        which = pc.fill_null(pc.index_in(named, pa.array(list(self._tables), pa.string())), -1).to_numpy()
        keys = np.empty(len(messages), "u8")
        for at, of in enumerate([*self._tables.values(), self._rest]):
            rows = np.flatnonzero(which == (at if at < len(self._tables) else -1))
            if len(rows):
                keys[rows] = of(messages.take(pa.array(rows)))
        return keys


class SampledPipeline:
    """The stages of one source over some of its messages; of the others nothing is decided."""

    def __init__(self, source: Source, sampling: Sampling) -> None:
        self._stages = Pipeline(source)
        self._source = source.id
        self._sampling = sampling
        self._keys = MessageKeys(source, sampling.fields[source.id])

    def __call__(self, messages: pa.RecordBatch, lookups: Mapping[str, pa.Table] = NO_LOOKUPS) -> Decided:
        """Decide what is taken of a batch."""
        seqs = messages.column("seq").to_numpy()
        rows = self._sampling.chosen(self._source, seqs, self._keys(messages))
        return self._stages(messages if len(rows) == len(messages) else messages.take(pa.array(rows)), lookups)


SAMPLED, SIZES = "sampled_messages", "sampled_keys"


class Sample:
    """What was taken of one source, as tables beside the lakes that a plan compares: `SAMPLED` has seq and key."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, sampling: Sampling, source: str) -> None:
        self._connection = connection
        self._share = sampling.share
        self._window = sampling.windows[source]
        self._by = sorted({each.name for fields in sampling.fields[source].values() for each in fields})
        connection.register("taken", sampling.taken[source].table())
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {SAMPLED} AS SELECT * FROM taken")
        connection.unregister("taken")
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {SIZES} AS SELECT key, count(*)::DOUBLE AS x FROM {SAMPLED} "
            f"WHERE seq >= {self._window.start} GROUP BY key"
        )

    @property
    def is_share(self) -> bool:
        """Whether only some keys were taken; else all of the window was, and of before it what matters."""
        return self._share is not None

    def condition(self, seq: str) -> str:
        """Return the SQL that is true for messages that were taken."""
        taken = f"{seq} IN (SELECT seq FROM {SAMPLED})"
        return taken if self.is_share else f"({seq} >= {self._window.start} OR {taken})"

    def told(self, still_fail: Mapping[str, int]) -> dict[str, Any]:
        """Return what a plan says of the sample itself; its messages are those of the window."""
        found = self._connection.execute(f"SELECT coalesce(sum(x), 0)::BIGINT, count(*) FROM {SIZES}").fetchone()
        messages, keys = found or (0, 0)
        return {
            "share": self._share,
            "by": self._by,
            "keys": keys,
            "messages": messages,
            "left_out": len(self._window) - messages,
            "confidence": CONFIDENCE,
            "still_fail": still_fail,
        }

    def whole(self, seqs: str) -> dict[str, int]:
        """Return how many of the whole are what these messages of the sample are: `seqs` is their SQL, each once.

        A row of silver of before the window is here where a message of its key is in the window: no key has more of
        them than it has messages in the window.
        """
        if self._share is None:
            return {}
        found = self._connection.execute(
            "WITH counted AS "
            f"(SELECT key, count(*) AS y FROM ({seqs}) c JOIN {SAMPLED} s ON c.seq = s.seq GROUP BY key), "
            f"each_key AS (SELECT x, coalesce(y, 0)::DOUBLE AS y FROM {SIZES} z LEFT JOIN counted c ON c.key = z.key) "
            "SELECT count(*) FILTER (y > 0), count(*) FILTER (y < x), "
            "sum(x), sum(x * x), sum(y), sum(y * y), sum(x * y) FROM each_key"
        ).fetchone()
        sums = Sums(*(int(each or 0) for each in found or [0] * 7))
        return estimated(sums, self._share, len(self._window))


def is_sampled(plan: Mapping[str, Any]) -> bool:
    """Return whether any of a plan's figures are of a sample."""
    return any(one.get("sample") for one in plan["history"]["sources"])
