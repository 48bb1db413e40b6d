"""Promise 4 by property: silver is what bronze makes of it, though its input was shuffled, repeated, late, cut into
other batches, and crashes, failed commits and compaction came between. Verified three ways: kept, scanned, rebuilt.

Examples are lived in one lake by three sources, some of them together, each with keys of its own, and are verified
together: a key that is named at the end tells its example. What `one` and `two` take is the same but for order, repeats
and batches, and its versions are all distinct, so that silver must be the same; `any` takes versions that tie, too. Of
what `two` takes, half is in an older version of its contract: upcast, it is the same. Of what `any` takes, too; there
what names no version is of the older one, also where it meets the newest alone.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from headrace.config.project import load_project
from headrace.lake import digests
from headrace.lake.ducklake import DuckLake
from headrace.lake.reader import open_reader
from headrace.runtime.deployment import deploy, now
from headrace.runtime.tick import Tick
from headrace.runtime.verify import verify
from living import KEYED, messages, project_of, sqlite_bus

SOURCES = ("any", "one", "two")
TODAY = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
DAYS = (-400, -30, -2, -1, 0)  # of the first two, every event is too late
SCHEMA = {
    "type": "object",
    "required": ["id", "at"],
    "properties": {
        "id": {"type": "string"},
        "version": {"type": "integer"},
        "amount": {"type": ["number", "null"]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "at": {"type": "string", "format": "date-time"},
    },
}

OLD = {
    "type": "object",
    "required": ["ident", "at"],
    "properties": {name: part for name, part in SCHEMA["properties"].items() if name not in {"id", "amount"}}
    | {"ident": {"type": "string"}, "amount": {"type": ["string", "null"]}},
    "additionalProperties": False,
}
UPCAST = "  upcast: {v1: [{rename: {ident: id}}, {cast: [amount]}]}\n"

events = st.tuples(st.sampled_from("abc"), st.integers(0, 4), st.sampled_from(["", "", "x"]))
sent = st.lists(st.one_of(events, events, events, st.sampled_from([b"{bad", b"[]"])), min_size=1, max_size=14)
fates = st.sampled_from(["commit", "commit", "commit", "restart", "fail", "compact"])
steps = st.lists(st.tuples(st.integers(10, 150), fates), max_size=1)
TOGETHER = 25  # examples share batches: a commit costs as much for one of them


class Fallible(DuckLake):
    """A lake whose next commit of messages fails in its middle when it is told so."""

    fails = False

    def commit(self, changes):
        if self.fails and changes[0].files:
            self.fails = False
            changes[0].files[0].path.unlink()
        return super().commit(changes)


def payload(example, event, *, ties, may_be_old, named):
    """Return what is sent: all but its tie follows from the key and the version; of some, in the older version."""
    if isinstance(event, bytes):
        return event
    key, version, tie = event
    at = TODAY + dt.timedelta(days=DAYS[(ord(key) + version + example) % len(DAYS)], hours=1)
    said = {
        "id": f"{example}-{key}",
        "version": version,
        "at": at.isoformat(),
        "amount": [None, 1.5, -0.0][version % 3],
    }
    if version > 1:
        said["tags"] = [key, ""][: version - 1]
    if ties and tie:
        said["amount"] = 7
    if may_be_old and (ord(key) + version) % 2:
        amount = said["amount"]
        said |= {"ident": said.pop("id"), "amount": None if amount is None else str(amount)}
    elif named and version:
        said["v"] = "2.0.0"
    return json.dumps(said).encode()


class Living:
    """A lake and a bus that all examples share, and the tick that crashes take away."""

    def __init__(self, project, bus):
        self.project, self.bus = project, bus
        self.lake = Fallible(self.project.state / "lake")
        deploy(project, self.lake, bus)
        self.examples, self.plan = 0, []
        self.waiting = {name: [] for name in SOURCES}
        self.restart()

    def restart(self):
        self.tick = Tick(self.bus, self.lake, self.project.sources, self.project.digest, now)
        self.tick.start()

    def example(self, taken, shuffled, plan):
        """Take an example's messages; live it with some others."""
        self.examples += 1
        for name, order in {"any": taken, "one": taken, "two": shuffled}.items():
            self.waiting[name].append(
                [
                    payload(self.examples, each, ties=name == "any", may_be_old=name != "one", named=name == "any")
                    for each in order
                ]
            )
        self.plan += plan
        if not self.examples % TOGETHER:
            self.live()

    def live(self):
        """Bring what waits into the lake, whatever comes between."""
        for name, raw in self.waiting.items():
            # In turn, so that the versions of a key fall into several batches.
            if turns := [each for turn in itertools.zip_longest(*raw) for each in turn if each is not None]:
                self.bus.publish(name, messages(turns))
        plan, self.plan, self.waiting = self.plan, [], {name: [] for name in SOURCES}
        for size, fate in itertools.chain(plan, itertools.repeat((150, "commit"))):
            sizes = {"any": size, "one": size, "two": max(1, 160 - size)}
            batches = [batch for name in SOURCES if (batch := self.tick.prepare(name, sizes[name])) is not None]
            if not batches:
                return
            if fate == "restart":
                self.restart()
                continue
            self.lake.fails = fate == "fail"
            failed = self.tick.commit(batches)
            self.lake.fails = False
            if failed:
                self.tick.start(list(failed))
            if fate == "compact":
                self.lake.maintain(frozenset, 0.2)


