"""What a CSV file shows of itself: its encoding, its delimiter and quotes, and whether it has a header."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import json
import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from headrace.stages.csv_rows import CsvSpec

SAMPLE_BYTES = 128 << 10
ENCODING_SAMPLE_BYTES = 32 << 10  # of lines that are not ASCII: what tells one encoding from another
DELIMITERS = (",", ";", "\t", "|")
DIALECT_ATTRIBUTE = "csv-dialect"
UTF8 = "utf-8"

# A few short lines fit many encodings: only those that files come in are considered, and the usual one wins a tie.
_USUAL = "cp1252"
_ENCODINGS = (
    *(_USUAL, "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "koi8_r", "cp850", "mac_roman"),
    *("cp932", "euc_jp", "gb18030", "big5", "euc_kr"),
)
_MARKS = (
    (codecs.BOM_UTF8, UTF8),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_TYPED = re.compile(
    r"\s*(?:[-+]?[\d.,\s]*\d%?|[-+]?\d+(?:\.\d+)?[eE][-+]?\d+|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[T ]\d{1,2}:\d{2}.*)?"
    r"|\d{1,2}:\d{2}(?::\d{2}.*)?)\s*"
)


_ABSENT = re.compile(r"\s*(?:|-|\?|\\N|n/?a|nan|null|none)\s*", re.IGNORECASE)


class Said(NamedTuple):
    """What a source says of its CSV files; None: the file shows it."""

    delimiter: str | None = None
    quote: str | None = None
    escape: str | None = None
    columns: tuple[str, ...] = ()
    header: bool | None = None
    encoding: str | None = None


NOTHING_SAID = Said()


class Dialect(NamedTuple):
    """How the records of one file are written; `header`: whether the first of them names the cells."""

    delimiter: str = ","
    quote: str = '"'
    escape: str | None = None
    header: bool = True
    encoding: str = UTF8

    def attribute(self, said: Said) -> dict[str, str]:
        """Return what a message must carry for decode to read it: nothing where the source's own dialect does."""
        if self[:3] == (said.delimiter or ",", '"' if said.quote is None else said.quote, said.escape):
            return {}
        return {
            DIALECT_ATTRIBUTE: json.dumps(
                {"delimiter": self.delimiter, "quote": self.quote, "escape": self.escape}, ensure_ascii=False
            )
        }


def said_by(spec: CsvSpec) -> Said:
    """Return what a source's file says, and not what `CsvSpec` has by default."""
    given = spec.model_fields_set
    return Said(
        delimiter=spec.delimiter if "delimiter" in given else None,
        quote=spec.quote if "quote" in given else None,
        escape=spec.escape,
        columns=spec.columns,
        header=spec.header,
        encoding=spec.encoding,
    )


def dialect_of(block: bytes, said: Said, *, whole: bool, usual: str | None = None) -> Dialect:
    """Return how a file is written, from its first block; what is said is never guessed.

    `whole`: the block is all there is. `usual` is the delimiter that the file's name tells (tabs in a .tsv file).
    """
    encoding = said.encoding or encoding_of(block)
    sample = block[:SAMPLE_BYTES]
    cut = not whole or len(block) > len(sample)
    text = codecs.getincrementaldecoder(encoding)("replace").decode(sample).removeprefix("\ufeff")
    if cut and "\n" in text:
        text = text[: text.rindex("\n") + 1]
    said = said._replace(delimiter=said.delimiter or usual)
    delimiter, quote, escape, rows = _cells(text, said, cut=cut)
    return Dialect(delimiter, quote, escape, _has_header(rows, said), encoding)


def encoding_of(block: bytes) -> str:
    """Return the encoding that a block of text is most likely in; UTF-8 wherever that could be."""
    for mark, name in _MARKS:
        if block.startswith(mark):
            return name
    with contextlib.suppress(UnicodeDecodeError):
        codecs.getincrementaldecoder(UTF8)().decode(block)  # a character that the block cuts is no fault
        return UTF8
    text = block.decode(UTF8, "replace")
    wrong = text.count("\ufffd") - block.count("\ufffd".encode())
    # In other encodings bytes hardly ever happen to be characters of UTF-8: these are broken lines, for decode to name.
    if len(re.findall(r"[^\x00-\x7f\ufffd]", text)) >= wrong:
        return UTF8
    from charset_normalizer import from_bytes

    lines = b"\n".join(line for line in block.split(b"\n") if not line.isascii())[:ENCODING_SAMPLE_BYTES]
    found = from_bytes(lines, cp_isolation=[*_ENCODINGS], threshold=0.5)
    best = found.best()
    if best is None:
        return UTF8
    usual = next((each for each in found if _USUAL in each.could_be_from_charset), best)
    return _USUAL if usual is not best and usual.chaos <= best.chaos else _preferred(best.could_be_from_charset)


