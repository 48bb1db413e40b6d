"""A day of Wikipedia edits: 39,244 flat events in every script there is, many columns null."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_TEXTS = ("channel", "comment", "namespace", "page", "user")
_MAYBE = ("cityName", "countryIsoCode", "countryName", "regionIsoCode", "regionName")
_FLAGS = ("isAnonymous", "isMinor", "isNew", "isRobot", "isUnpatrolled")
_COUNTS = ("delta", "added", "deleted")
SCHEMA = {
    "type": "object",
    "required": ["time", *_TEXTS, *_FLAGS, *_COUNTS],
    "properties": {
        "time": {"type": "string", "format": "date-time"},
        **{name: {"type": "string"} for name in _TEXTS},
        **{name: {"type": ["string", "null"]} for name in _MAYBE},
        **{name: {"type": "boolean"} for name in _FLAGS},
        **{name: {"type": "integer"} for name in _COUNTS},
        "metroCode": {"type": ["integer", "null"]},
    },
    "additionalProperties": False,
}
KEY = ("time", "channel", "page", "user")


def test_every_edit_arrives_once_as_it_was_made(
    shared: Path, platform: Callable[..., Any], keyed: Callable[..., Any], tmp_path: Path
):
    file = shared / "data/events/wikipedia/wikiticker-2015-09-12-sampled.restored.json.gz"
    with gzip.open(file) as opened:
        lines = opened.read().splitlines()
    raw = [json.loads(line) for line in lines]
    assert len({tuple(edit[name] for name in KEY) for edit in raw}) == len(raw) == 39244
    again = tmp_path / "again.ndjson"
    again.write_bytes(b"\r\n".join(lines[:1000]))

    wiki = platform("wiki", SCHEMA, event_time="time", processing=keyed(*KEY))
    assert wiki.publish(file, format_="ndjson") == 39244
    assert wiki.publish(again) == 1000
    assert wiki.drain() == {"accepted": 40244, "silver": 39244, "duplicate": 1000}

    names = ", ".join(f'"{name}"' for name in SCHEMA["properties"] if name != "time")
    when = "strftime(\"time\", '%Y-%m-%dT%H:%M:%S.%gZ')"
    rows = wiki.rows(f'SELECT {when} AS "time", {names} FROM {{silver}}')
    assert Counter(map(_text, rows)) == Counter(map(_text, raw))
    added = {row["channel"]: row["n"] for row in wiki.rows("SELECT channel, sum(added) AS n FROM {silver} GROUP BY 1")}
    expected: Counter[str] = Counter()
    for edit in raw:
        expected[edit["channel"]] += edit["added"]
    assert added == expected


def _text(edit: dict[str, Any]) -> str:
    return json.dumps(edit, sort_keys=True)
