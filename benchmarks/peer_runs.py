"""The peers: what each folder under `peers/` says, its environment, and one run of the job on it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import process_tree
from peer_answer import Answer, answer_of, checksum

if TYPE_CHECKING:
    from collections.abc import Callable

    from peer_input import Job

HERE = Path(__file__).parent
PEERS = HERE / "peers"
SHARED = PEERS / "shared"
OURS = "headrace"
READY = "installed"


class NotRunError(Exception):
    """The peer cannot be run here, and why."""


@dataclass(frozen=True)
class Peer:
    """What `peer.toml` says of a peer; its job is `job.py` beside it, and its packages `requirements.txt`.

    `relation` is SQL for the rows in `{output}`, and `rejected` a query for how many lines were set aside.
    """

    name: str
    title: str
    settings: str
    durability: str
    restart: str
    lacks: str
    package: str = ""
    requires: str = ""
    relation: str = ""
    rejected: str = ""
    attach: str = ""
    partitioned: bool = True

    @property
    def requirements(self) -> Path:
        """The exact versions of all packages."""
        return PEERS / self.name / "requirements.txt"

    def version(self) -> str:
        """Return the version that is pinned; of Headrace, the one that runs."""
        if self.name == OURS:
            from headrace import __version__

            return __version__
        pins = dict(line.split("==") for line in self.requirements.read_text().split())
        return pins[self.package]


@dataclass(frozen=True)
class Run:
    """One run: what it cost, what it left, and the costs of its parts."""

    cost: process_tree.Cost
    answer: Answer
    parts: dict[str, process_tree.Cost] = field(default_factory=dict)


def peers() -> dict[str, Peer]:
    """Return all peers by name, Headrace first."""
    files = sorted(PEERS.glob("*/peer.toml"), key=lambda file: (file.parent.name != OURS, file.parent.name))
    return {file.parent.name: Peer(file.parent.name, **tomllib.loads(file.read_text())) for file in files}


def environment_of(peer: Peer, cache: Path, say: Callable[[str], None]) -> Path:
    """Return the Python of a peer's environment, which is made where it is not there yet.

    Raises `NotRunError` where the peer needs what this machine does not have.
    """
    if peer.requires and shutil.which(peer.requires) is None:
        raise NotRunError(f"no {peer.requires.capitalize()} on this machine")
    if peer.name == OURS:
        return Path(sys.executable)
    digest = hashlib.sha256(peer.requirements.read_bytes()).hexdigest()[:12]
    folder = cache / f"{peer.name}-{sys.version_info.major}.{sys.version_info.minor}-{digest}"
    python = folder / "bin" / "python"
    if (folder / READY).exists():
        return python
    say(f"{peer.title}: installing")
    shutil.rmtree(folder, ignore_errors=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        for command in ([sys.executable, "-m", "venv", str(folder)], [*pip, "-r", str(peer.requirements)]):
            subprocess.run(command, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as problem:
        said = (problem.stderr or problem.stdout).strip().splitlines()
        raise NotRunError(f"could not be installed: {said[-1] if said else problem}") from problem
    (folder / READY).touch()
    return python


def run(peer: Peer, python: Path, job: Job, folder: Path, cores: int, timeout_secs: float) -> Run:
    """Run the job once, in a folder that is not there yet, and look at what is left.

    Raises `process_tree.FailedError` where it does not end well.
    """
    folder.mkdir()
    if peer.name == OURS:
        return _run_ours(job, folder, timeout_secs)
    output = folder / "output"
    environment = {
        **os.environ,
        "PYTHONPATH": str(SHARED),
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    command = [str(each) for each in (python, PEERS / peer.name / "job.py", job.folder, output, job.schema, cores)]
    cost = process_tree.run(command, folder / "log", environment, timeout_secs, folder)
    relation, rejected, attach = (
        text.replace("{output}", str(output)) for text in (peer.relation, peer.rejected, peer.attach)
    )
    return Run(cost, answer_of(relation, rejected, "event_date" if peer.partitioned else None, attach))


def _run_ours(job: Job, folder: Path, timeout_secs: float) -> Run:
    """Publish into the bus, which is durable then; take what waits to silver; each a process of its own."""
    root = _project(folder / "project", job)
    files = [str(file) for file in sorted(job.folder.iterdir())]
    publish = [sys.executable, "-m", "headrace", "publish", "orders", *files, "--project", str(root)]
    drain = [sys.executable, str(HERE / "bench_tick.py"), "--drain", str(root)]
    published = process_tree.run(publish, folder / "publish.log", os.environ, timeout_secs, folder)
    drained = process_tree.run(drain, folder / "drain.log", os.environ, timeout_secs, folder)
    parts = {"file to durable topic": published, "topic to committed silver": drained}
    return Run(published.then(drained), _answer_of_lake(root), parts)


def _project(root: Path, job: Job) -> Path:
    (root / "connectors").mkdir(parents=True)
    (root / "schemas").mkdir()
    (root / "headrace.yaml").write_text("name: peers\n")
    (root / "schemas" / "orders.json").write_bytes(job.schema.read_bytes())
    (root / "connectors" / "orders.yaml").write_text(
        "source_id: orders\n"
        "ingestion: {pattern: event_streaming, message_format: json}\n"
        "schema: {file: schemas/orders.json, validation: strict}\n"
        "event_time: ordered_at\n"
        "processing:\n"
        "  bronze_to_silver:\n"
        "    - deduplication: {key: [order_id], version_by: updated_at}\n"
    )
    return root


def _answer_of_lake(root: Path) -> Answer:
    """Return the answer in silver and quarantine; the ledger must balance, and tell the same."""
    from headrace.config.project import load_project
    from headrace.lake.reader import open_reader
    from headrace.runtime.views.status import status

    project = load_project(root)
    with open_reader(project.state / "lake") as lake:
        if lake is None:
            raise process_tree.FailedError("there is no lake")
        rows = "(SELECT * EXCLUDE address, unnest(address) FROM lake.silver.orders)"
        found = lake.rows(checksum(rows, "_event_date"))[0]
        rejected = lake.rows("SELECT count(*) AS lines FROM lake.ops.quarantine")[0]["lines"]
    told = status(project)["orders"]
    if not told.balanced or (told.ledger["silver"], told.ledger["quarantined"]) != (found["row_count"], rejected):
        raise process_tree.FailedError(f"the ledger says {told.ledger}")
    return Answer(found["row_count"], rejected, found["checksum"], found["misplaced"])
