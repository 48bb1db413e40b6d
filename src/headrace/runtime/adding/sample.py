"""A sample file on its way to inference: its messages as rows, read once, in bounded memory."""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from headrace.connectors.byte_stream import COMPRESSIONS, ByteStream
from headrace.connectors.csv_dialect import DIALECT_ATTRIBUTE, UTF8, encoding_of
from headrace.connectors.files import format_of, read_messages
from headrace.contracts.inference.infer import Inference
from headrace.errors import InputError
from headrace.runtime.adding.declared import decimals_of, with_decimals
from headrace.stages.csv_rows import CsvReader, CsvSpec
from headrace.stages.json_text import Unreadable, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

    from headrace.contracts.inference.infer import Inferred

ROWS = 200_000
_PIECE_ROWS, _PIECE_BYTES = 10_000, 8 << 20
_FEW = 32
MAX_DEPTH = 100
_LOOK_BYTES = 128 << 10
_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_USUAL = "cp1252"
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_FIXES = {
    "invalid_utf8": "iconv -f {encoding} -t UTF-8 {file} > utf8-{name}",
    "duplicate_key": "name each field once where the events are written: decode cannot know which of two is meant",
    "not_an_object": "an event is an object; where the file is one array of events, or many: --format json",
    "ragged_row": "the first line is read as the header: cut off what stands before it, as by tail -n +2 {file}, "
    "and give the file as it is then",
    "nan_or_infinity": "write null where there is no number: JSON has no NaN and no Infinity",
    "lone_surrogate": "escape a character as a whole pair where the events are written, or write it as it is",
}
"""By the code of what cannot be read: what to do where that is every row."""


