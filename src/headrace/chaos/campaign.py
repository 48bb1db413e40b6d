"""A campaign: many schedules over copies of a project, and what came of them. The project itself is never touched."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.chaos.disk import NEEDS_SHIM, compiled
from headrace.chaos.schedule import doers
from headrace.chaos.server import COPY, write_supply
from headrace.config.locations import bound, local_folder
from headrace.connectors.batch_file.places import STATE_FOLDER
from headrace.errors import InternalError
from headrace.fault_points import POINTS
from headrace.lake import threads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headrace.chaos.supply import Supply
    from headrace.config.project import Project

LEFT_OUT = (STATE_FOLDER, ".git", ".venv", "venv", "node_modules", "__pycache__", "target", "logs")
LOG = "log"
UNBUILT_SHOWN = 10


@dataclass
class Report:
    """What came of all schedules: `lost`, `duplicated` messages; `unbalanced`, `unequal`, `stuck` schedules."""

    schedules: int = 0
    lost: int = 0
    duplicated: int = 0
    unbalanced: int = 0
    unequal: int = 0
    stuck: int = 0
    failing_seeds: list[int] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    messages: int = 0
    lives: int = 0
    struck: int = 0
    power_cuts: int = 0
    builds: int = 0
    unbuilt: list[str] = field(default_factory=list)
    points_passed: int = 0
    points: int = sum(bool(doers(point)) for point in POINTS)
    surprises: list[str] = field(default_factory=list)
    left_out: list[dict[str, str]] = field(default_factory=list)
    seconds: float = 0.0
    passed: set[str] = field(default_factory=set)

    def add(self, outcome: dict[str, Any]) -> None:
        """Count what came of one schedule."""
        self.schedules += 1
        for name in ("lost", "duplicated", "messages", "lives", "power_cuts"):
            setattr(self, name, getattr(self, name) + outcome[name])
        for name in ("unbalanced", "unequal", "stuck"):
            setattr(self, name, getattr(self, name) + bool(outcome[name]))
        self.struck += len(outcome["struck"])
        self.builds += outcome["built"]
        self.unbuilt = sorted({*self.unbuilt, *outcome["unbuilt"]})[:UNBUILT_SHOWN]
        self.passed |= set(outcome["passed"])
        self.points_passed = len(self.passed)
        self.surprises += [f"seed {outcome['seed']}: {each}" for each in outcome["surprises"]]
        if outcome["failed"]:
            seed = outcome["seed"]
            self.failing_seeds = sorted([*self.failing_seeds, seed])
            shown = {name: outcome[name] for name in ("seed", "why", "struck", "schedule")}
            self.failures.append({**shown, "replay": f"headrace chaos --seed {seed} --schedules 1"})

    def document(self) -> dict[str, Any]:
        """Return the documented shape of `headrace chaos --json`."""
        return {name: value for name, value in self.__dict__.items() if name != "passed"}


def run(
    project: Project,
    supply: Supply,
    seeds: Sequence[int],
    *,
    at_once: int = 1,
    told: Callable[[Report], None] = lambda _: None,
    python_path: str | None = None,
    until_failing: bool = False,
) -> Report:
    """Live the schedules of these seeds over a copy of a project, so many side by side; `told` hears after each.

    All that is written lies in a temporary folder, which is removed in the end. `python_path` lets the lives run other
    code than ours. `until_failing`: it ends once a schedule has failed.
    """
    began = time.monotonic()
    report = Report()
    with tempfile.TemporaryDirectory(prefix="headrace-chaos-") as place:
        folder = Path(place).resolve()
        shim = compiled(folder)
        if shim.library is None:
            report.left_out = [{"kind": kind, "why": shim.why} for kind in NEEDS_SHIM]
        environ = os.environ | dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", threads.VARIABLE), "1")
        if shim.library is not None:
            environ["LD_PRELOAD"] = " ".join(filter(None, (str(shim.library), os.environ.get("LD_PRELOAD", ""))))
        if python_path is not None:
            environ["PYTHONPATH"] = python_path
        waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        for seed in seeds:
            waiting.put(seed)
        turn = threading.Lock()
        troubles: list[Exception] = []

        def work(number: int) -> None:
            try:
                with Server(project, supply, folder / f"ground-{number}", environ) as server:
                    while not troubles and not (until_failing and report.failing_seeds):
                        try:
                            seed = waiting.get_nowait()
                        except queue.Empty:
                            return
                        outcome = server.live(seed)
                        with turn:
                            report.add(outcome)
                            report.seconds = round(time.monotonic() - began, 3)
                            told(report)
            except Exception as trouble:  # noqa: BLE001 - the edge of this thread: who asked for the campaign is told
                troubles.append(trouble)

        workers = [threading.Thread(target=work, args=(number,)) for number in range(min(at_once, len(seeds)))]
        for worker in workers:
            worker.start()
        try:
            for worker in workers:
                worker.join()
        except BaseException:
            troubles.append(InternalError("interrupted"))
            for server in list(Server.running):
                server.end()
            raise
        if troubles:
            raise troubles[0]
    report.failures.sort(key=lambda failure: failure["seed"])
    return report


class Server:
    """A process that lives schedules one after the other over a copy of its own; see `server`."""

    running: set[Server] = set()  # noqa: RUF012 - all of this process

    def __init__(self, project: Project, supply: Supply, folder: Path, environ: dict[str, str]) -> None:
        folder.mkdir()
        _copy(project, folder / COPY)
        write_supply(folder, supply)
        self._log = folder / LOG
        with self._log.open("w") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own Python
                [sys.executable, "-P", "-m", "headrace.chaos.server", str(folder), project.environment],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environ,
                start_new_session=True,  # Ctrl-C is for the parent, which then ends this
            )  # fmt: skip
        self.running.add(self)

    def live(self, seed: int) -> dict[str, Any]:
        """Live a schedule through. Raises `InternalError` where the process ends over it."""
        assert self._process.stdin is not None  # noqa: S101 - both are pipes
        assert self._process.stdout is not None  # noqa: S101
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{seed}\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            last = self._log.read_text(errors="replace")[-2000:]
            raise InternalError(f"chaos itself ended with code {code} over seed {seed}: {last}")
        outcome: dict[str, Any] = json.loads(line)
        return outcome

    def end(self) -> None:
        """End it, and what it has forked."""
        self._process.terminate()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
        self._process.wait()
        self.running.discard(self)


def _copy(project: Project, into: Path) -> None:
    """Copy the user's files: not their state, nor the files that landed, of which chaos writes its own."""
    landed = {
        folder
        for source in project.sources.values()
        if (location := source.spec.ingestion.location)
        and (folder := local_folder(project.root, bound(location, project.bindings))) is not None
    }

    def left_out(place: str, names: list[str]) -> set[str]:
        here = Path(place)
        return {name for name in names if name in LEFT_OUT or (here / name).resolve() in landed}

    shutil.copytree(project.root, into, symlinks=True, ignore=left_out)
