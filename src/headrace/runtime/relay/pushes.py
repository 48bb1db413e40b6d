"""How the pushes of a project are doing, and what to do about their dead letters: by the relay's file and the lake."""

from __future__ import annotations

import datetime as dt
from contextlib import closing
from typing import TYPE_CHECKING, Any

from headrace.config.faults import did_you_mean
from headrace.errors import InputError
from headrace.lake.reader import open_reader
from headrace.runtime.relay.store import BUILDS_KEPT, FILE, GOLD, KINDS, Progress, Store
from headrace.stages.json_text import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headrace.config.project import Project
    from headrace.runtime.relay.rounds import Letter


def names(project: Project) -> dict[str, tuple[str, str]]:
    """Return the pushes of a project, `source/push` (of builds: only `push`), as the relay knows them."""
    found = {push.name: (GOLD, push.name) for push in project.push.gold}
    for source in project.sources.values():
        found |= {f"{source.id}/{push.name}": (source.id, push.name) for push in source.spec.serving.push}
    return found


def pushes(project: Project) -> list[dict[str, Any]]:
    """Return every push: where to, how far it is, what waits, and why it does not get on, if it does not.

    `waiting` are rows of the outbox that it has not taken, the oldest of them `oldest_secs` old; `retrying` and `dead`
    its letters.
    """
    progress: dict[tuple[str, str], Progress] = {}
    letters: dict[tuple[str, str], list[Letter]] = {}
    builds: dict[str, int] = {}
    if (project.state / FILE).exists():
        with closing(Store(project.state)) as store:
            progress, letters = store.progress(), store.letters()
            for push in project.push.gold:
                after = progress.get((GOLD, push.name), Progress()).seq
                builds[push.name] = len(store.builds(KINDS[push.on], after, BUILDS_KEPT))
    waits = _waiting(project, progress)
    targets = _targets(project)
    found = []
    for name, key in names(project).items():
        at = progress.get(key, Progress())
        mine = letters.get(key, [])
        waiting, oldest = (builds.get(name, 0), None) if key[0] == GOLD else waits.get(key, (0, None))
        found.append(
            {
                "push": name,
                **targets[name],
                "position": at.seq,
                "delivered": at.delivered,
                "last_delivered": _iso(at.delivered_at),
                "waiting": waiting,
                "oldest_secs": oldest,
                "retrying": sum(not each.dead for each in mine),
                "dead": sum(each.dead for each in mine),
                "failing_since": _iso(at.failing_since),
                "problem": at.problem or None,
            }
        )
    return found


def dead_letters(project: Project, name: str | None = None) -> list[dict[str, Any]]:
    """Return the dead letters of all pushes, or of one."""
    return [_document(push, each) for push, each in _dead(project, name)]


def revive(project: Project, ids: Iterable[str], name: str | None = None, *, dry_run: bool = False) -> list[str]:
    """Let dead letters be tried again, by id or all of a push; return their ids. A running relay starts at once."""
    return _act(project, ids, name, Store.revive, dry_run=dry_run)


def discard(project: Project, ids: Iterable[str], name: str | None = None, *, dry_run: bool = False) -> list[str]:
    """Remove dead letters for good, by id or all of a push; return their ids."""
    return _act(project, ids, name, Store.discard, dry_run=dry_run)


def _act(project: Project, ids: Iterable[str], name: str | None, act: Any, *, dry_run: bool) -> list[str]:
    wanted = list(ids)
    found = _dead(project, name)
    if wanted:
        by_id: dict[str, list[tuple[str, Letter]]] = {}
        for push, each in found:
            by_id.setdefault(letter_id(push, each), []).append((push, each))
        unknown = [each for each in wanted if each not in by_id]
        if unknown:
            raise InputError(f"no dead letter {unknown[0]!r}", at="push", fix="headrace push dead")
        found = [each for one in dict.fromkeys(wanted) for each in by_id[one]]
    if not dry_run and found:
        keys = names(project)
        with closing(Store(project.state)) as store:
            for push, letter in found:
                act(store, *keys[push], [letter.row.seq])
    return [letter_id(push, each) for push, each in found]


def letter_id(push: str, letter: Letter) -> str:
    """Return what a dead letter goes by: its push and its number in the outbox."""
    return f"{push}/{letter.row.seq}"


def _dead(project: Project, name: str | None) -> list[tuple[str, Letter]]:
    keys = names(project)
    if name is not None and name not in keys:
        raise InputError(f"no push {name!r}", at="push", fix=did_you_mean(name, keys) or "headrace push list")
    if not (project.state / FILE).exists():
        return []
    with closing(Store(project.state)) as store:
        letters = store.letters()
    return [
        (push, each) for push, key in keys.items() if name in {None, push} for each in letters.get(key, []) if each.dead
    ]


def _document(push: str, letter: Letter) -> dict[str, Any]:
    row = letter.row
    return {
        "id": letter_id(push, letter),
        "push": push,
        "event_id": row.id,
        "kind": row.kind,
        "dataset": row.dataset or None,
        "at": row.at.isoformat(),
        "attempts": letter.attempts,
        "first_attempt": _iso(letter.first_at),
        "problem": letter.problem,
        "data": shown(row.data),
    }


def _waiting(
    project: Project, progress: dict[tuple[str, str], Progress]
) -> dict[tuple[str, str], tuple[int, float | None]]:
    now = dt.datetime.now(dt.UTC)
    found: dict[tuple[str, str], tuple[int, float | None]] = {}
    with open_reader(project.state / "lake") as lake:
        if lake is None or "ops.outbox" not in lake.tables():
            return {}
        for source, push in names(project).values():
            if source == GOLD:
                continue
            after = progress.get((source, push), Progress()).seq
            row = lake.rows(
                "SELECT count(*) AS n, min(committed_at) AS since FROM lake.ops.outbox "
                "WHERE source = ? AND push = ? AND seq > ?",
                [source, push, after],
            )[0]
            age = round(max(0.0, (now - row["since"]).total_seconds()), 3) if row["since"] else None
            found[source, push] = (row["n"], age)
    return found


def _targets(project: Project) -> dict[str, dict[str, Any]]:
    """Return where each push goes, as its file says it."""
    found: dict[str, dict[str, Any]] = {
        push.name: {"on": push.on, "to": push.to, "topic": None} for push in project.push.gold
    }
    for source in project.sources.values():
        for push in source.spec.serving.push:
            found[f"{source.id}/{push.name}"] = {"on": push.on, "to": push.to, "topic": push.topic}
    return found


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat()
