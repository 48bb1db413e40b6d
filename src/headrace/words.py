"""The words every floor shares: fates, layouts of messages and rejections, envelope columns.

Names are plain Python so that the command line starts fast; Arrow schemas are functions that import Arrow when called.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,62}")
"""What a source id, a dataset, a column of our own may be called (fullmatch)."""


class Fate(StrEnum):
    """What became of a message. Exactly one, defined over sets of messages, not over arrival."""

    SILVER = "silver"
    SUPERSEDED = "superseded"
    DUPLICATE = "duplicate"
    QUARANTINED = "quarantined"
    FILTERED = "filtered"
    ERASED = "erased"


COUNTS = ("accepted", *(fate.value for fate in Fate))
"""What a ledger counts: messages that were accepted, and of those the ones with each fate."""

# Columns that ride beside the contract's own, from decode to silver.
ROW = "_row"  # index of the message in the batch that was pulled; never stored
EVENT_ID = "_event_id"
EVENT_TIME = "_event_time"
INGEST_TIME = "_ingest_time"
SEQ = "_seq"
SCHEMA_VERSION = "_schema_version"
TRACE_ID = "_trace_id"
EXTRA = "_extra"
KEY_HASH = "_key_hash"  # a 64-bit hash of the key, where there is one; never stored
EVENT_DATE = "_event_date"  # the partition of silver, the UTC date of EVENT_TIME

DATASET_ATTRIBUTE = "dataset"
"""The message attribute that names the table of a source that has several."""

ENVELOPE = (EVENT_ID, EVENT_TIME, INGEST_TIME, SEQ, SCHEMA_VERSION, TRACE_ID)


@cache
def message_schema() -> pa.Schema:
    """The columns of a batch of messages as a bus hands it out.

    `partition` and `offset` are the position; a bus without offsets leaves `offset` null and its `message_id` is the
    position. `attributes` is null where a producer sent none. `ingest_time` is when the bus took the message.
    """
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("partition", pa.string(), nullable=False),
            pa.field("offset", pa.int64()),
            pa.field("message_id", pa.string(), nullable=False),
            pa.field("ingest_time", pa.timestamp("us", "UTC"), nullable=False),
            pa.field("attributes", pa.map_(pa.string(), pa.string())),
            pa.field("payload", pa.binary(), nullable=False),
        ]
    )


@cache
def rejection_schema() -> pa.Schema:
    """The columns of `Outcome.rejected` and `Outcome.warned`: which message, and why.

    `row` is the message's ROW; `stage` is decode, contract, enrich, quality, late or internal; `code` is a stable word
    to group by; `reason` a sentence; `path` a JSON path such as `$.items[3].sku`; `value` the offending value as JSON
    text, cut to 200 characters.
    """
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("row", pa.int32(), nullable=False),
            pa.field("stage", pa.string(), nullable=False),
            pa.field("code", pa.string(), nullable=False),
            pa.field("reason", pa.string(), nullable=False),
            pa.field("path", pa.string()),
            pa.field("value", pa.string()),
        ]
    )