@dataclass
class Sample:
    """A file of events. `rows` is how many of them are looked at, 0: all; `read` how many were.

    `unreadable` counts the rows that decode would refuse, by code; `first` says which one came first, and why.
    """

    path: Path
    format: str | None = None
    rows: int = ROWS
    read: int = 0
    more: bool = False
    unreadable: Counter[str] = field(default_factory=Counter)
    first: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """What the file holds: csv, tsv, json, ndjson, parquet or avro."""
        return format_of(self.path, self.format)

    def messages(self, note: Callable[[str], None] = lambda _: None) -> Iterator[pa.RecordBatch]:
        """Yield the messages that are looked at, as they would be published; the same ones every time."""
        left = self.rows or None
        for batch in read_messages(self.path, format=self.format, usual="csv" if self.is_csv else "", note=note):
            if left is not None and len(batch) > left:
                self.more = True
                batch = batch.slice(0, left)  # noqa: PLW2901
            if len(batch):
                yield batch
            if left is not None:
                left -= len(batch)
                if not left:
                    self.more = True
                    return

    @property
    def is_csv(self) -> bool:
        """Whether its messages are CSV records."""
        return self.kind in {"csv", "tsv"}

    def inferred(self, source: str) -> Inferred:
        """Return the contract of its rows. Raises `InputError` where there is nothing to infer it from."""
        inference = Inference()
        self.read, self.unreadable, self.first, self.notes = 0, Counter(), "", []
        for batch in self.messages(self.notes.append):
            for piece in _pieces(batch):
                self._infer(piece, inference)
        if not inference.rows and self.unreadable:
            code = self.unreadable.most_common(1)[0][0]
            raise InputError(
                f"none of the {self.read:,} rows can be read: {self.first}",
                at=str(self.path),
                fix=_FIXES.get(code, "see that --format is what the file holds").format(
                    file=self.path, name=self.path.name, encoding=self._encoding()
                ),
            )
        try:
            found = inference.finish(source)
            return with_decimals(found, decimals_of(self.path, self.kind)) if self._is_plain() else found
        except InputError as error:
            raise InputError(error.message, at=str(self.path), fix=error.fix) from error

    def _is_plain(self) -> bool:
        """Say whether the file is no archive, and not compressed as a whole."""
        return self.path.suffix.lower() not in COMPRESSIONS and self.path.is_file()

    def _encoding(self) -> str:
        """Return what the file's text is most likely written in, where it is not UTF-8."""
        first = next(iter(ByteStream(self.path).blocks()), b"")[:_LOOK_BYTES]
        if b"\0" in first and not first.startswith(_MARKS):
            return "utf-16le" if first[1:2] == b"\0" else "utf-16be"
        found = encoding_of(first)
        return _USUAL if found == UTF8 else found

    def _infer(self, piece: pa.RecordBatch, inference: Inference) -> None:
        payloads = piece.column("payload").to_pylist()
        attributes = dict(piece.column("attributes")[0].as_py() or ()) if "attributes" in piece.schema.names else {}
        if str(attributes.get("content-type", "")).startswith("text/csv"):
            self._records(payloads, attributes, inference)
        else:
            # Only what has so many brackets can be nested deeper than decode allows: that is for the exact reader.
            deep = [each for each in payloads if each.count(b"{") + each.count(b"[") > MAX_DEPTH]
            flat = [each for each in payloads if each.count(b"{") + each.count(b"[") <= MAX_DEPTH] if deep else payloads
            inference.documents([*self._documents(flat), *self._exactly(deep, 0)])
        self.read += len(payloads)

    def _documents(self, payloads: Sequence[bytes], start: int = 0) -> list[dict[str, Any]]:
        """Return the objects of JSON messages; what makes many unreadable at once is looked for by halves."""
        try:
            text = b"[" + b",".join(payloads) + b"]"
            found = json.loads(
                text.decode(), object_pairs_hook=_each_once, parse_float=Decimal, parse_constant=_no_constant
            )
            if _SURROGATE.search(text):
                json.dumps(found, ensure_ascii=False, default=str).encode()  # a half of a pair is no text
            if len(found) == len(payloads) and set(map(type, found)) <= {dict}:
                return list(found)
        except (ValueError, RecursionError):
            pass
        if len(payloads) > _FEW:
            half = len(payloads) // 2
            return [*self._documents(payloads[:half], start), *self._documents(payloads[half:], start + half)]
        return self._exactly(payloads, start)

    def _exactly(self, payloads: Sequence[bytes], start: int) -> list[dict[str, Any]]:
        documents = []
        for index, payload in enumerate(payloads):
            try:
                documents.append(read(payload.decode().removeprefix("\ufeff"), MAX_DEPTH))
            except UnicodeDecodeError as error:
                self._fault(start + index, "invalid_utf8", f"not UTF-8 at byte {error.start}")
            except Unreadable as fault:
                self._fault(start + index, fault.code, fault.reason)
        return documents

    def _records(self, payloads: Sequence[bytes], attributes: dict[str, str], inference: Inference) -> None:
        dialect = json.loads(attributes.get(DIALECT_ATTRIBUTE) or '{"delimiter": ",", "quote": "\\""}')
        header = [name.strip() for name in _cells([attributes["csv-header"]], dialect)[0]]
        if len(header) <= 2 and header[0].lower().startswith("sep="):
            raise InputError(
                "the first line only says how the cells are parted, and is read as the header",
                at=f"{self.path}:1",
                fix=f"cut it off: tail -n +2 {self.path} > {self.path.stem}-table{self.path.suffix}",
            )
        if header.count("") > 1:
            raise InputError(
                f"{header.count('')} of the {len(header)} cells of the header are empty, so that nothing tells their "
                "columns apart",
                at=f"{self.path}:1",
                fix="name them in that line, or cut the columns off",
            )
        if twice := [name for name in header if header.count(name) > 1]:
            raise InputError(
                f"the header names {twice[0]!r} twice", at=f"{self.path}:1", fix="rename one of the two columns"
            )
        texts: list[str] = []
        for index, payload in enumerate(payloads):
            try:
                texts.append(payload.decode())
            except UnicodeDecodeError as error:
                self._fault(index, "invalid_utf8", f"not UTF-8 at byte {error.start}")
        try:
            rows = _cells(texts, dialect)
            if len(rows) != len(texts) or not all(rows):
                rows = self._one_by_one(texts, dialect)
        except csv.Error:
            rows = self._one_by_one(texts, dialect)
        whole = [row for row in rows if len(row) == len(header)]
        if len(whole) < len(rows):
            index, row = next((index, row) for index, row in enumerate(rows) if len(row) != len(header))
            reason = f"the record has {len(row)} cells and the header {len(header)}"
            self._fault(index, "ragged_row", reason, len(rows) - len(whole))
        inference.records(header, whole)

    def _one_by_one(self, texts: list[str], dialect: dict[str, Any]) -> list[list[str]]:
        reader = CsvReader(CsvSpec(), None)
        found = []
        for index, text in enumerate(texts):
            try:
                found.append(reader.cells(text, json.dumps(dialect)))
            except Unreadable as fault:
                self._fault(index, fault.code, fault.reason)
        return found

    def _fault(self, index: int, code: str, reason: str, rows: int = 1) -> None:
        self.unreadable[code] += rows
        self.first = self.first or f"row {self.read + index + 1:,}: {reason}"


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key twice")
    return found


def _no_constant(word: str) -> Any:
    raise ValueError(word)


def _cells(records: list[str], dialect: dict[str, Any]) -> list[list[str]]:
    return list(
        csv.reader(
            records,
            delimiter=dialect["delimiter"],
            quotechar=dialect.get("quote") or None,
            quoting=csv.QUOTE_MINIMAL if dialect.get("quote") else csv.QUOTE_NONE,
            escapechar=dialect.get("escape"),
            doublequote=not dialect.get("escape"),
            strict=True,
        )
    )


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    each = max(1, min(_PIECE_ROWS, _PIECE_BYTES * len(batch) // max(1, batch.nbytes)))
    for start in range(0, len(batch), each):
        yield batch.slice(start, each)
