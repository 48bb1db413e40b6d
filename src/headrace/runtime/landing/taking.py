"""Taking files: one look at a source's folder, and every file that is ready onto its topic, each row once.

A file is read twice. The first time proves that all of it can be read and gives its digest: a file is taken whole or
not at all. The second time its rows go to the topic, numbered by a producer named after the digest; so whatever a kill
cut off starts again at the first row, and the topic drops what it has.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from headrace.bus.base import Once
from headrace.connectors.batch_file.decisions import Found, Step, decide, is_wanted
from headrace.connectors.batch_file.rows import numbered
from headrace.errors import BusError, ExternalError, HeadraceError, InputError, SpaceError, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from contextlib import AbstractContextManager

    from headrace.bus.base import Bus
    from headrace.connectors.batch_file.manifest import Entry, Manifest
    from headrace.runtime.landing.watched import Watched

HASH_BYTES = 8 << 20
NOTED_EVERY_SECS = 0.5
OUT_OF_MEMORY = "there was no memory left to read the file"


class Checked(NamedTuple):
    """What the first reading of a file gave."""

    digest: str
    rows: int
    notes: tuple[str, ...]


def scan(
    source: Watched,
    manifest: Manifest,
    bus: Bus,
    clock: Callable[[], float] = time.time,
    aside: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Iterator[None]:
    """Look once at a source's files and take those that are ready, oldest first; yields after every step of work.

    It may be left at any yield, and by `kill -9` anywhere: the next scan goes on. A file that cannot be read fails
    alone, and one that a store does not give is left for later. What a store is asked for, and may never give, is asked
    within `aside`, so that whoever steps through scans by turns can give up a turn for as long. Raises `InputError`
    where the place cannot be listed, and `ExternalError` where a store, the bus or the disk must heal first.
    """
    with aside():
        listing = [found for found in source.place.listing() if is_wanted(found.path, source.only)]
    known = manifest.current(source.id)
    for found in listing:
        match decide(known.get(found.path), found, clock(), source.settle_secs, source.settings(found.path)):
            case Step.NOTE | Step.AGAIN:
                manifest.note(source.id, found, clock())
            case Step.REFUSE:
                _refuse(source, found, manifest, clock)
        yield
    there = {found.path for found in listing}
    for path, entry in known.items():
        if path not in there:
            _gone(entry, manifest, clock)
    ready: list[tuple[Found, Entry]] = []
    fresh = manifest.current(source.id)
    for found in listing:
        mine = fresh.get(found.path)
        if (
            mine is not None
            and decide(mine, found, clock(), source.settle_secs, source.settings(found.path)) is Step.TAKE
        ):
            ready.append((found, mine))
    trouble: ExternalError | None = None
    for found, entry in sorted(ready, key=_turn):
        try:
            yield from take(source, found, entry, manifest, bus, clock, aside)
        except (BusError, SpaceError):
            raise  # of no file in particular: the others would fare no better
        except ExternalError as error:
            manifest.change(entry, message=str(error))
            trouble = trouble or error
    if trouble is not None:
        raise trouble


def take(
    source: Watched, found: Found, entry: Entry, manifest: Manifest, bus: Bus,
    clock: Callable[[], float] = time.time, aside: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Iterator[None]:  # fmt: skip
    """Take one file, or go on taking it; see `scan`."""
    try:
        with aside():
            file = source.place.open(found)
        if file is None:
            return  # another one lies there by now: the next look sees it
        with file:
            begun: Entry | None = entry
            if entry.state == "waiting":
                begun = yield from _begin(source, found, file, entry, manifest, clock)
            if begun is not None:
                yield from _publish(source, found, file, begun, manifest, bus, clock)
    except ExternalError:
        raise
    except UserError as error:
        _fail(source, entry, error, manifest, clock)
    except MemoryError as error:
        if OUT_OF_MEMORY not in entry.message:  # another file may have had it all: there is a second time
            raise ExternalError(OUT_OF_MEMORY, at=entry.path, fix="wait for the next look") from error
        wants = InputError(f"{OUT_OF_MEMORY}, twice", at=entry.path, fix="write it as several smaller files")
        _fail(source, entry, wants, manifest, clock)
    except Exception as error:  # noqa: BLE001 - the edge of one file: a bug in its reader must not stop the others
        bug = HeadraceError(f"{type(error).__name__}: {error}", fix="this is a bug of Headrace; please report it")
        _fail(source, entry, bug, manifest, clock)


def _turn(ready: tuple[Found, Entry]) -> tuple[bool, float, str]:
    found, entry = ready
    return entry.state != "reading", found.modified or 0.0, found.path


def _begin(
    source: Watched, found: Found, file: BinaryIO, entry: Entry, manifest: Manifest, clock: Callable[[], float]
) -> Generator[None, None, Entry | None]:
    """Read a file for the first time; return its entry where its rows are to be taken."""
    checked = yield from _check(source, found, file)
    if not source.place.is_same(found, file):
        return None
    settings = source.settings(found.path)
    entry = entry._replace(settings=settings)
    told = {"digest": checked.digest, "rows": checked.rows, "settings": settings, "fix": ""}
    twin = manifest.twin(entry, checked.digest)
    if twin is None:
        return manifest.change(
            entry, **told, state="reading", taken=0, started=clock(), message="; ".join(checked.notes)
        )
    if twin.path == entry.path:
        manifest.same_again(entry, twin)
    else:
        message = f"the same bytes as {twin.path}: taken once"
        manifest.change(entry, **told, state="done", taken=checked.rows, message=message, ended=clock())
    return None


def _check(source: Watched, found: Found, file: BinaryIO) -> Generator[None, None, Checked]:
    digest = hashlib.sha256()
    with _rewound(file) as raw:
        while block := raw.read(HASH_BYTES):
            digest.update(block)
            yield
    notes: list[str] = []
    rows = 0
    for batch in source.messages(found.path, _rewound(file), notes.append):
        rows += batch.num_rows
        yield
    return Checked(digest.hexdigest(), rows, tuple(note.removeprefix(f"{found.path}: ") for note in notes))


def _publish(
    source: Watched, found: Found, file: BinaryIO, entry: Entry, manifest: Manifest, bus: Bus,
    clock: Callable[[], float],
) -> Iterator[None]:  # fmt: skip
    assert entry.digest is not None  # noqa: S101 - known since it was checked
    producer = source.producer(entry.digest, found.path)
    taken, noted = 0, clock()
    try:
        messages = source.messages(found.path, _rewound(file), lambda _: None)
        for first, batch in numbered(messages, found.path, entry.digest):
            bus.publish(source.topic, batch, once=Once(producer, first))
            taken = first + batch.num_rows
            if clock() - noted > NOTED_EVERY_SECS:
                manifest.change(entry, taken=max(taken, entry.taken))
                noted = clock()
            yield
    except UserError:
        if source.place.is_same(found, file):
            raise
    if taken == entry.rows and source.place.is_same(found, file):
        manifest.change(entry, state="done", taken=taken, ended=clock())
        return
    message = f"it changed while it was read: {max(taken, entry.taken):,} rows of it were taken"
    manifest.change(entry, state="superseded", taken=max(taken, entry.taken), message=message, ended=clock())


def _rewound(file: BinaryIO) -> BinaryIO:
    """Return the same file, to be read from its start and closed without closing it."""
    file.seek(0)
    return os.fdopen(os.dup(file.fileno()), "rb")


def _fail(source: Watched, entry: Entry, error: HeadraceError, manifest: Manifest, clock: Callable[[], float]) -> None:
    message = f"{error.at}: {error.message}" if error.at and error.at != entry.path else error.message
    fix = error.fix.replace("--format", "ingestion.format:")
    manifest.change(
        entry, state="failed", message=message, fix=fix, settings=source.settings(entry.path), ended=clock()
    )


def _refuse(source: Watched, found: Found, manifest: Manifest, clock: Callable[[], float]) -> None:
    manifest.note(source.id, found, clock())
    entry = manifest.current(source.id)[found.path]
    settings = source.settings(found.path)
    manifest.change(entry, state="failed", message=found.fault, settings=settings, ended=clock())


def _gone(entry: Entry, manifest: Manifest, clock: Callable[[], float]) -> None:
    """Note that a file is no longer there; what was taken of it stays."""
    if entry.state == "waiting":
        manifest.forget(entry)
    elif entry.state == "reading":
        message = f"it was removed when {entry.taken:,} or more of its {entry.rows:,} rows were taken"
        manifest.change(entry, state="superseded", message=message, ended=clock())
    elif entry.state == "failed":
        manifest.change(entry, state="superseded", message=f"{entry.message}; it was removed", ended=clock())
