"""The lake's tables: their names, columns and partitions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from headrace import words

if TYPE_CHECKING:
    from headrace.stages.dataset import Dataset

INSTANT = pa.timestamp("us", "UTC")


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the lake: `schema.name`, its columns, and the columns that partition it by value."""

    name: str
    columns: pa.Schema
    partition: tuple[str, ...] = ()

    @property
    def schema_name(self) -> str:
        """The schema: bronze, silver or ops."""
        return self.name.split(".")[0]

    @property
    def table_name(self) -> str:
        """The name within its schema."""
        return self.name.split(".")[1]

    @property
    def sql(self) -> str:
        """The name as SQL over the attached lake."""
        return f'lake.{self.schema_name}."{self.table_name}"'


BRONZE = Table(
    "bronze.messages",
    pa.schema(
        [
            ("source", pa.string()),
            ("seq", pa.int64()),
            *((field.name, field.type) for field in words.message_schema()),
            ("ingest_date", pa.date32()),
        ]
    ),
    partition=("source", "ingest_date"),
)
"""Every accepted message as it came. `seq` numbers a source's messages from 0, without gaps, in commit order."""

POSITIONS = Table(
    "ops.positions",
    pa.schema(
        [
            ("batch_id", pa.string()),
            ("source", pa.string()),
            ("topic", pa.string()),
            ("partition", pa.string()),
            ("next_offset", pa.int64()),
            ("accepted", pa.int64()),
        ]
    ),
)
"""A row per batch and partition: where it ended, and how many messages its positions say it took."""

BATCHES = Table(
    "ops.batches",
    pa.schema(
        [
            ("batch_id", pa.string()),
            ("source", pa.string()),
            ("deployment", pa.string()),
            ("code_version", pa.string()),
            ("first_seq", pa.int64()),
            ("next_seq", pa.int64()),
            ("contracts", pa.map_(pa.string(), pa.string())),
            ("warned", pa.map_(pa.string(), pa.int64())),
            ("touched", pa.list_(pa.struct([("dataset", pa.string()), ("event_date", pa.date32())]))),
            ("oldest_ingest_time", INSTANT),
            ("committed_at", INSTANT),
            ("lookups", pa.map_(pa.string(), pa.string())),
            (
                "digests",
                pa.list_(
                    pa.struct(
                        [
                            ("dataset", pa.string()),
                            ("event_date", pa.date32()),
                            ("rows", pa.int64()),
                            ("low", pa.uint64()),
                            ("high", pa.uint64()),
                        ]
                    )
                ),
            ),
        ]
    ),
)
"""A row per batch: what it ran under (deployment, code, a contract version per dataset) and what it touched.

`lookups` has the version of the reference data that each lookup was answered from: a digest of `lake.references`; null
in batches of before there was enrichment. `digests` has what the batch did to the digest of each partition that it
touched (`lake/digests.py`): they add up, modulo 2^64, and rows may be negative; null in batches of before there were
digests.
"""

LEDGER = Table(
    "ops.ledger",
    pa.schema(
        [
            ("batch_id", pa.string()),
            ("source", pa.string()),
            ("dataset", pa.string()),
            ("contract_version", pa.string()),
            ("accepted", pa.int64()),
            *((fate.value, pa.int64()) for fate in words.Fate),
        ]
    ),
)
"""Deltas per batch, dataset and contract version; they add up, and may be negative."""

QUARANTINE = Table(
    "ops.quarantine",
    pa.schema(
        [
            ("id", pa.string()),
            ("source", pa.string()),
            ("dataset", pa.string()),
            ("seq", pa.int64()),
            ("partition", pa.string()),
            ("offset", pa.int64()),
            ("ingest_time", INSTANT),
            ("stage", pa.string()),
            ("code", pa.string()),
            ("reason", pa.string()),
            ("path", pa.string()),
            ("value", pa.string()),
            ("contract_version", pa.string()),
            ("fingerprint", pa.string()),
            ("status", pa.string()),
            ("batch_id", pa.string()),
        ]
    ),
)
"""A row per message that failed; `id` is its message id, and its bytes are in bronze."""

