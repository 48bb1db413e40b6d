"""The job on bytewax: a process a core, recovery on, the greatest version of each key once the input has ended."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from operator import itemgetter
from pathlib import Path
from typing import Any

import bytewax.operators as op
import order_lines
import orjson
from bytewax.connectors.files import DirSink, DirSource
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition

ROWS_PER_FILE = 200_000


def flow() -> Dataflow:
    """Return the dataflow, over the folders that the environment names."""
    source, output, schema = (Path(os.environ[name]) for name in ("JOB_INPUT", "JOB_OUTPUT", "JOB_SCHEMA"))
    judged = order_lines.judge(schema)

    def judge(lines: list[str]) -> list[tuple[str, str, str]]:
        orders = ((judged(line), line) for line in lines)
        return [(order["order_id"], order["updated_at"], line) if order else ("", "", line) for order, line in orders]

    dataflow = Dataflow("orders")
    lines = op.input("lines", dataflow, DirSource(source, "*.jsonl", batch_size=1_000))
    parted = op.branch("valid", op.flat_map_batch("judge", lines, judge), lambda each: bool(each[0]))
    rejected = op.map("line", parted.falses, lambda each: ("rejected", each[2]))
    op.output("rejected", rejected, DirSink(output / "rejected", file_count=1))
    keyed = op.map("key", parted.trues, lambda each: (each[0], (each[1], each[2])))
    op.output("orders", op.max_final("latest", keyed, itemgetter(0)), Orders(output / "orders"))
    return dataflow


class Orders(DynamicSink[tuple[str, tuple[str, str]]]):
    """Parquet in a folder a day."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def build(self, step_id: str, worker_index: int, worker_count: int) -> OrdersOfWorker:  # noqa: ARG002, D102
        return OrdersOfWorker(self._folder, worker_index)


class OrdersOfWorker(StatelessSinkPartition[tuple[str, tuple[str, str]]]):
    """What one worker writes."""

    def __init__(self, folder: Path, worker: int) -> None:
        self._folder = folder
        self._worker = worker
        self._files = 0
        self._waiting: list[dict[str, Any]] = []

    def write_batch(self, items: list[tuple[str, tuple[str, str]]]) -> None:  # noqa: D102
        self._waiting += [orjson.loads(line) for _, (_, line) in items]
        if len(self._waiting) >= ROWS_PER_FILE:
            self._write()

    def close(self) -> None:  # noqa: D102
        if self._waiting:
            self._write()

    def _write(self) -> None:
        order_lines.write(order_lines.typed(self._waiting), self._folder, f"worker-{self._worker}-{self._files}")
        self._files += 1
        self._waiting = []


def main() -> None:
    """Start a process a core, as `bytewax.run` is started in a cluster, and wait for them."""
    source, output, schema, workers = sys.argv[1:]
    state = Path(output) / "state"
    (Path(output) / "rejected").mkdir(parents=True, exist_ok=True)
    if not state.exists():  # else it goes on from what is there
        state.mkdir()
        subprocess.run([sys.executable, "-m", "bytewax.recovery", str(state), workers], check=True)
    addresses = ";".join(f"127.0.0.1:{port}" for port in free_ports(int(workers)))
    environment = {**os.environ, "JOB_INPUT": source, "JOB_OUTPUT": output, "JOB_SCHEMA": schema}
    command = [sys.executable, "-m", "bytewax.run", "job:flow", "-r", str(state), "-s", "10", "-b", "0"]
    if int(workers) > 1:
        processes = [
            subprocess.Popen([*command, "-i", str(number), "-a", addresses], cwd=Path(__file__).parent, env=environment)
            for number in range(int(workers))
        ]
    else:
        processes = [subprocess.Popen(command, cwd=Path(__file__).parent, env=environment)]
    if [code for code in [process.wait() for process in processes] if code]:
        raise SystemExit("a worker failed")


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


if __name__ == "__main__":
    main()