def _preferred(names: list[str]) -> str:
    return _USUAL if _USUAL in names else codecs.lookup(names[0]).name


def recoded(blocks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Yield the same text in UTF-8; a byte that means nothing in the encoding stays as it is, for decode to name."""
    errors = "replace" if encoding.startswith(("utf-16", "utf-32")) else "surrogateescape"
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    for block in blocks:
        yield decoder.decode(block).encode(UTF8, "surrogateescape" if errors == "surrogateescape" else "replace")
    if rest := decoder.decode(b"", final=True):
        yield rest.encode(UTF8, "surrogateescape" if errors == "surrogateescape" else "replace")


def _cells(text: str, said: Said, *, cut: bool) -> tuple[str, str, str | None, list[list[str]]]:
    """Return delimiter, quote and escape under which the most records have the same number of cells, and the cells."""
    best: tuple[tuple[float, int], tuple[str, str, str | None, list[list[str]]]] | None = None
    for delimiter in (said.delimiter,) if said.delimiter else DELIMITERS:
        for quote, escape in _quotes(text, delimiter, said):
            rows = _parsed(text, delimiter, quote, escape, cut=cut)
            width, count = Counter(map(len, rows)).most_common(1)[0] if rows else (1, 1)
            even = count / max(1, len(rows)) * (1.0 if rows and len(rows[0]) == width else 0.5)
            score = (round(even, 3) if width > 1 else 0.0, width)
            if best is None or score > best[0]:
                best = (score, (delimiter, quote, escape, rows))
    assert best is not None  # noqa: S101 - there is always a candidate
    score, found = best
    if score[0] or said.delimiter:
        return found
    quote = '"' if said.quote is None else said.quote
    return DELIMITERS[0], quote, said.escape, _parsed(text, DELIMITERS[0], quote, said.escape, cut=cut)


def _quotes(text: str, delimiter: str, said: Said) -> list[tuple[str, str | None]]:
    if said.quote is not None:
        return [(said.quote, said.escape)]
    found: list[tuple[str, str | None]] = [('"', said.escape)]
    if said.escape is None and '\\"' in text and '""' not in text:
        found.append(('"', "\\"))
    edge = re.escape(delimiter)
    doubled = re.search(f'(?:^|{edge})"', text, re.MULTILINE)
    if not doubled and re.search(f"(?:^|{edge})'[^'\\n]*'(?={edge}|\\r?$)", text, re.MULTILINE):
        found.append(("'", said.escape))
    return found


def _parsed(text: str, delimiter: str, quote: str, escape: str | None, *, cut: bool) -> list[list[str]]:
    rows: list[list[str]] = []
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quotechar=quote or None,
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
        escapechar=escape,
        doublequote=escape is None,
    )
    with contextlib.suppress(csv.Error):  # a cell without end: what came before it has to do
        rows.extend(reader)
    rows = [row for row in rows if row]
    return rows[:-1] if cut and len(rows) > 1 else rows


def _has_header(rows: list[list[str]], said: Said) -> bool:
    """Say whether the first record names the cells of the others.

    It does unless it looks as its columns do: a number over numbers or a date over dates, and no name over either.
    """
    if said.header is not None:
        return said.header
    if not rows:
        return True
    first, rest = rows[0], rows[1:]
    if said.columns:
        return [cell.strip() for cell in first] == [*said.columns]
    places = [place for place in range(len(first)) if _typed_below(rest, place)]
    alike = any(_TYPED.fullmatch(first[place]) for place in places)
    named = any(not _TYPED.fullmatch(first[place]) and not _ABSENT.fullmatch(first[place]) for place in places)
    return named or not alike


def _typed_below(rows: Sequence[Sequence[str]], place: int) -> bool:
    cells = [row[place] for row in rows[:500] if len(row) > place and row[place].strip()]
    return bool(cells) and sum(bool(_TYPED.fullmatch(cell)) for cell in cells) >= 0.9 * len(cells)
