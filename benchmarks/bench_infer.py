"""Adding a source from a sample: rows a second from file to proven files, the whole process.

    python benchmarks/bench_infer.py --rows 100000 --json

The sample is orders of twelve fields, one of them nested, as JSON lines; `add --dry-run` reads it, infers, and holds
every row against the contract. CPU seconds are those of the process, its start included.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from shop_events import messages

SEED = 5
SINCE = "2026-01-01 00:00:00"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-infer-") as folder:
        found = measured(Path(folder), options.rows)
    if options.json:
        print(json.dumps(found))
        return
    text = "{rows:,} rows in {secs} s, {cpu_secs} s of CPU, {peak_mib} MiB"
    print(text.format(**found))


def measured(folder: Path, rows: int) -> dict[str, Any]:
    """Return the figures of one run over a sample of so many rows, all of them valid."""
    (folder / "headrace.yaml").write_text("name: bench\n")
    sample = folder / "orders.jsonl"
    with sample.open("wb") as file:
        for batch in messages(rows, seed=SEED, since=SINCE, spacing_micros=100_000, duplicates=0.0, invalid=0.0):
            file.writelines(payload + b"\n" for payload in batch.column("payload").to_pylist())
    command = [sys.executable, "-m", "headrace", "add", "orders", "--from", str(sample), "--rows", "0", "--dry-run",
               "--json", "--project", str(folder)]  # fmt: skip
    before = os.times()
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, check=True)
    secs = time.perf_counter() - started
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    document = json.loads(done.stdout)
    assert document["rows"]["kept"] == document["rows"]["read"] == rows, document["rows"]
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {"rows": rows, "bytes": sample.stat().st_size, "secs": round(secs, 2), "cpu_secs": round(cpu, 2),
            "rows_per_sec": round(rows / secs), "peak_mib": round(peak)}  # fmt: skip


if __name__ == "__main__":
    main()
