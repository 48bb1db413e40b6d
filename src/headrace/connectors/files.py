"""Files as messages: one table names the formats, one function reads them all."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from headrace.connectors.byte_stream import COMPRESSIONS, ByteStream
from headrace.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pyarrow as pa

FORMATS = {  # format -> the suffixes that say so
    "ndjson": (".jsonl", ".ndjson"),
    "json": (".json",),
    "csv": (".csv",),
    "tsv": (".tsv",),
    "parquet": (".parquet", ".pq"),
}


def format_of(source: Path | BinaryIO, given: str | None = None) -> str:
    """Return the format given, or else what the suffix says; what is piped in is NDJSON.

    Raises `InputError` for a format or suffix that is none.
    """
    if given is not None:
        name = given.lower().removeprefix(".")
        name = {"jsonl": "ndjson"}.get(name, name)
        if name in FORMATS:
            return name
        near = difflib.get_close_matches(name, FORMATS, 1)
        fix = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(FORMATS)}"
        raise InputError(f"there is no format {given!r}", at="--format", fix=fix)
    if not isinstance(source, Path):
        return "ndjson"
    suffixes = [suffix.lower() for suffix in source.suffixes[-2:]]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    found = next((name for name, known in FORMATS.items() if suffixes and suffixes[-1] in known), None)
    if found is None:
        raise InputError(
            "the file's name does not say its format",
            at=str(source),
            fix=f"say it: --format {' or '.join(FORMATS)} (compressed as {', '.join(COMPRESSIONS)} or not)",
        )
    return found


def read_messages(
    source: Path | BinaryIO,
    *,
    format: str | None = None,  # noqa: A002 (the word that users type)
    attributes: Mapping[str, str] | None = None,
    delimiter: str | None = None,
    quote: str = '"',
    escape: str | None = None,
    columns: Sequence[str] = (),
    note: Callable[[str], None] = lambda _: None,
) -> Iterator[pa.RecordBatch]:
    """Yield a file's messages as `Bus.publish` takes them, in memory bounded by a batch.

    Nothing is dropped and payloads are the bytes of the file: a line, a CSV record, an element of a JSON array; or the
    JSON text of a Parquet row. CSV adds the attributes `content-type` and `csv-header`; the ones given go over them.
    `delimiter`, `quote`, `escape` and `columns` (of files without a header) are those of CSV. `note` is told what a
    user should know. Raises `InputError` where the file cannot be read, is damaged or ends early, after yielding what
    came before.
    """
    kind = format_of(source, format)
    extra = dict(attributes or {})
    if isinstance(source, Path) and not source.is_file() and not source.is_fifo():
        what = "is a folder" if source.is_dir() else "does not exist"
        raise InputError(f"the file {what}", at=str(source), fix=f"see what is there: ls {source.parent}")
    if kind == "parquet":
        from headrace.connectors.parquet_file import read_parquet

        if not isinstance(source, Path) or source.suffix.lower() in COMPRESSIONS:
            raise InputError(
                "Parquet is read from its end, which a pipe or a compressed file has not",
                at=str(source) if isinstance(source, Path) else "stdin",
                fix="publish the plain .parquet file (its columns are compressed within)",
            )
        yield from read_parquet(source, extra, note)
        return
    stream = ByteStream(source)
    if kind == "ndjson":
        from headrace.connectors.jsonl import read_lines

        yield from read_lines(stream, stream.blocks(), extra)
    elif kind == "json":
        from headrace.connectors.json_documents import read_json

        yield from read_json(stream, stream.blocks(), extra)
    else:
        from headrace.connectors.csv_file import read_csv

        cells = delimiter or ("\t" if kind == "tsv" else ",")
        yield from read_csv(
            stream, stream.blocks(), extra, delimiter=cells, quote=quote, escape=escape, columns=columns
        )
