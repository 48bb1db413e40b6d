"""The job on dlt: files into DuckDB, merged on the key; as Arrow tables, which dlt's normalizer leaves alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dlt
import order_lines
from dlt.sources.filesystem import filesystem

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

ROWS_PER_TABLE = 50_000


def main() -> None:
    """Load what is new in the folder."""
    source, output, schema, _ = sys.argv[1:]
    folder = Path(output)
    folder.mkdir(parents=True)
    judged = order_lines.judge(Path(schema))

    @dlt.transformer(
        name="orders",
        primary_key="order_id",
        write_disposition={"disposition": "merge", "strategy": "delete-insert"},
        columns={"updated_at": {"dedup_sort": "desc"}},
    )
    def orders(files: list[Any]) -> Iterator[pa.Table]:
        with (folder / "rejected.jsonl").open("ab") as rejected:
            for file in files:
                with file.open("rb") as lines:
                    kept = []
                    for line in lines:
                        order = judged(line)
                        if order is None:
                            rejected.write(line)
                        else:
                            kept.append(order)
                        if len(kept) >= ROWS_PER_TABLE:
                            yield flat(kept)
                            kept = []
                    if kept:
                        yield flat(kept)

    pipeline = dlt.pipeline(
        "orders",
        pipelines_dir=str(folder / "state"),
        dataset_name="shop",
        destination=dlt.destinations.duckdb(str(folder / "orders.duckdb")),
    )
    files = filesystem(
        Path(source).resolve().as_uri(),
        file_glob="*.jsonl",
        incremental=dlt.sources.incremental("modification_date"),
    )
    print(pipeline.run(files | orders))


def flat(orders: list[dict[str, Any]]) -> pa.Table:
    """Return orders as columns, the address as dlt names what is nested."""
    table = order_lines.typed(orders).drop_columns(["event_date"])
    address = table["address"].combine_chunks()
    table = table.drop_columns(["address"])
    for index in range(address.type.num_fields):
        table = table.append_column(f"address__{address.type.field(index).name}", address.field(index))
    return table


if __name__ == "__main__":
    main()
