"""The job on pathway: a folder of lines, judged by a batched UDF; the greatest version of each key."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import order_lines
import orjson
import pathway as pw

ROWS_PER_FILE = 200_000


def main() -> None:
    """Start a thread a core, as `pathway spawn` does in production."""
    source, output, schema, workers = sys.argv[1:]
    environment = {**os.environ, "JOB_INPUT": source, "JOB_OUTPUT": output, "JOB_SCHEMA": schema}
    spawn = [str(Path(sys.executable).parent / "pathway"), "spawn", "--processes", "1", "--threads", workers]
    subprocess.run([*spawn, sys.executable, __file__], env=environment, check=True)


class Parquet(pw.io.python.ConnectorObserver):
    """Rows as they are when the input has ended, in a folder a day."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._latest: dict[str, str] = {}

    def on_change(self, key: Any, row: dict[str, Any], time: int, is_addition: bool) -> None:  # noqa: ARG002, D102
        version_and_line = row["latest"]
        if is_addition:
            self._latest[row["order_id"]] = version_and_line[1]
        elif self._latest.get(row["order_id"]) == version_and_line[1]:
            del self._latest[row["order_id"]]

    def on_end(self) -> None:  # noqa: D102
        lines = list(self._latest.values())
        for first in range(0, len(lines), ROWS_PER_FILE):
            orders = [orjson.loads(line) for line in lines[first : first + ROWS_PER_FILE]]
            order_lines.write(order_lines.typed(orders), self._folder, f"{os.getpid()}-{first}")


def flow() -> None:
    """Run the dataflow over the folders that the environment names."""
    source, output, schema = (Path(os.environ[name]) for name in ("JOB_INPUT", "JOB_OUTPUT", "JOB_SCHEMA"))
    judged = order_lines.judge(schema)

    @pw.udf(max_batch_size=1_000, deterministic=True)
    def judge(lines: list[str]) -> list[tuple[str, str]]:
        orders = map(judged, lines)
        return [(order["order_id"], order["updated_at"]) if order else ("", "") for order in orders]

    lines = pw.io.plaintext.read(str(source), mode="static")
    parted = lines.select(line=pw.this.data, judged=judge(pw.this.data))
    parted = parted.select(pw.this.line, order_id=pw.this.judged[0], version=pw.this.judged[1])
    rejected = parted.filter(pw.this.order_id == "").select(pw.this.line)
    pw.io.jsonlines.write(rejected, output / "rejected.jsonl")
    latest = (
        parted.filter(pw.this.order_id != "")
        .groupby(pw.this.order_id)
        .reduce(pw.this.order_id, latest=pw.reducers.max(pw.make_tuple(pw.this.version, pw.this.line)))
    )
    pw.io.python.write(latest, Parquet(output / "orders"))
    pw.run(
        monitoring_level=pw.MonitoringLevel.NONE,
        persistence_config=pw.persistence.Config(
            pw.persistence.Backend.filesystem(str(output / "state")), snapshot_interval_ms=10_000
        ),
    )


if __name__ == "__main__":
    if "JOB_INPUT" in os.environ:
        flow()
    else:
        main()
