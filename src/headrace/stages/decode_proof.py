"""The fast path of decode: proof, for a whole batch at once, that a text is exactly what its parsed form says.

DuckDB parses JSON fast but kindly: it takes NaN and trailing commas, the first of two equal keys, a number for a
string, and null for what does not fit. So its parse is believed only where counting proves it. Of a document we count,
in the bytes, the closing quotes before a colon (at least one for each member of an object) and all quotes (two for each
string); and, in the parsed form, the members M and the strings S that were found. `colons == M` proves that each member
was found, once: no unknown key, no second key, no null, nothing of another shape. `quotes == 2 * (M + S)` then proves
that each text was a string, arrays set aside. A comma before a closing bracket and whitespace between a key and its
colon are left to the exact reader; so is whatever fails to add up. What is written without a blank, as most machines
do, is proven by its length instead (`decode_lengths`), at a fraction of the cost.

Unknown members that open objects turn out to have join the layout as free JSON, beside the members that the contract
keeps as JSON text. What is inside of free JSON is counted in its own bytes, and proven by `decode_free`. Null is given
to the parser as a string that no proven document holds; for an object or array, DuckDB is asked what is there.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from headrace.contracts.types import literal
from headrace.stages.decode_counts import NULL_RAW, count_bytes, count_quotes, without_escapes
from headrace.stages.decode_free import disprove
from headrace.stages.decode_shape import Shape
from headrace.stages.decode_tally import Tally
from headrace.stages.sql import SqlKernel

if TYPE_CHECKING:
    import numpy.typing as npt

    from headrace.contracts.contract import Contract
    from headrace.stages.decode_counts import Counts, Flags
    from headrace.stages.decode_tally import Found

    Rows = npt.NDArray[np.intp]

_SAMPLE = 24  # documents that are asked for their unknown members, in a batch that has some


class Proof(NamedTuple):
    """What is certain of each document.

    `fields` is the document taken apart, texts of numbers as text; null where nothing is proven. Bit p of `strangers`
    says that it has unknown members at place p (`decode_shape`), bit p of `nulls` that null stands for the object or
    array at place p. `extra` is the JSON text of the unknown members of the document itself, by name.
    """

    fields: pa.StructArray
    strangers: pa.Int64Array
    nulls: pa.Int64Array
    extra: pa.StringArray


class Prover:
    """Takes documents apart as a contract lays them out.

    It remembers which unknown members it met. That decides how fast a document is proven and which are left to the
    exact reader, never what is said of one.
    """

    def __init__(self, contract: Contract, max_depth: int = 100) -> None:
        self._kernel = SqlKernel()
        self._shape = Shape(contract)
        self._root = self._shape.root
        self._type = self._root.parsed_type()
        self._lenient = contract.validation == "lenient"
        self._max_depth = max_depth
        self._nested = [node for node in self._root.nested() if node.path not in (None, "$") and node.place > 0]
        self._lay_out()

    def _lay_out(self) -> None:
        layout = literal(json.dumps(self._root.layout(), ensure_ascii=False))
        self._sql = f"SELECT from_json(doc, {layout}) AS fields FROM docs"
        self._careful_sql = self._sql.replace("(doc,", "(CASE WHEN json_valid(doc) THEN doc END,", 1)

    def __call__(self, docs: pa.Array) -> Proof:
        """Return what is certain of each document."""
        rows = len(docs)
        if not self._root.children or not rows:
            return Proof(pa.nulls(rows, self._type), _words(rows), _words(rows), pa.nulls(rows, pa.string()))
        reading = _Reading(self, docs)
        reading.plainly(np.arange(rows))
        if len(left := reading.left()) and self._met(docs.take(pa.array(_some(left)))):
            reading.plainly(left)
        if len(left := reading.left()):
            reading.with_nulls(left)
        return reading.proof()

    def _met(self, docs: pa.Array) -> bool:
        """Add the unknown members of some documents to the layout; say whether there were new ones."""
        learned = False
        for text in docs.cast(pa.binary()).to_pylist():
            try:
                document = orjson.loads(text)
            except orjson.JSONDecodeError:
                continue
            learned |= self._shape.learn(document)
        if learned:
            self._lay_out()
        return learned

    def parse(self, docs: pa.Array) -> pa.StructArray:
        """Return the documents as DuckDB reads them, null where it cannot."""
        import duckdb

        texts = pa.table({"doc": docs})
        try:
            table = self._kernel.run(self._sql, docs=texts)
        except (duckdb.InvalidInputException, UnicodeDecodeError):
            # Some text is not JSON: parse twice, which most batches need not. DuckDB's message cites the beginning of
            # the text, which may end within a character.
            table = self._kernel.run(self._careful_sql, docs=texts)
        return _one_chunk(table.column(0))

    def null_places(self, docs: pa.Array) -> tuple[Counts, Counts]:
        """Return, for valid documents, the places where null stands for an object or array, and how many."""
        places, many = (np.zeros(len(docs), dtype=np.int64) for _ in range(2))
        if self._nested:
            paths = ", ".join("'" + str(node.path) + "'" for node in self._nested)
            sql = f"SELECT list_transform(json_type(doc, [{paths}]), lambda x: x = 'NULL') AS null_at FROM docs"
            found = _one_chunk(self._kernel.run(sql, docs=pa.table({"doc": docs})).column(0))
            flags = pc.fill_null(found.flatten(), False).to_numpy(zero_copy_only=False)
            for node, null in zip(self._nested, flags.reshape(-1, len(self._nested)).T, strict=True):
                places[null] |= 1 << node.place
                many += null
        return places, many

    def tally(self, fields: pa.StructArray, *, nulls: bool) -> Tally:
        """Count what was found in parsed documents."""
        return Tally(self._root, fields, nulls=nulls, max_depth=self._max_depth, lenient=self._lenient)


class _Reading:
    """One batch on its way to a proof: the documents, what was counted in them, and what is proven so far."""

    def __init__(self, prover: Prover, docs: pa.Array) -> None:
        self._prover, self._docs = prover, docs
        rows = len(docs)
        self._colons, self._quotes = (np.zeros(rows, dtype=np.int64) for _ in range(2))
        self._hazards, self._counted = (np.zeros(rows, dtype=np.bool_) for _ in range(2))
        self._open = np.ones(rows, dtype=np.bool_)
        self._place = np.full(rows, -1, dtype=np.int64)
        self._nulls = np.zeros(rows, dtype=np.int64)
        self._parts: list[tuple[pa.Array, Counts, pa.Array]] = []
        self._size = 0

    def left(self) -> Rows:
        """Return the documents that another way of reading may yet prove."""
        return np.flatnonzero(self._open & ~self._hazards & (self._place < 0))

    def plainly(self, rows: Rows) -> None:
        """Prove documents without null, as far as the layout knows their members."""
        docs = self._docs if len(rows) == len(self._docs) else self._docs.take(pa.array(rows))
        tally = self._prover.tally(self._prover.parse(docs), nulls=False)
        found = tally.found
        certain = (found.members > 0) & ~found.doubtful
        proven = certain & self._filled(docs, found)
        rest = np.flatnonzero(~proven)
        self._open[rows] = False
        if len(rest):
            here = rows[rest]
            self._count(here)
            missing = self._colons[here] - found.members[rest]
            even = self._quotes[here] == 2 * (found.members + found.strings)[rest]
            proven[rest] = certain[rest] & (missing == 0) & even & ~self._hazards[here]
            self._open[here] = missing > 0
        self._keep(rows, docs, tally, proven)

    def _filled(self, docs: pa.Array, found: Found) -> Flags:
        """Say which of some documents have no room for more than what was found in them (`decode_lengths`)."""
        lengths = pc.fill_null(pc.binary_length(docs), 0).to_numpy(zero_copy_only=False)
        full: Flags = (found.least == lengths) & ~found.unsettled
        if full.any():
            quotes, escaped = count_quotes(docs)
            full &= ~escaped & (quotes == 2 * (found.members + found.strings))
        return full

    def _count(self, rows: Rows) -> None:
        """Count in the bytes of those documents that were not counted yet."""
        rows = rows[~self._counted[rows]]
        whole = len(rows) == len(self._docs)
        counted = count_bytes(self._docs if whole else self._docs.take(pa.array(rows)))
        self._colons[rows], self._quotes[rows], self._hazards[rows] = counted
        self._counted[rows] = True

    def with_nulls(self, rows: Rows) -> None:
        """Prove documents with null members: each null becomes a string that none of them holds."""
        texts = self._docs.take(pa.array(rows))
        able = pc.match_substring_regex(texts, '": ?null').to_numpy(zero_copy_only=False)
        rows, docs = rows[able], texts.filter(pa.array(able))
        if not len(rows):
            return
        marked = pc.replace_substring(
            pc.replace_substring(docs, '":null', f'":{NULL_RAW}'), '": null', f'": {NULL_RAW}'
        )
        nulls = pc.count_substring_regex(without_escapes(docs), '": ?null').to_numpy()
        tally = self._prover.tally(self._prover.parse(marked), nulls=True)
        found = tally.found
        missing = self._colons[rows] - found.members
        # A mark within a string leaves no JSON. What was not found is null as well: each null that was not found is
        # among the missing, and they are as many.
        proven = found.nulls + missing == nulls
        proven &= self._quotes[rows] == 2 * (found.members + missing + found.strings)
        proven &= (missing >= 0) & (found.members > 0) & ~found.doubtful
        behind = np.flatnonzero(proven & (missing > 0))
        if len(behind):
            places, many = self._prover.null_places(docs.take(pa.array(behind)))
            proven[behind] = many == missing[behind]
            self._nulls[rows[behind]] = places
        self._keep(rows, docs, tally, proven)

    def _keep(self, rows: Rows, docs: pa.Array, tally: Tally, proven: Flags) -> None:
        disprove(tally.free, docs, proven)
        self._place[rows[proven]] = self._size + np.flatnonzero(proven)
        self._size += len(rows)
        self._parts.append((tally.found.array, tally.strangers, tally.extra()))

    def proof(self) -> Proof:
        """Return what is proven."""
        unproven = pa.array(self._place < 0)
        arrays, strangers, extras = zip(*self._parts, strict=True)
        fields, bits, extra = arrays[0], strangers[0], extras[0]
        if len(self._parts) > 1:
            places = np.where(self._place < 0, 0, self._place)
            fields = pa.concat_arrays(arrays).take(pa.array(places))
            extra = pa.concat_arrays(extras).take(pa.array(places))
            bits = np.concatenate(strangers)[places]
        fields = pa.StructArray.from_arrays(fields.flatten(), fields=list(fields.type), mask=unproven)
        return Proof(fields, pa.array(bits), pa.array(self._nulls), extra)


def _some(rows: Rows) -> Rows:
    return rows[:: max(1, len(rows) // _SAMPLE)][:_SAMPLE]


def _words(rows: int) -> pa.Int64Array:
    return pa.array(np.zeros(rows, dtype=np.int64))


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
