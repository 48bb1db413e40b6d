"""The job on dlt: files into DuckDB, merged on the key; as Arrow tables, which dlt's normalizer leaves alone."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dlt
import order_lines
import pyarrow as pa
from dlt.sources.filesystem import filesystem

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS_PER_TABLE = 50_000


def main() -> None:
    """Load what is new in the folder."""
    source, output, schema, _ = sys.argv[1:]
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    judged = order_lines.judge(Path(schema))
    aside = dlt.mark.make_hints(table_name="rejected", write_disposition="append", primary_key="", columns={})

    @dlt.transformer(
        name="orders",
        primary_key="order_id",
        write_disposition={"disposition": "merge", "strategy": "delete-insert"},
        columns={"updated_at": {"dedup_sort": "desc"}},
    )
    def orders(files: list[Any]) -> Iterator[Any]:
        for file in files:
            with file.open("rb") as lines:
                while chunk := list(islice(lines, ROWS_PER_TABLE)):
                    judgements = [judged(line) for line in chunk]
                    yield flat([order for order in judgements if order is not None])
                    rejected = [line for line, order in zip(chunk, judgements, strict=True) if order is None]
                    if rejected:
                        yield dlt.mark.with_hints(pa.table({"line": rejected}), aside, create_table_variant=True)

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
