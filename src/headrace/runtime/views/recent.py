"""The last accepted and the last rejected messages of a source, and those that follow: what a producer asks first.

Both are read from the lake, in the order in which they were committed: `seq`, a source's own count of its messages. A
cursor is the `seq` that one has seen up to; what is asked for after it is neither missed nor told twice, however many
commits there were in between, and whether `up` runs or not.
"""

from __future__ import annotations

import base64
import json
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from headrace.contracts.contract import is_json
from headrace.lake.reader import open_reader
from headrace.stages.json_text import shown
from headrace.stages.masking import Maskings
from headrace.words import ENVELOPE, EVENT_DATE, EVENT_ID, EVENT_TIME, EXTRA, SCHEMA_VERSION, SEQ, TRACE_ID, Fate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set

    from headrace.config.project import Project
    from headrace.config.source import Source
    from headrace.lake.reader import LakeReader
    from headrace.stages.masking import Masking

START = -1
"""The cursor before a source's first message."""

FIRST_WINDOW, WINDOW = 50, 1_000  # messages that are looked at together: few, and more where they are small
WINDOW_BYTES = 8 << 20  # of payload that are held at once; but always a message

_FAILURE = "id, dataset, seq, ingest_time, stage, code, reason, path, value, contract_version"
_BESIDE = frozenset((*ENVELOPE, EVENT_DATE, EXTRA))
_WHY = ("stage", "code", "reason", "path", "value")
_BECAME = ("event_id", "event_time", "contract_version", "trace_id", "event", "extra")
_MESSAGE = 'seq, message_id, "partition", "offset", ingest_time, attributes, payload'


class Kind(StrEnum):
    """Which messages of a source are asked for."""

    GOOD = "good"
    BAD = "bad"
    ALL = "all"


