"""An hour of GitHub: 7,702 nested events, published twice, the second time in another order."""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_ACTOR = {
    "type": "object",
    "required": ["id", "login"],
    "properties": {
        "id": {"type": "integer"},
        "login": {"type": "string"},
        "gravatar_id": {"type": "string"},
        "url": {"type": "string"},
        "avatar_url": {"type": "string"},
    },
    "additionalProperties": False,
}
SCHEMA = {
    "type": "object",
    "required": ["id", "type", "actor", "repo", "payload", "public", "created_at"],
    "properties": {
        "id": {"type": "string", "pattern": "^[0-9]+$"},
        "type": {"type": "string", "pattern": "Event$"},
        "actor": _ACTOR,
        "repo": {
            "type": "object",
            "required": ["id", "name"],
            "properties": {"id": {"type": "integer"}, "name": {"type": "string"}, "url": {"type": "string"}},
            "additionalProperties": False,
        },
        "org": _ACTOR,
        "payload": {"type": "object"},
        "public": {"type": "boolean"},
        "created_at": {"type": "string", "format": "date-time"},
    },
    "additionalProperties": False,
}


@pytest.fixture(scope="session")
def hour(shared: Path) -> Path:
    """Return the file."""
    return shared / "data/events/github/2015-01-01-0.json.gz"


@pytest.fixture(scope="session")
def raw(hour: Path) -> list[dict[str, Any]]:
    """Return its events as plain Python reads them."""
    with gzip.open(hour) as lines:
        return [json.loads(line) for line in lines]


def test_published_twice_the_second_time_shuffled_changes_nothing(
    hour: Path, raw: list[dict[str, Any]], platform: Callable[..., Any], keyed: Callable[..., Any], tmp_path: Path
):
    github = platform("github", SCHEMA, event_time="created_at", processing=keyed("id"))
    assert len({event["id"] for event in raw}) == len(raw) == 7702

    assert github.publish(hour, format_="ndjson") == 7702
    assert github.drain() == {"accepted": 7702, "silver": 7702}
    first = github.digest()

    with gzip.open(hour) as file:
        lines = file.read().splitlines()
    random.Random(2015).shuffle(lines)
    again = tmp_path / "shuffled.jsonl"
    again.write_bytes(b"\n".join(lines))
    assert github.publish(again) == 7702
    assert github.drain() == {"accepted": 15404, "silver": 7702, "duplicate": 7702}
    assert github.digest() == first

    _counts_are_those_of_plain_python(github, raw)
    _every_value_is_what_was_sent(github, raw)


def _counts_are_those_of_plain_python(github: Any, raw: list[dict[str, Any]]) -> None:
    types = github.rows("SELECT type, count(*) AS n FROM {silver} GROUP BY ALL")
    assert {row["type"]: row["n"] for row in types} == Counter(event["type"] for event in raw)
    actors = github.rows("SELECT actor.login AS login, count(*) AS n FROM {silver} GROUP BY ALL")
    assert {row["login"]: row["n"] for row in actors} == Counter(event["actor"]["login"] for event in raw)
    (orgs,) = github.rows("SELECT count(org) AS n FROM {silver}")
    assert orgs["n"] == sum("org" in event for event in raw)
    pushed = github.rows("SELECT sum((payload->>'size')::BIGINT) AS n FROM {silver} WHERE type = 'PushEvent'")
    assert pushed[0]["n"] == sum(event["payload"]["size"] for event in raw if event["type"] == "PushEvent")


def _every_value_is_what_was_sent(github: Any, raw: list[dict[str, Any]]) -> None:
    sent = {event["id"]: event for event in raw}
    for row in github.rows(
        "SELECT id, type, actor, repo, org, payload, public, "
        "strftime(_event_time, '%Y-%m-%dT%H:%M:%SZ') AS created_at, "
        "strftime(created_at, '%Y-%m-%dT%H:%M:%SZ') AS column_created_at FROM {silver}"
    ):
        event = sent.pop(row["id"])
        assert row.pop("column_created_at") == event["created_at"]
        assert row | {"payload": json.loads(row["payload"])} == {"org": None} | event
    assert not sent