def test_silver_is_what_bronze_makes_of_it(tmp_path):
    project_of(tmp_path, *SOURCES, schema=SCHEMA, more=KEYED + "  - late: {window: 7d, too_late: quarantine}\n")
    for name in SOURCES:
        source = tmp_path / f"connectors/{name}.yaml"
        source.write_text(source.read_text() + "event_time: at\n")
    for name, more in {"two": UPCAST, "any": UPCAST + "  version_from: {field: v, default: v1}\n"}.items():
        (tmp_path / f"schemas/{name}").mkdir()
        (tmp_path / f"schemas/{name}/v1.json").write_text(json.dumps(OLD))
        source = tmp_path / f"connectors/{name}.yaml"
        file = f"file: schemas/{name}.json"
        source.write_text(source.read_text().replace(f"schema: {{{file}}}", f"schema:\n  {file}\n{more}"))
    project = load_project(tmp_path)
    with sqlite_bus(project) as bus:
        living = Living(project, bus)
        live(living)
    found = verify(project, from_bronze=True)
    assert (found.balanced, found.kept, found.equal, found.unknown) == (True, True, True, 0), found.document()
    assert found.messages > living.examples
    with open_reader(project.state / "lake") as lake:
        assert lake is not None
        one = digests.scanned(lake, "one")
        columns = ", ".join(f'"{name}"' for name in (*SCHEMA["properties"], "_event_date"))
        for some, others in (
            ("one", "two"),
            ("two", "one"),
        ):  # a row's digest covers the version that it was read under
            sql = f"SELECT {columns} FROM lake.silver.{some} EXCEPT ALL SELECT {columns} FROM lake.silver.{others}"
            assert lake.rows(sql) == []
        for some in ("two", "any"):
            told = lake.rows(
                f"SELECT DISTINCT split_part(_schema_version, '-', 1) AS v FROM lake.silver.{some} ORDER BY v"
            )
            assert [row["v"] for row in told] == ["1", "2"]
        assert len(one) == len([day for day in DAYS if day > -7])
        assert digests.scanned(lake, "any") != one


def live(living):
    @given(sent, st.data())
    def lives(taken, data):
        repeated = taken + data.draw(st.lists(st.sampled_from(taken), max_size=4))
        living.example(taken, data.draw(st.permutations(repeated)), data.draw(steps))

    try:
        lives()
        living.live()
    finally:
        living.lake.close()
