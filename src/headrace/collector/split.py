"""From a request's body to messages, each the bytes that were sent. Pure.

Brackets, commas and line ends part a body; what lies between them is not judged here. A message that is no good on its
own goes to quarantine later, with a reason, and harms none of its neighbours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import orjson

from headrace.connectors.json_documents import BLANK
from headrace.connectors.json_structure import Structure
from headrace.connectors.records import BYTE_ORDER_MARK
from headrace.http.problems import Refused

if TYPE_CHECKING:
    from headrace.config.collector import CollectorSpec

Layout = Literal["json", "lines", "detect"]

_LAYOUTS: dict[str, Layout] = {
    "": "detect",
    "application/json": "json",
    "application/x-ndjson": "lines",
    "application/ndjson": "lines",
    "application/jsonl": "lines",
    "application/x-jsonlines": "lines",
    "application/jsonlines": "lines",
    "text/plain": "detect",
    "application/octet-stream": "detect",
    # What `curl -d` says of whatever it sends.
    "application/x-www-form-urlencoded": "detect",
}


def layout_of(content_type: str) -> Layout:
    """Return how a body of this type is laid out. Raises `Refused` (415) where it is no JSON."""
    kind, _, parameters = content_type.partition(";")
    kind = kind.strip().lower()
    layout = _LAYOUTS.get(kind)
    if layout is None and kind.startswith("application/") and kind.endswith("+json"):
        layout = "json"
    if layout is None:
        raise Refused(
            415,
            "media_type",
            f"a body of type {kind!r} is not taken",
            at="header Content-Type",
            fix="send application/json (one event, or an array) or application/x-ndjson (an event a line)",
        )
    if parameters and (charset := _charset(parameters)) not in {"", "utf-8", "utf8", "us-ascii"}:
        raise Refused(
            415,
            "charset",
            f"text in {charset!r} is not taken",
            at="header Content-Type",
            fix="send JSON in UTF-8",
        )
    return layout


def _charset(parameters: str) -> str:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"').lower()
    return ""


def split(body: bytes, layout: Layout, limits: CollectorSpec) -> list[bytes]:
    """Return the messages of a body, in order. Raises `Refused` where it cannot be split, or one is past a limit."""
    body = body.removeprefix(BYTE_ORDER_MARK)
    first = body.lstrip(BLANK)[:1]
    if not first:
        raise Refused(400, "empty_body", "the body is empty", at="body", fix="send at least one event")
    if layout == "lines" or (layout == "detect" and first != b"[" and _is_lines(body)):
        return _lines(body, limits)
    if first not in b"{[":
        raise Refused(
            400,
            "not_json",
            "the body is neither a JSON object nor an array of them",
            at="body, byte 1",
            fix='send an object such as {"id": 1}, an array of objects, or one object a line as application/x-ndjson',
        )
    return _array(body, limits) if first == b"[" else [_object(body, limits)]


def _is_lines(body: bytes) -> bool:
    """Whether a body of unknown layout is lines: more than one, and the first is a document by itself."""
    line, newline, rest = body.strip(BLANK).partition(b"\n")
    return bool(newline and rest.strip(BLANK)) and Structure(line).is_whole()


def _lines(body: bytes, limits: CollectorSpec) -> list[bytes]:
    if body.count(b"\n") > limits.max_events:  # asked first: each line becomes an object, many times its size
        raise _too_many("lines", body.count(b"\n"), limits)
    lines = body.split(b"\n")
    if b"\r" in body:
        lines = [line.removesuffix(b"\r") for line in lines]
    lines = [line for line in lines if line.strip(BLANK)]  # not isspace: that knows more blanks than JSON does
    longest = max(map(len, lines))
    if longest > limits.max_event_bytes:
        at = next(number for number, line in enumerate(lines, 1) if len(line) > limits.max_event_bytes)
        raise _too_large(f"event {at}", longest, limits)
    for number, line in enumerate(lines, 1):
        if line.count(b"{") + line.count(b"[") > limits.max_depth:
            _bounded(Structure(line), f"event {number}", limits.max_depth)
    return lines


def _object(body: bytes, limits: CollectorSpec) -> bytes:
    event = body.strip(BLANK)
    if len(event) > limits.max_event_bytes:
        raise _too_large("event 1", len(event), limits)
    is_deep = event.count(b"{") + event.count(b"[") > limits.max_depth
    if not is_deep and _is_sound(event):
        return event
    structure = Structure(event)
    _bounded(structure, "event 1", limits.max_depth)
    end = structure.first_end()
    if end is None:
        raise _unclosed("object", structure)
    if end != len(event):
        raise Refused(
            400,
            "not_one_document",
            f"something follows the object that ends at byte {end}",
            at=f"body, byte {end + 1}",
            fix="send several events as an array, or one a line as application/x-ndjson",
        )
    return event


def _array(body: bytes, limits: CollectorSpec) -> list[bytes]:
    text = body.strip(BLANK)
    structure = Structure(text)
    _bounded(structure, "an event", limits.max_depth + 1)
    if (place := structure.mismatch()) is not None:
        raise Refused(
            400,
            "not_json",
            f"the bracket at byte {place + 1} closes none of its kind",
            at=f"body, byte {place + 1}",
            fix="send an array of JSON objects, or one a line as application/x-ndjson: there a broken one harms only "
            "itself",
        )
    end = structure.first_end()
    if end is None:
        raise _unclosed("array", structure)
    if end != len(text):
        raise Refused(
            400,
            "not_one_document",
            f"something follows the array that ends at byte {end}",
            at=f"body, byte {end + 1}",
            fix="send one array, or one event a line as application/x-ndjson",
        )
    commas = structure.commas(depth=1)
    if len(commas) >= limits.max_events:
        raise _too_many("events", len(commas) + 1, limits)
    starts = [1, *(comma + 1 for comma in commas)]
    ends = [*commas, end - 1]
    events = [text[start:stop].strip(BLANK) for start, stop in zip(starts, ends, strict=True)]
    if len(events) == 1 and not events[0]:
        return []
    for number, event in enumerate(events, 1):
        if not event:
            raise Refused(
                400,
                "not_json",
                f"element {number} of the array is empty: there is a comma too many",
                at=f"body, byte {starts[number - 1] + 1}",
                fix="take the comma out",
            )
        if len(event) > limits.max_event_bytes:
            raise _too_large(f"event {number}", len(event), limits)
    return events


def _is_sound(event: bytes) -> bool:
    try:
        orjson.loads(event)
    except ValueError:
        return False
    return True


def _bounded(structure: Structure, where: str, max_depth: int) -> None:
    if structure.deepest > max_depth:
        raise Refused(
            400,
            "too_deep",
            f"{where} nests objects and arrays deeper than {max_depth}",
            at="body",
            fix="flatten it, or raise `collector: {max_depth: …}` in headrace.yaml",
        )


def _unclosed(what: str, structure: Structure) -> Refused:
    within = "a string" if structure.in_string else f"the {what}"
    return Refused(
        400,
        "not_json",
        f"the body ends within {within}",
        at="body, its end",
        fix="send the whole body: it is cut short, or a quote or bracket is missing",
    )


def _too_large(which: str, size: int, limits: CollectorSpec) -> Refused:
    return Refused(
        413,
        "event_too_large",
        f"{which} has {size:,} bytes, and an event may have {limits.max_event_bytes:,}",
        at=f"body, {which}",
        fix="send what is large elsewhere and a reference to it here, or raise `collector: {max_event_bytes: …}`",
    )


def _too_many(what: str, count: int, limits: CollectorSpec) -> Refused:
    return Refused(
        413,
        "too_many_events",
        f"the body has {count:,} {what}, and {limits.max_events:,} are taken",
        at="body",
        fix="send fewer events a request, or raise `collector: {max_events: …}` in headrace.yaml",
    )
