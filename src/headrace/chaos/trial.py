"""A trial: one schedule lived through over a fresh copy, and what came of it."""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, Any, Literal

from headrace.bus.base import Once
from headrace.bus.sqlite import SqliteBus
from headrace.chaos import disk, power_cut
from headrace.chaos.forks import Child
from headrace.chaos.life import PUSH, Stage, lives
from headrace.chaos.proof import prove
from headrace.chaos.schedule import Disk, Life, Possible, draw
from headrace.chaos.striker import Passed, Striker
from headrace.chaos.supply import SEASON, Account, Part, batch_of, sequence, written
from headrace.config.locations import bound, local_folder
from headrace.connectors.push import PushesSpec, PushSpec
from headrace.lake.ducklake import DuckLake
from headrace.runtime.deployment import deploy
from headrace.runtime.landing.watched import is_watched
from headrace.runtime.loop import Loop
from headrace.runtime.state import open_state
from headrace.warehouse.dbt_run import load_dbt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from headrace.chaos.forks import Ended
    from headrace.chaos.schedule import Does, Schedule
    from headrace.chaos.supply import Supply
    from headrace.config.project import Project

PATIENCE_SECS = 90.0
MESSAGES = 400  # of a source in a schedule, at most
SEASON_COMMITS = 24  # so many files as make upkeep compact
SEASON_MESSAGES = 4
LAST_ROUNDS = 4
SETTLED_AT = 1_600_000_000.0  # files that land are old: nobody waits until they lie still
SPOOLED: Literal["spool"] = "spool"
LANDED: Literal["land"] = "land"
_UNHARMED = Life("tick")


