"""Files as messages: one table names the formats, one function reads them all."""

from __future__ import annotations

import contextlib
import difflib
import itertools
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from headrace.connectors import archive
from headrace.connectors.byte_stream import COMPRESSIONS, UNBOUNDED, Bounds, ByteStream
from headrace.connectors.csv_dialect import NOTHING_SAID, Said, dialect_of, recoded
from headrace.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pyarrow as pa

FORMATS = {  # format -> the suffixes that say so
    "ndjson": (".jsonl", ".ndjson"),
    "json": (".json",),
    "csv": (".csv",),
    "tsv": (".tsv", ".tab"),
    "parquet": (".parquet", ".pq"),
    "avro": (".avro",),
}
TAR = frozenset({".tar", ".tgz", ".tbz2", ".txz"})
MEMBER_ATTRIBUTE = "file-member"
"""The message attribute that names the file within an archive."""


def format_of(source: Path | BinaryIO | str, given: str | None = None) -> str:
    """Return the format given, or else what the suffix of a name says; what is piped in is NDJSON.

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
    if not isinstance(source, (Path, str)):
        return "ndjson"
    if isinstance(source, Path) and source.is_dir():
        raise InputError("this is a folder", at=str(source), fix="name a file in it")
    suffixes = [suffix.lower() for suffix in Path(source).suffixes[-2:]]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    found = next((name for name, known in FORMATS.items() if suffixes and suffixes[-1] in known), None)
    if found is None and TAR & set(suffixes):
        raise InputError("a tar archive is not read", at=str(source), fix="unpack it, or make a zip of it")
    if found is None:
        raise InputError(
            "the file's name does not say its format",
            at=str(source),
            fix=f"say it: --format {' or '.join(FORMATS)} (compressed as {', '.join(COMPRESSIONS)} or not)",
        )
    return found


def says_cells(name: str) -> bool:
    """Say whether a file's name says that it is CSV or TSV, compressed or not."""
    name = name.lower()
    for suffix in COMPRESSIONS:
        name = name.removesuffix(suffix)
    return name.endswith((*FORMATS["csv"], *FORMATS["tsv"]))


def read_messages(
    source: Path | BinaryIO,
    *,
    name: str = "",
    format: str | None = None,  # noqa: A002 (the word that users type)
    compression: str | None = None,
    attributes: Mapping[str, str] | None = None,
    usual: str = "",
    csv: Said = NOTHING_SAID,
    bounds: Bounds = UNBOUNDED,
    note: Callable[[str], None] = lambda _: None,
) -> Iterator[pa.RecordBatch]:
    """Yield a file's messages as `Bus.publish` takes them, in memory bounded by a batch; the same file, the same ones.

    Nothing is dropped and payloads are the bytes of the file: a line, a CSV record, an element of a JSON array; or the
    JSON text of a Parquet row or Avro record. What is opened already has a `name` to know it by. CSV adds the
    attributes `content-type`, `csv-header` and, where it is not as `csv` says, `csv-dialect`; its text becomes UTF-8. A
    zip archive gives the messages of its members, in their order, with the attribute MEMBER_ATTRIBUTE. The attributes
    given go over all others. `usual` is what the source's messages are where nothing says otherwise: in `csv`, those of
    another format carry `content-type`. `compression` (gzip, zstd, bz2, zip, or empty: none) is else known by name and
    first bytes. `note` is told what a user should know. Raises `InputError` where the file cannot be read, is damaged
    or ends early, or unfolds beyond its `bounds`, after yielding what came before.
    """
    extra = dict(attributes or {})
    if isinstance(source, Path):
        if not source.is_file() and not source.is_fifo():
            what = "is a folder" if source.is_dir() else "does not exist"
            format_of(source, format)
            raise InputError(f"the file {what}", at=str(source), fix=f"see what is there: ls {source.parent}")
        name = name or str(source)
    if _is_archive(source, name, compression):
        with source.open("rb") if isinstance(source, Path) else _left_open(source) as file:
            for member in archive.members(file, name, bounds):
                called = f"{name}/{member.path}"
                kind = format_of(called, format)
                own = {MEMBER_ATTRIBUTE: member.path, **_content_type(kind, usual), **extra}
                yield from _read(member.file, called, kind, None, own, csv, bounds, note)
        return
    kind = format_of(source if isinstance(source, Path) or not name else name, format)
    yield from _read(source, name, kind, compression, {**_content_type(kind, usual), **extra}, csv, bounds, note)


