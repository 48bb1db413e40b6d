"""The enrich stage: events a second that are looked up in reference data, batch by batch, on one thread.

    python benchmarks/bench_enrich.py --events 1000000 --rows 100000 --json

Keys are texts as orders have them, in no order, 1% of them misses; the lookup's index is built once, as for a version.
`two` looks up two fields, a text and a number, together. What came out is checked against the generator.
"""

from __future__ import annotations

import argparse
import json
import resource
import time

import numpy as np
import pyarrow as pa

from headrace.stages.enrich import Enrich, Enrichment

SEED = 11
TEXT, WHOLE = pa.string(), pa.int64()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rng = np.random.default_rng(SEED)
    numbers = rng.integers(0, int(options.rows * 1.01), options.events)
    misses = int((numbers >= options.rows).sum())
    found = {
        name: run(name, numbers, misses, options.rows, options.batch) | {"rows_of_lookup": options.rows}
        for name in ("one", "two")
    }
    if options.json:
        print(json.dumps(found))
        return
    for name, each in found.items():
        print(f"{name}: {each['events_per_sec']:,.0f} events/s, index {each['index_secs'] * 1000:.0f} ms")


def run(name: str, numbers: np.ndarray, misses: int, rows: int, batch_rows: int) -> dict[str, float]:
    """Return the figures of one kind of key."""
    texts = pa.array([f"sku-{number:08}" for number in numbers.tolist()])
    shops = pa.array(numbers % 50, WHOLE)
    table = pa.table({
        "sku": [f"sku-{number:08}" for number in range(rows)],
        "shop": pa.array(np.arange(rows) % 50, WHOLE),
        "name": [f"product {number}" for number in range(rows)],
        "price": pa.array(np.arange(rows) / 100),
        "stock": pa.array(np.arange(rows), WHOLE),
    })  # fmt: skip
    on = (("sku", "sku", TEXT),) if name == "one" else (("sku", "sku", TEXT), ("shop", "shop", WHOLE))
    added = tuple(table.schema.field(column) for column in ("name", "price", "stock"))
    schema = pa.schema([("sku", TEXT), ("shop", WHOLE), ("_row", pa.int32())])
    started = time.perf_counter()
    stage = Enrich(Enrichment("products", on=on, added=added, prefix="product_"), schema, table)
    stage(pa.RecordBatch.from_pylist([], schema=schema))
    index_secs = time.perf_counter() - started
    rownumbers = pa.array(np.arange(len(numbers)) % batch_rows, pa.int32())
    whole = pa.record_batch([texts, shops, rownumbers], schema=schema)
    missed = 0
    started = time.perf_counter()
    for start in range(0, len(whole), batch_rows):
        missed += len(stage(whole.slice(start, batch_rows)).warned)
    seconds = time.perf_counter() - started
    if missed != misses:
        raise SystemExit(f"expected {misses} misses, found {missed}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "events_per_sec": len(numbers) / seconds,
        "seconds": seconds,
        "index_secs": index_secs,
        "peak_memory_mib": peak,
    }


if __name__ == "__main__":
    main()