@dataclass
class Outcome:
    """What came of a schedule. `struck` is what really happened of what was planned, `why` all that is wrong."""

    seed: int
    lost: int = 0
    duplicated: int = 0
    unbalanced: bool = False
    unequal: bool = False
    stuck: bool = False
    why: list[str] = field(default_factory=list)
    struck: list[str] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)
    messages: int = 0
    lives: int = 0
    power_cuts: int = 0
    built: int = 0
    unbuilt: list[str] = field(default_factory=list)
    seconds: float = 0.0
    schedule: dict[str, Any] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether anything is not as it must be."""
        return bool(self.lost or self.duplicated or self.unbalanced or self.unequal or self.stuck)


class Ground:
    """A copy of a project that trials are lived on, one after the other. Belongs to one process without threads."""

    def __init__(self, project: Project, supply: Supply, *, gold: bool = True) -> None:
        """Take a copy that belongs to nobody else. Its pushes go to topics of its own, and nowhere else."""
        sources = {
            name: replace(each, spec=_with_push(each.spec, name, on=False)) for name, each in project.sources.items()
        }
        self._project = replace(project, sources=sources, push=PushesSpec())
        self._supply = supply
        self._shadow = project.root.parent / "shadow"
        self._season = project.root.parent / "season"
        self._seasoning: dict[str, int] = {}
        self.passed = Passed()
        self.possible = Possible(
            sources=tuple(name for name in project.sources if supply.get(name)),
            landed=tuple(name for name in project.sources if supply.get(name) and self._folder(name) is not None),
            shim=disk.is_loaded(),
            gold=gold,
        )

    def live(self, seed: int) -> Outcome:
        """Live the schedule of a seed through, and prove what must hold after it."""
        began = time.monotonic()
        schedule = draw(seed, self.possible)
        if schedule.builds:
            load_dbt()  # takes seconds, the first time
        outcome = Outcome(seed)
        stage = self._begin(schedule, outcome)
        for life in schedule.lives:
            self._life(stage, life, outcome)
        if not outcome.stuck and self._end(stage, schedule, outcome):
            self._prove(stage, outcome)
        outcome.seconds = round(time.monotonic() - began, 3)
        if outcome.failed:
            outcome.schedule = asdict(schedule)
        return outcome

    # ---- lives -----------------------------------------------------------------------------------------------------

    def _begin(self, schedule: Schedule, outcome: Outcome) -> Stage:
        project = replace(
            self._project,
            sources={
                name: replace(each, spec=_with_push(each.spec, name, on=schedule.relays))
                for name, each in self._project.sources.items()
                if name in schedule.sources
            },
        )
        shutil.rmtree(project.state, ignore_errors=True)
        for name in self.possible.landed:
            folder = self._folder(name)
            shutil.rmtree(folder, ignore_errors=True)  # type: ignore[arg-type]
            folder.mkdir(parents=True)  # type: ignore[union-attr]
        if schedule.seasoned:
            if not self._season.exists():
                self._make_season(outcome)
            shutil.copytree(self._season, project.state)
        seasoning = self._seasoning if schedule.seasoned else {}
        accounts = {
            name: Account(sequence(self._supply, schedule, name, MESSAGES), seasoning.get(name, 0))
            for name in schedule.sources
        }
        return Stage(project, accounts)

    def _life(self, stage: Stage, life: Life, outcome: Outcome) -> None:
        """Live one life, and those beside it; then let the power fail, where it is to."""
        state = stage.project.state
        does = [life.does] if life.beside is None else [life.does, life.beside]
        for each in does:
            self._hand_out(stage, each, life)
        if life.power_cut:
            power_cut.remember(state, self._shadow)
        children = []
        for each in does:
            mine = life if each == life.does else replace(life, faults=(), disk=Disk(), kill_after_secs=None)
            children.append((each, mine, self._child(stage, [each], mine)))
        for each, mine, child in children:
            ended = child.wait(PATIENCE_SECS, mine.kill_after_secs)
            if life.power_cut:
                child.kill_group()
            self._heard(stage, [each], mine, ended, outcome)
        outcome.lives += len(children)
        if life.power_cut:
            outcome.power_cuts += 1
            rng = Random(life.seed)  # noqa: S311
            lost = power_cut.Cut(state, self._shadow, rng).fall()
            outcome.struck.append(f"power cut: {len(lost.names)} names, {len(lost.files)} files")

    def _child(self, stage: Stage, does: Sequence[Does], life: Life) -> Child:

        def act(say: Callable[..., None]) -> None:
            if self.possible.shim:
                disk.arm(stage.project.state, self._shadow if life.power_cut else None, life.disk)
            Striker(life.faults, self.passed, say).watch()
            try:
                for each in does:
                    lives(each, stage, life, say)
            finally:
                if self.possible.shim:
                    say(full=disk.was_full())

        return Child(act)

    def _hand_out(self, stage: Stage, does: Does, life: Life) -> None:
        """Give a producer what it is to send, so that we know of it whatever becomes of the producer."""
        for source, account in stage.accounts.items():
            folder = self._folder(source)
            if does == "publish":
                account.direct += account.give(life.messages)
            elif does == "spool" or (does == "land" and folder is not None):
                given = account.give(life.messages)
                size = life.batch if does == "spool" else max(1, len(given))
                for first in range(0, len(given), size):
                    name = f"{does}-{source}-{len(account.parts)}"
                    part = Part(does, given[first : first + size])
                    account.parts[name] = part
                    if part.door == LANDED:
                        assert folder is not None  # noqa: S101 - see above
                        os.utime(written(folder, name, part.messages), (SETTLED_AT, SETTLED_AT))

    def _heard(self, stage: Stage, doing: Sequence[Does], life: Life, ended: Ended, outcome: Outcome) -> None:
        """Note what a life said, and how it ended."""
        does = doing[-1]
        for said in ended.said:
            if "acked" in said:
                source, upto = said["acked"]
                stage.accounts[source].acked_upto = max(stage.accounts[source].acked_upto, upto)
            if "lost" in said:
                source, count = said["lost"]
                outcome.lost += count
                outcome.why.append(f"{source}: {count} acknowledged messages were taken anew when they were sent again")
            if "part" in said:
                source, name = said["part"]
                stage.accounts[source].parts[name].acked = True
            if "struck" in said:
                outcome.struck.append(f"{does}: {said['struck']}")
            if said.get("built"):
                outcome.built += 1
        if ended.end == "ended" and LANDED in doing:
            for account in stage.accounts.values():
                for part in account.parts.values():
                    part.acked = part.acked or part.door == LANDED
        if ended.end == "stuck":
            outcome.stuck = True
            outcome.why.append(f"{does} did not end within {PATIENCE_SECS:g} seconds")
        if ended.end == "failed" and "headrace.errors." not in ended.why.splitlines()[-1]:
            outcome.surprises.append(f"{does}: {ended.why}")
        if ended.end == "killed" and life.kill_after_secs is not None:
            outcome.struck.append(f"{does}: killed from outside")
        if any(said.get("full") for said in ended.said):
            outcome.struck.append(f"{does}: the disk was full")
        if ended.end == "killed" and life.disk.torn_write is not None:
            outcome.struck.append(f"{does}: torn write")

    # ---- the end ---------------------------------------------------------------------------------------------------

    def _end(self, stage: Stage, schedule: Schedule, outcome: Outcome) -> bool:
        """Let everything arrive, unharmed; return whether it did."""
        doors = {part.door for account in stage.accounts.values() for part in account.parts.values()}
        does: list[Does] = ["publish"]
        does += [door for door in (SPOOLED, LANDED) if door in doors]
        does.append("tick")
        if schedule.relays:
            does.append("relay")
        wrong: list[str] = []
        for _ in range(LAST_ROUNDS):
            ended = self._child(stage, does, replace(_UNHARMED, batch=60)).wait(PATIENCE_SECS)
            self._heard(stage, does, _UNHARMED, ended, outcome)
            wrong = [] if ended.end == "ended" else [f"the last life {ended.end}: {ended.why}".strip()]
            for said in ended.said:
                wrong += [said["refused"]] if "refused" in said else []
                wrong += [f"{source} fails: {why}" for source, why in said.get("failing", {}).items()]
            if not wrong and all(account.is_settled for account in stage.accounts.values()):
                return self._built(stage, outcome) if schedule.builds else True
        outcome.stuck = True
        outcome.why += wrong or ["something that was sent is never acknowledged"]
        return False

    def _built(self, stage: Stage, outcome: Outcome) -> bool:
        """Build gold from all that arrived; models that do not build, and tests that fail, are the project's own."""
        ended = self._child(stage, ["build"], _UNHARMED).wait(PATIENCE_SECS)
        self._heard(stage, ["build"], _UNHARMED, ended, outcome)
        for said in ended.said:
            outcome.unbuilt += said.get("failures", [])
        if ended.end != "ended":
            outcome.stuck = True
            outcome.why.append(f"the last build {ended.end}: {ended.why}")
        return ended.end == "ended"

    def _prove(self, stage: Stage, outcome: Outcome) -> None:
        gold = outcome.built > 0

        def act(say: Callable[..., None]) -> None:
            say(found=prove(stage, gold=gold).document())

        ended = Child(act).wait(PATIENCE_SECS)
        found = next((each["found"] for each in ended.said if "found" in each), None)
        if found is None:
            outcome.unequal = True
            outcome.why.append(f"it cannot be verified: {ended.end} {ended.why}")
            return
        outcome.lost += found["lost"]
        outcome.duplicated += found["duplicated"]
        outcome.unbalanced, outcome.unequal = bool(found["unbalanced"]), bool(found["unequal"])
        outcome.messages = found["messages"]
        outcome.why += [*found["details"], *found["unbalanced"], *found["unequal"]]

    # ---- a copy that has lived -------------------------------------------------------------------------------------

    def _make_season(self, outcome: Outcome) -> None:
        """Make the state that seasoned schedules begin with: many small commits."""
        state = self._project.state
        shutil.rmtree(state, ignore_errors=True)
        names = self.possible.sources

        def act(_: Callable[..., None]) -> None:
            open_state(state)
            with closing(SqliteBus(state / "bus")) as bus:
                loop = Loop(
                    bus, lambda: DuckLake(state / "lake"), self._project.sources,
                    lambda lake, bus: deploy(self._project, lake, bus), upkeep_every_secs=None,
                )  # fmt: skip
                for number in range(SEASON_COMMITS):  # by turns: a commit costs as much as it has sources
                    name = names[number % len(names)]
                    at = number // len(names) * SEASON_MESSAGES
                    some = (self._supply[name] * SEASON_MESSAGES)[-SEASON_MESSAGES:]
                    batch = batch_of(some, f"{SEASON}-{name}", at)
                    bus.publish(self._project.source(name).topic, batch, once=Once(SEASON, at))
                    loop.drain()
                loop.close()

        ended = Child(act).wait(PATIENCE_SECS)
        if ended.end != "ended":
            outcome.surprises.append(f"the season: {ended.end} {ended.why}")
        turns = Counter(names[number % len(names)] for number in range(SEASON_COMMITS))
        self._seasoning = {name: turns[name] * SEASON_MESSAGES for name in names}
        state.rename(self._season)

    def _folder(self, source: str) -> Path | None:
        """Return where files of a source land in the copy; None where none of JSON lines do, or they do elsewhere."""
        each = self._project.sources[source]
        if not is_watched(each) or each.message_format not in {"json", "ndjson"} or each.spec.ingestion.tables:
            return None
        folder = local_folder(self._project.root, bound(each.spec.ingestion.location or "", self._project.bindings))
        if folder is None or not folder.is_relative_to(self._project.root.resolve()):
            return None
        return folder if all(b"\n" not in sent.payload for sent in self._supply.get(source, ())) else None


def _with_push(spec: Any, source: str, *, on: bool) -> Any:
    """Return what a source's file says, with no push but one of ours, to a topic that nobody reads."""
    push = (PushSpec(name=PUSH, topic=f"{PUSH}.{source}"),) if on else ()
    return spec.model_copy(update={"serving": spec.serving.model_copy(update={"push": push})})