def _content_type(kind: str, usual: str) -> dict[str, str]:
    return {"content-type": "application/json"} if usual == "csv" and kind not in {"csv", "tsv"} else {}


def _read(
    source: Path | BinaryIO, name: str, kind: str, compression: str | None, attributes: Mapping[str, str], csv: Said,
    bounds: Bounds, note: Callable[[str], None],
) -> Iterator[pa.RecordBatch]:  # fmt: skip
    if kind in {"parquet", "avro"}:
        yield from _columnar(source, name, kind, compression, attributes, bounds, note)
        return
    stream = ByteStream(source, name=name, compression=compression, bounds=bounds)
    if kind == "ndjson":
        from headrace.connectors.jsonl import read_lines

        yield from read_lines(stream, stream.blocks(), attributes)
    elif kind == "json":
        from headrace.connectors.json_documents import read_json

        yield from read_json(stream, stream.blocks(), attributes)
    else:
        yield from _csv(stream, kind, attributes, csv, note)


def _csv(
    stream: ByteStream, kind: str, attributes: Mapping[str, str], said: Said, note: Callable[[str], None]
) -> Iterator[pa.RecordBatch]:
    from headrace.connectors.csv_file import read_csv

    blocks = stream.blocks()
    first = next(blocks, b"")
    second = next(blocks, b"") if stream.name != "stdin" else None
    dialect = dialect_of(first, said, whole=second == b"", usual="\t" if kind == "tsv" else None)
    if not dialect.header and not said.columns:
        raise InputError(
            "the first line of the CSV file is a row, not a header",
            at=f"{stream.name}:1",
            fix="write the names of the cells into a first line; or name them in the source's file: `csv: {columns: "
            "[...]}` under `ingestion:`, or say `header: true` there where this line names them",
        )
    if dialect.encoding != "utf-8":
        note(f"{stream.name}: read as {dialect.encoding}, since it is not UTF-8")
    blocks = itertools.chain([first, *([second] if second else [])], blocks)
    yield from read_csv(
        stream,
        blocks if dialect.encoding == "utf-8" else recoded(blocks, dialect.encoding),
        {**dialect.attribute(said), **attributes},
        delimiter=dialect.delimiter,
        quote=dialect.quote,
        escape=dialect.escape,
        header=dialect.header,
    )


def _columnar(
    source: Path | BinaryIO, name: str, kind: str, compression: str | None, attributes: Mapping[str, str],
    bounds: Bounds, note: Callable[[str], None],
) -> Iterator[pa.RecordBatch]:  # fmt: skip
    if kind == "avro":
        from headrace.connectors.avro_file import read_avro

        with _unpacked(source, name, compression, bounds) as file:
            yield from read_avro(file, name or "stdin", attributes, note, bounds)
        return
    from headrace.connectors.parquet_file import read_parquet

    if not name:
        raise InputError(
            "Parquet is read from its end, which a pipe or a compressed file has not",
            at="stdin",
            fix="publish the plain .parquet file (its columns are compressed within)",
        )
    with _unpacked(source, name, compression, bounds) as file:
        yield from read_parquet(file, name, attributes, note, bounds)


@contextlib.contextmanager
def _unpacked(source: Path | BinaryIO, name: str, compression: str | None, bounds: Bounds) -> Iterator[BinaryIO]:
    """Open a file whose bytes may be asked for in any order; one that is compressed is unpacked to a nameless one."""
    packed = compression or (compression is None and Path(name).suffix.lower() in COMPRESSIONS)
    plain = not packed and not isinstance(source, zipfile.ZipExtFile)
    with contextlib.ExitStack() as open_files:
        if plain and isinstance(source, Path):
            yield open_files.enter_context(source.open("rb"))
        elif plain and not isinstance(source, Path):
            yield source
        else:
            file = open_files.enter_context(tempfile.TemporaryFile())
            for block in ByteStream(source, name=name, compression=compression, bounds=bounds).blocks():
                file.write(block)
            file.seek(0)
            yield file


def _is_archive(source: Path | BinaryIO, name: str, compression: str | None) -> bool:
    if compression is not None:
        return compression == "zip"
    if not name or Path(name).suffix.lower() in COMPRESSIONS:
        return False
    if isinstance(source, Path):
        if not source.is_file():
            return False
        with source.open("rb") as file:
            return file.read(4) in archive.MAGIC
    head = source.read(4)
    source.seek(0)
    return head in archive.MAGIC


@contextlib.contextmanager
def _left_open(file: BinaryIO) -> Iterator[BinaryIO]:
    yield file
