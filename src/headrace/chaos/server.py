"""`python -m headrace.chaos.server FOLDER ENVIRONMENT`: imports everything once, opens nothing, and forks every life.

It reads a seed a line from stdin, and answers each with what came of its schedule, as a line of JSON; it ends with its
stdin. The copy of the project and what is sent lie in the folder.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa

from headrace.chaos.supply import Sent, Supply
from headrace.chaos.trial import Ground
from headrace.config.project import load_project

COPY, SUPPLY = "project", "supply.arrow"
_SCHEMA = pa.schema(
    [("source", pa.string()), ("payload", pa.binary()), ("attributes", pa.map_(pa.string(), pa.string()))]
)


def write_supply(folder: Path, supply: Supply) -> None:
    """Put down what there is to send."""
    rows = [
        {"source": source, "payload": each.payload, "attributes": list(each.attributes)}
        for source, sent in supply.items()
        for each in sent
    ]
    with pa.OSFile(str(folder / SUPPLY), "wb") as sink, pa.ipc.new_stream(sink, _SCHEMA) as writer:
        writer.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA))


def read_supply(folder: Path) -> Supply:
    """Return what there is to send."""
    supply: Supply = {}
    for row in pa.ipc.open_stream((folder / SUPPLY).read_bytes()).read_all().to_pylist():
        supply.setdefault(row["source"], []).append(Sent(row["payload"], tuple(row["attributes"])))
    return supply


def serve(folder: Path, environment: str) -> None:
    """Live schedules until nobody asks for another."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a life prints, it prints to the log
    ground = Ground(load_project(folder / COPY, environment), read_supply(folder))
    gc.freeze()  # pages that no collection touches stay shared with the children
    for line in sys.stdin:
        outcome = ground.live(int(line))
        document = asdict(outcome) | {"failed": outcome.failed, "passed": ground.passed.counts()}
        answers.write(json.dumps(document, default=str) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), sys.argv[2])