SUPERSEDED = Table(
    "ops.superseded",
    pa.schema(
        [
            ("dataset", pa.string()),
            ("digest", pa.binary()),
            ("event_id", pa.string()),
            ("seq", pa.int64()),
            ("contract_version", pa.string()),
            ("batch_id", pa.string()),
        ]
    ),
    partition=("dataset",),
)
"""Each (key, version, payload) that lost to another: what makes its redelivery a duplicate for ever."""

OUTBOX = Table(
    "ops.outbox",
    pa.schema(
        [
            ("source", pa.string()),
            ("push", pa.string()),
            ("seq", pa.int64()),
            ("id", pa.string()),
            ("kind", pa.string()),
            ("dataset", pa.string()),
            ("key", pa.string()),
            ("at", INSTANT),
            ("trace_id", pa.string()),
            ("data", pa.string()),
            ("batch_id", pa.string()),
            ("committed_at", INSTANT),
        ]
    ),
)
"""What waits to be pushed, a row per push and event; `data` is the event as JSON. Rows of a push rise by `seq`."""

DEPLOYMENTS = Table(
    "ops.deployments",
    pa.schema(
        [
            ("digest", pa.string()),
            ("deployed_at", INSTANT),
            ("code_version", pa.string()),
            ("files", pa.string()),
            ("variables", pa.string()),
            ("models", pa.string()),
            ("seeds", pa.string()),
        ]
    ),
)
"""The project's files as `up` or `apply` took them: `files` is a JSON object of path to text, and so is `models`.

A row is added whenever they are others than those of the row before: the newest is what is deployed, and a digest may
be there more than once. `models` has the files of dbt, and of each seed its columns and digest; null in deployments of
before they were recorded.

`variables` is one of the HEADRACE_ settings that were set, by name: some of them decide what becomes of an event. Null
in deployments of before they were recorded.

`seeds` has the columns of each seed that events are enriched from, with their types, as `runtime.recorded_seeds` writes
them: what is looked up may have others today. Null in deployments of before they were recorded.
"""

CONTRACTS = Table(
    "ops.contracts",
    pa.schema(
        [
            ("source", pa.string()),
            ("dataset", pa.string()),
            ("version", pa.string()),
            ("contract_version", pa.string()),
            ("digest", pa.string()),
            ("declared", pa.bool_()),
            ("owner", pa.string()),
            ("lifecycle", pa.string()),
            ("until", pa.string()),
            ("document", pa.string()),
            ("deployment", pa.string()),
            ("applied_at", INSTANT),
        ]
    ),
)
"""A row per version of a contract and change of it, as `up` took it; the latest of a version is what holds.

`digest` covers what the version says of events, and `document` is its schema as it was written. The content of a
`declared` version that was ever applied as anything but a draft does not change any more.
"""

FIXED = (BRONZE, POSITIONS, BATCHES, LEDGER, QUARANTINE, SUPERSEDED, OUTBOX, DEPLOYMENTS, CONTRACTS)
BY_NAME = {table.name: table for table in FIXED}


def silver(dataset: Dataset) -> Table:
    """Return the silver table of a dataset: its columns, envelope, the unknown fields if lenient, event date."""
    columns = [
        *dataset.columns(),
        pa.field(words.EVENT_ID, pa.string()),
        pa.field(words.EVENT_TIME, INSTANT),
        pa.field(words.INGEST_TIME, INSTANT),
        pa.field(words.SEQ, pa.int64()),
        pa.field(words.SCHEMA_VERSION, pa.string()),
        pa.field(words.TRACE_ID, pa.string()),
    ]
    if dataset.contract.validation == "lenient":
        columns.append(pa.field(words.EXTRA, pa.string()))
    columns.append(pa.field(words.EVENT_DATE, pa.date32()))
    return Table(f"silver.{dataset.name}", pa.schema(columns), partition=(words.EVENT_DATE,))
