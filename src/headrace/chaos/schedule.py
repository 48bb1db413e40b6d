"""Schedules, decided purely: what happens to a copy of a project, life by life, drawn from a seed.

A *life* is a process of its own that does one thing (sends, ticks, builds, …) until it is done or until what is planned
for it strikes. The last lives are added when it is lived: without faults, until nothing waits any more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Literal

from headrace.fault_points import POINTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Does = Literal["publish", "spool", "land", "tick", "upkeep", "build", "relay"]
Strike = Literal["kill", "pause", "full"]

DOERS: dict[str, tuple[Does, ...]] = {  # which lives pass the points of a step, those first that do so for certain
    "bus.create": ("publish", "spool"),
    "bus.publish": ("publish", "spool", "land", "relay"),
    "bus.ack": ("tick",),
    "bus.retain": ("tick",),
    "tick": ("tick",),
    "lake.compact": ("upkeep",),
    "lake.expire": ("upkeep",),
    "lake.clean": ("upkeep",),
    "lake.decide": (),  # `apply` has tests of its own
    "lake.replace": (),  # and so has `doctor`
    "lake.restore": (),
    "bus.salvage": (),
    "lake": ("tick", "upkeep"),
    "deployment": ("tick",),
    "gold": ("build",),
    "spool": ("spool",),
    "relay": ("relay",),
    "landing": ("land",),
}
COMMITS = ("bus.publish", "tick.commit", "lake.commit", "gold.publish", "spool.put", "relay.note", "landing.note")
MISTOLD = frozenset({"lake.commit.after"})  # it lasts, and may be said to have failed: who goes on must find out
COMMIT_SHARE = 0.3  # of strikes: where something becomes true for others, most can go wrong
GOLD_EVERY = 25  # schedules: a build costs as much as all the rest of one
RELAY_EVERY = 8
HOUR = 3600


@dataclass(frozen=True, slots=True)
class Fault:
    """What strikes where: at the `nth` passing of a point by its life. `pause` takes `secs`; `full` refuses a write."""

    point: str
    nth: int
    strike: Strike
    secs: float = 0.0


@dataclass(frozen=True, slots=True)
class Disk:
    """What the disk does in a life. All three count from its start, and need the shim.

    `full_after_bytes`: it is full then, until it has refused `refusals` writes. `torn_write`: in the middle of that
    write the process dies, having written the share `torn_share` of it.
    """

    full_after_bytes: int | None = None
    refusals: int = 0
    torn_write: int | None = None
    torn_share: float = 0.0


@dataclass(frozen=True, slots=True)
class Life:
    """One process. `beside` lives at the same time, undisturbed, where there is one.

    `messages` is how many it may send of each source, `batch` how many go at once, `again` how many of those that were
    acknowledged are sent again under their numbers. `ticks` bounds a slow consumer, `rows` its batches (0: they are not
    bounded). `clock_secs` is how wrong the clock of the bus is. `kill_after_secs`: it is killed from outside.
    `power_cut`: when it ends, however it does, everything ends, and what was not synced is lost as `seed` says.
    """

    does: Does
    beside: Does | None = None
    faults: tuple[Fault, ...] = ()
    disk: Disk = field(default=Disk())
    messages: int = 40
    batch: int = 20
    again: int = 0
    ticks: int = 0
    rows: int = 0
    clock_secs: int = 0
    kill_after_secs: float | None = None
    power_cut: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Schedule:
    """All that one seed stands for. `seasoned`: the copy has lived for a while before; else it is new.

    `shuffle` is how far messages overtake each other, `twice` the share of them that their producer sends once more.
    """

    seed: int
    sources: tuple[str, ...]
    seasoned: bool
    start: float
    shuffle: int
    twice: float
    lives: tuple[Life, ...]

    @property
    def builds(self) -> bool:
        """Whether gold is built in it."""
        return any("build" in {life.does, life.beside} for life in self.lives)

    @property
    def relays(self) -> bool:
        """Whether a push runs in it."""
        return any("relay" in {life.does, life.beside} for life in self.lives)


@dataclass(frozen=True, slots=True)
class Possible:
    """What this machine and this project allow: sources that are sent to, sources whose files land, the shim, gold."""

    sources: Sequence[str]
    landed: Sequence[str] = ()
    shim: bool = False
    gold: bool = True


def draw(seed: int, possible: Possible) -> Schedule:
    """Return the schedule of a seed: always the same where the same is possible."""
    rng = Random(f"chaos/{seed}")  # noqa: S311 - a schedule, not a secret
    builds = possible.gold and seed % GOLD_EVERY == 5
    relays = not builds and seed % RELAY_EVERY == 2
    count = len(possible.sources) if builds else rng.choice((1, 1, 1, 2, 2, 3))
    sources = tuple(sorted(rng.sample(list(possible.sources), min(count, len(possible.sources)))))
    lands = bool(set(sources) & set(possible.landed))
    seasoned = rng.random() < 0.75
    lives: list[Life] = []
    for _ in range(rng.choice((1, 1, 2, 2))):
        ways: list[Does] = ["publish", "publish", "spool"]
        ways += ["land"] * (2 * lands)
        lives.append(_life(rng, rng.choice(ways), possible))
        lives.append(_life(rng, "upkeep" if seasoned and rng.random() < 0.3 else "tick", possible))
    lives += [_life(rng, "build", possible) for _ in range(2 * builds)]
    lives += [_life(rng, "relay", possible) for _ in range(2 * relays)]
    return Schedule(
        seed, sources, seasoned, rng.random(), rng.choice((0, 0, 3, 25)), rng.choice((0.0, 0.05, 0.2)), tuple(lives)
    )


def _life(rng: Random, does: Does, possible: Possible) -> Life:
    """Draw a life: most of them meet something."""
    beside: Does | None = None
    if rng.random() < 0.2:
        beside = "publish" if does in {"tick", "upkeep", "relay", "build"} else "tick"
    kinds = ["kill"] * 6 + ["kill outside", "pause", "full", "nothing"]
    if possible.shim:
        kinds += ["full disk"] * 2 + ["torn"] * 2
    kind = rng.choice(kinds)
    faults: tuple[Fault, ...] = ()
    disk, kill_after = Disk(), None
    match kind:
        case "kill" | "pause" | "full":
            faults = tuple(_fault(rng, does, kind) for _ in range(3 if kind == "pause" else 1))
        case "kill outside":
            kill_after = round(rng.uniform(0.01, 2.0 if does == "build" else 0.4), 3)
        case "full disk":
            disk = Disk(int(10 ** rng.uniform(2, 5.5)), rng.choice((1, 3, 20, 1_000_000)))
        case "torn":
            disk = Disk(torn_write=int(10 ** rng.uniform(0, 2.2)), torn_share=rng.random())
    return Life(
        does,
        beside,
        faults,
        disk,
        messages=rng.choice((10, 40, 40, 90)),
        batch=rng.choice((1, 7, 20, 60)) if does != "spool" else rng.choice((7, 20, 60)),
        again=rng.choice((0, 0, 5, 50)),
        ticks=rng.choice((0, 0, 0, 1, 2)),
        rows=rng.choice((0, 0, 0, 15)),
        clock_secs=rng.choice((0, 0, 0, -90, 1_800, -26 * HOUR, 50 * HOUR)),
        kill_after_secs=kill_after,
        power_cut=possible.shim and rng.random() < 0.35,
        seed=rng.getrandbits(32),
    )


def _fault(rng: Random, does: Does, strike: Strike) -> Fault:
    points = [point for point in POINTS if does in doers(point)[:1] or (does in doers(point) and rng.random() < 0.5)]
    if strike == "full":  # a step that lasts already cannot be refused any more
        points = [point for point in points if point.endswith(".before") or point in MISTOLD]
    commits = [point for point in points if point.rpartition(".")[0] in COMMITS]
    point = rng.choice(commits if commits and rng.random() < COMMIT_SHARE else points)
    once = ("gold.", "lake.expire", "lake.clean", "lake.copy", "lake.create", "bus.create")
    often = doers(point)[:1] == (does,) and not point.startswith(once)
    nth = rng.choice((1, 1, 1, 2, 2, 3, 5, 9)) if often else 1
    return Fault(point, nth, strike, round(rng.uniform(0.01, 0.15), 3) if strike == "pause" else 0.0)


def doers(point: str) -> tuple[Does, ...]:
    """Return the lives that pass a point, the most likely first."""
    step = point.rpartition(".")[0]
    room = step.partition(".")[0]
    return DOERS[step] if step in DOERS else DOERS[room]


def points_of(lives: Iterable[Does]) -> list[str]:
    """Return the points that such lives may pass."""
    wanted = set(lives)
    return [point for point in POINTS if wanted & set(doers(point))]