def recent(
    project: Project,
    source: str,
    kind: Kind,
    limit: int = 20,
    after: int | None = None,
    where: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the last messages of a source, oldest first; or, with `after`, the first that follow a cursor.

    The document is {"source", "cursor", "events"}; `cursor` is the `after` of the next call. An event is {"source",
    "seq", "message_id", "partition", "offset", "ingest_time", "attributes", "payload", "payload_base64", "dataset",
    "contract_version", "fate", "key", "event_id", "event_time", "trace_id", "event", "extra", "stage", "code",
    "reason", "path", "value"}, null where it does not apply. `payload` is the message's own bytes as text; where they
    are not UTF-8 it shows them escaped, and `payload_base64` has them exactly. `key` has the values of the key by
    field. `event` is the row of silver as columns, where the fate is `silver`; the fields from `stage` on are of those
    that are `quarantined`.

    What the contract tags as personal is masked in all of it. `where` keeps the messages whose fields have these
    values (see `matches`), masked or not: what one asks for, one knows. Raises `ConfigError` where there is no such
    source, `LakeError` where the lake cannot be read.
    """
    found = project.source(source)
    with open_reader(project.state / "lake") as lake:
        return _document(found, lake, limit, after, where or {}, _PAGES[kind])


def one(source: Source, then: Source, lake: LakeReader, seq: int) -> dict[str, Any]:
    """Return one message of a source by its number, as `recent` tells of it; `then` is the source as it took that."""
    (page,) = _all_pages(source, lake, seq, seq, False)
    (found,) = page
    return _masked(_whole(source, found), masked_as(source, then, found["dataset"]))


def masked_as(source: Source, then: Source, dataset: str | None) -> Masking:
    """Return what may be shown of a dataset: by its contracts of today, or of then where it is gone."""
    is_gone = dataset is not None and dataset not in {each.name for each in source.datasets}
    return Maskings((then if is_gone else source).datasets)[dataset]


def matches(event: Mapping[str, Any], where: Mapping[str, str]) -> bool:
    """Return whether the fields of an event have these values, compared as text; `event.customer.id` is a path.

    A part of a path that is a number is an index of a list. `payload.` leads into a payload that is JSON.
    """
    return all(_text(_at(event, path)) == value for path, value in where.items())


def _document(
    source: Source,
    lake: LakeReader | None,
    limit: int,
    after: int | None,
    where: Mapping[str, str],
    pages: Callable[[Source, LakeReader, int, int, bool], Iterator[list[dict[str, Any]]]],
) -> dict[str, Any]:
    newest = START
    if lake is not None:
        lake.pin()  # what several queries say of one message must be of one commit
        counted = lake.rows("SELECT max(next_seq) AS next FROM lake.ops.batches WHERE source = ?", [source.id])
        newest = START if counted[0]["next"] is None else counted[0]["next"] - 1
    # A cursor beyond the end is of a lake that is gone: a new one is read from its start.
    first = 0 if after is None or after > newest else after + 1
    events: list[dict[str, Any]] = []
    cursor = newest
    if lake is not None and limit > 0:
        for page in pages(source, lake, first, newest, after is None):
            events += [each for each in (_whole(source, one) for one in page) if matches(each, where)]
            if len(events) >= limit:
                break
    if after is None:
        events = sorted(events, key=_seq)[-limit:] if limit > 0 else []
    elif len(events) >= limit:
        events = events[:limit]
        cursor = events[-1]["seq"] if events else after
    maskings = Maskings(source.datasets)
    return {
        "source": source.id,
        "cursor": cursor,
        "events": [_masked(each, maskings[each["dataset"]]) for each in events],
    }


def _whole(source: Source, event: dict[str, Any]) -> dict[str, Any]:
    """Return a message with its key, and with all fields that any message has."""
    names = next((each.key for each in source.datasets if each.name == event["dataset"]), ())
    body = event.get("event") or event["payload"]
    found = {name: body[name] if isinstance(body, dict) and name in body else _at(body, name) for name in names}
    known = any(value is not None for value in found.values())
    return {**event, "key": found if known else None, **{name: event.get(name) for name in (*_BECAME, *_WHY)}}


def _masked(event: dict[str, Any], masking: Masking) -> dict[str, Any]:
    """Return a message without what its contract says is personal."""
    if not masking.hides:
        return event
    exact = event["payload_base64"]
    payload = event["payload"].encode() if exact is None else base64.b64decode(exact)
    shown = {**event, "payload": masking.payload(payload), "payload_base64": None}
    shown |= {name: masking.event(event[name]) for name in ("event", "extra") if event[name]}
    shown["event_time"] = masking.event_time(event["event_time"])
    if event["key"]:
        shown["key"] = {name: masking.field(name, value) for name, value in event["key"].items()}
    return masking.failure(shown) if event["stage"] else shown


def _seq(event: Mapping[str, Any]) -> int:
    return int(event["seq"])


def _good_pages(
    source: Source, lake: LakeReader, first: int, last: int, backwards: bool
) -> Iterator[list[dict[str, Any]]]:
    """Yield the accepted messages from `first` to `last` in windows, each in order; the windows from either end."""
    but = "AND seq NOT IN (SELECT seq FROM lake.ops.quarantine WHERE source = ? AND seq BETWEEN ? AND ?)"
    for messages in _windows(source, lake, first, last, backwards, but):
        yield _accepted(source, lake, messages)


def _all_pages(
    source: Source, lake: LakeReader, first: int, last: int, backwards: bool
) -> Iterator[list[dict[str, Any]]]:
    """Yield all messages from `first` to `last`, as `_good_pages` does."""
    for messages in _windows(source, lake, first, last, backwards):
        span = [source.id, *_span(messages)]
        failed = {
            row["seq"]: row
            for row in lake.rows(
                f"SELECT {_FAILURE} FROM lake.ops.quarantine WHERE source = ? AND seq BETWEEN ? AND ?", span
            )
        }
        page = _accepted(source, lake, [each for each in messages if each["seq"] not in failed])
        page += [_rejected(failed[each["seq"]], each) for each in messages if each["seq"] in failed]
        yield sorted(page, key=_seq)


def _windows(
    source: Source, lake: LakeReader, first: int, last: int, backwards: bool, but: str = ""
) -> Iterator[list[dict[str, Any]]]:
    low, high, width = first, last, FIRST_WINDOW
    while low <= high:
        start, end = (max(low, high - width + 1), high) if backwards else (low, min(high, low + width - 1))
        span = [source.id, start, end]
        messages = lake.rows(
            f"SELECT {_MESSAGE} FROM lake.bronze.messages WHERE source = ? AND seq BETWEEN ? AND ? {but} ORDER BY seq",
            span * 2 if but else span,
        )
        width = _next_width(width, messages)
        if messages:
            yield [_message(source, each) for each in messages]
        if backwards:
            high = start - 1
        else:
            low = end + 1


def _span(messages: Sequence[Mapping[str, Any]]) -> list[int]:
    return [messages[0]["seq"], messages[-1]["seq"]]


def _accepted(source: Source, lake: LakeReader, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return accepted messages with what each became."""
    if not messages:
        return []
    batches = _batches(source, lake, *_span(messages))
    names = sorted({each.name for each in source.datasets} | {name for _, _, held in batches for name in held})
    kept = _in_silver(source, lake, names, *_span(messages))
    lost = _superseded(lake, names, *_span(messages))
    told = []
    for message in messages:
        seq = message["seq"]
        held = next((held for first, end, held in batches if first <= seq < end), frozenset())
        became = kept.get(seq) or lost.get(seq) or _without_a_row(source, message, held)
        told.append({**message, **became})
    return told


def _became(dataset: str | None, fate: Fate, **known: Any) -> dict[str, Any]:
    return {"dataset": dataset, "fate": fate.value, **dict.fromkeys(_BECAME), **known}


def _batches(source: Source, lake: LakeReader, start: int, end: int) -> list[tuple[int, int, frozenset[str]]]:
    """Return the batches of some messages: from where to where, and their datasets then, which may be gone by now."""
    rows = lake.rows(
        "SELECT first_seq, next_seq, contracts FROM lake.ops.batches "
        "WHERE source = ? AND next_seq > ? AND first_seq <= ?",
        [source.id, start, end],
    )
    return [(row["first_seq"], row["next_seq"], frozenset(row["contracts"] or ())) for row in rows]


def _without_a_row(source: Source, message: Mapping[str, Any], held: Set[str]) -> dict[str, Any]:
    """Return what became of an accepted message that neither silver nor the memory of what lost has.

    `held` are the datasets whose contracts held messages of its batch.
    """
    from headrace.connectors.ingestion import dataset_name
    from headrace.words import DATASET_ATTRIBUTE

    name = source.id
    if held and name not in held:
        name = dataset_name(source.id, (message["attributes"] or {}).get(DATASET_ATTRIBUTE, ""))
    return _became(name, Fate.DUPLICATE) if name in held else _became(None, Fate.FILTERED)


def _in_silver(
    source: Source, lake: LakeReader, names: Sequence[str], start: int, end: int
) -> dict[int, dict[str, Any]]:
    there = lake.tables()
    rows = {}
    known = {each.name: {field.name for field in each.columns() if is_json(field)} for each in source.datasets}
    gone = {} if known.keys() >= set(names) else lake.json_columns()
    for name in names:
        if f"silver.{name}" not in there:
            continue
        texts = known[name] if name in known else gone.get(name, frozenset())
        for row in lake.rows(f'SELECT * FROM lake.silver."{name}" WHERE "{SEQ}" BETWEEN ? AND ?', [start, end]):
            rows[row[SEQ]] = _became(
                name,
                Fate.SILVER,
                event_id=row[EVENT_ID],
                event_time=plain(row[EVENT_TIME]),
                contract_version=row[SCHEMA_VERSION],
                trace_id=row[TRACE_ID],
                event={
                    column: _parsed(value) if column in texts else plain(value)
                    for column, value in row.items()
                    if column not in _BESIDE
                },
                extra=_parsed(row.get(EXTRA)),
            )
    return rows


def _superseded(lake: LakeReader, names: Sequence[str], start: int, end: int) -> dict[int, dict[str, Any]]:
    rows = lake.rows(
        "SELECT dataset, seq, event_id, contract_version FROM lake.ops.superseded "
        "WHERE list_contains(?, dataset) AND seq BETWEEN ? AND ?",
        [list(names), start, end],
    )
    return {
        row["seq"]: _became(
            row["dataset"], Fate.SUPERSEDED, event_id=row["event_id"], contract_version=row["contract_version"]
        )
        for row in rows
    }


def _bad_pages(
    source: Source, lake: LakeReader, first: int, last: int, backwards: bool
) -> Iterator[list[dict[str, Any]]]:
    """Yield the rejected messages from `first` to `last` in pages, each in order; the pages from either end."""
    low, high, width = first, last, FIRST_WINDOW
    while low <= high:
        rows = lake.rows(
            f"SELECT {_FAILURE} FROM lake.ops.quarantine WHERE source = ? AND seq BETWEEN ? AND ? "
            f"ORDER BY seq {'DESC' if backwards else 'ASC'} LIMIT {width}",
            [source.id, low, high],
        )
        if not rows:
            return
        rows.sort(key=_seq)
        messages = _messages(source, lake, [row["seq"] for row in rows])
        is_last, width = len(rows) < width, _next_width(width, messages.values())
        yield [_rejected(row, messages[row["seq"]]) for row in rows if row["seq"] in messages]
        if is_last:
            return
        low, high = (low, rows[0]["seq"] - 1) if backwards else (rows[-1]["seq"] + 1, high)


_PAGES = {Kind.GOOD: _good_pages, Kind.BAD: _bad_pages, Kind.ALL: _all_pages}


def _next_width(width: int, messages: Iterable[Mapping[str, Any]]) -> int:
    """Return how many messages to look at next, after so many of which these were read."""
    size = sum(len(each["payload"]) for each in messages)
    return max(1, min(WINDOW, 4 * width, width * WINDOW_BYTES // max(size, 1)))


def _messages(source: Source, lake: LakeReader, seqs: Sequence[int]) -> dict[int, dict[str, Any]]:
    rows = lake.rows(
        f"SELECT {_MESSAGE} FROM lake.bronze.messages WHERE source = ? AND seq BETWEEN ? AND ? "
        f"AND seq IN ({', '.join(map(str, seqs))})",
        [source.id, seqs[0], seqs[-1]],
    )
    return {row["seq"]: _message(source, row) for row in rows}


def _rejected(row: Mapping[str, Any], message: dict[str, Any]) -> dict[str, Any]:
    why = {name: row[name] for name in ("contract_version", *_WHY)}
    return {**message, "dataset": row["dataset"] or None, "fate": Fate.QUARANTINED.value, **why}


def _message(source: Source, row: dict[str, Any]) -> dict[str, Any]:
    payload = bytes(row["payload"])
    text = payload.decode("utf-8", "backslashreplace")
    exact = None if text.encode() == payload else base64.b64encode(payload).decode()
    return {
        "source": source.id,
        **row,
        "ingest_time": plain(row["ingest_time"]),
        "attributes": dict(row["attributes"]) if row["attributes"] else {},
        "payload": text,
        "payload_base64": exact,
    }


def plain(value: Any) -> Any:
    """Return a value of the lake as one that JSON has: instants in ISO 8601, decimals as exact text, bytes as text."""
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and value - value != 0:  # NaN and the infinities have no JSON
        return str(value)
    if value is None or isinstance(value, str | int | float):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _parsed(text: str | None) -> Any:
    """Return what a text of JSON says."""
    return None if text is None else shown(text)


def _at(value: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(value, str) and value[:1] in {"{", "["}:
            try:
                value = shown(value)
            except ValueError:
                return None
        if isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, dict) and part in value:
            value = value[part]
        else:
            return None
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
