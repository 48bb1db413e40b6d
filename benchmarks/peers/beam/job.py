"""The job on Apache Beam's DirectRunner: a batch pipeline, a process a core."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import apache_beam as beam
import order_lines
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io import fileio
from apache_beam.options.pipeline_options import PipelineOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS_PER_GROUP = 50_000


class Judge(beam.DoFn):
    """Keys and versions of valid lines; the others go to the output `rejected`."""

    def __init__(self, schema: str) -> None:
        self._schema = schema

    def setup(self) -> None:  # noqa: D102
        self._judged = order_lines.judge(Path(self._schema))

    def process(self, line: str) -> Iterator[Any]:  # noqa: D102
        order = self._judged(line)
        if order is None:
            yield beam.pvalue.TaggedOutput("rejected", line)
        else:
            yield order["order_id"], (order["updated_at"], line)


class ParquetSink(fileio.FileSink):
    """One Parquet file of orders."""

    def open(self, fh: BinaryIO) -> None:  # noqa: D102
        self._file = fh
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[dict[str, Any]] = []

    def write(self, record: dict[str, Any]) -> None:  # noqa: D102
        self._waiting.append(record)
        if len(self._waiting) >= ROWS_PER_GROUP:
            self._write()

    def flush(self) -> None:  # noqa: D102
        if self._waiting:
            self._write()
        if self._writer is not None:
            self._writer.close()

    def _write(self) -> None:
        table: pa.Table = order_lines.typed(self._waiting).drop_columns(["event_date"])
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._file, table.schema)
        self._writer.write_table(table)
        self._waiting = []


def main() -> None:
    """Run the pipeline to its end."""
    source, output, schema, workers = sys.argv[1:]
    options = PipelineOptions(
        runner="DirectRunner",
        direct_num_workers=int(workers),
        direct_running_mode="multi_processing",
        save_main_session=True,
    )
    with beam.Pipeline(options=options) as pipeline:
        judged = (
            pipeline
            | "lines" >> beam.io.ReadFromText(f"{source}/*.jsonl")
            | "judge" >> beam.ParDo(Judge(schema)).with_outputs("rejected", main="valid")
        )
        judged.rejected | "rejected" >> beam.io.WriteToText(f"{output}/rejected/lines", file_name_suffix=".jsonl")
        (
            judged.valid
            | "latest" >> beam.CombinePerKey(max)
            | "order" >> beam.Map(lambda each: orjson.loads(each[1][1]))
            | "orders"
            >> fileio.WriteToFiles(
                path=f"{output}/orders",
                destination=lambda order: order["ordered_at"][:10],
                sink=lambda _: ParquetSink(),
                file_naming=fileio.destination_prefix_naming(suffix=".parquet"),
                shards=int(workers),
            )
        )


if __name__ == "__main__":
    main()
