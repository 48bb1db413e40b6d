"""Sample: some of the keys of a source, all messages of each, told by their text before anything else is known.

What becomes of a message depends on those of the same key and on no others. So all of a key are in a sample, or none:
then what is made of the sample is what the whole would have made of these messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.contracts.contract import is_json
from headrace.contracts.refs import escaped
from headrace.contracts.types import literal
from headrace.errors import ConfigError
from headrace.stages import paths
from headrace.stages.decode import Decode
from headrace.stages.json_text import Unreadable, read
from headrace.stages.sql import SqlKernel
from headrace.stages.upcast_way import older_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from headrace.contracts.contract import Contract
    from headrace.stages.csv_rows import CsvSpec
    from headrace.stages.dataset import Dataset
    from headrace.stages.opening import Opening
    from headrace.stages.rejections import Fault

_BETWEEN = "chr(31)"  # parts the fields of a key in the text that is hashed


class KeyField(NamedTuple):
    """A field of the key as it stands in the event as it came; a number may be written in several ways."""

    steps: tuple[str, ...]
    number: bool

    @property
    def name(self) -> str:
        """What people call it."""
        return ".".join(self.steps)


def common_fields(datasets: Iterable[Dataset]) -> tuple[KeyField, ...] | None:
    """Return the fields by which a dataset is sampled that had several keys and versions; None where there is none.

    They are those of every key, since a part of a key keeps together what the whole key does; and of these, those that
    stand at one place in the events of every version, as text or as a number of which each value has one text. Empty
    where no dataset has a key: then no message depends on another.
    """
    found: dict[tuple[str, ...], bool] | None = None
    for dataset in datasets:
        if not dataset.key:
            continue
        mine = dict(each for text in dataset.key if (each := _place(dataset, text)) is not None)
        found = mine if found is None else {each: found[each] or mine[each] for each in found if each in mine}
    if found is None:
        return ()
    return tuple(KeyField(*each) for each in found.items()) or None


def _place(dataset: Dataset, text: str) -> tuple[tuple[str, ...], bool] | None:
    """Return where a field of the key is in the events of all versions, and whether any has numbers there."""
    if any(each.csv_columns for each in dataset.versions if each.lifecycle != "retired"):
        return None  # which cell it is depends on the version, which is not known yet
    schema = dataset.contract.arrow_schema()
    here = paths.resolve(text, schema)
    steps = (here.column, *here.steps)
    kinds = [_kind(schema, steps)]
    for at, version in enumerate(dataset.versions[:-1]):
        if version.lifecycle == "retired":
            continue
        if older_name(here.column, dataset.versions[at:], dataset.upcasts) != here.column:
            return None
        kinds.append(_kind(version.contract.arrow_schema(), steps))
    return None if None in kinds else (steps, any(kinds))


def _kind(schema: pa.Schema, steps: tuple[str, ...]) -> bool | None:
    """Return whether a place holds numbers; None where one value of it may be written as several texts."""
    if paths.ELEMENTS in steps:
        return None
    try:
        found = paths.walk(steps, schema)
    except ConfigError:
        return None
    if (found.column, *found.steps) != steps:  # a name in other letters is another name to a message
        return None
    field = schema.field(steps[0])
    for step in steps[1:]:
        field = field.type.field(step)
    if pa.types.is_string(field.type) and not is_json(field):
        return False
    return True if pa.types.is_integer(field.type) or pa.types.is_floating(field.type) else None


def in_share(keys: np.ndarray, share: float) -> np.ndarray:
    """Return which keys are in a share of all: those of a low number. So a smaller sample is part of a larger one."""
    return keys < np.uint64(min(round(share * 2**64), 2**64 - 1))


class KeyNumbers:
    """Numbers the key of each message: the same number for one key, for ever and on every machine, by its MD5.

    The numbers are spread evenly over 64 bits. A message whose key cannot be read is rejected whatever
    else there is, so it has a number of its own, by its id.
    """

    def __init__(
        self,
        message_format: str,
        csv: CsvSpec,
        fields: Sequence[KeyField],
        opening: Opening | None = None,
        contract: Contract | None = None,
    ) -> None:
        """Read keys at `fields` of events; `opening` takes them out of what they come in.

        The `contract` says what a cell of CSV is: an empty text or nothing, an object or its text.
        """
        self._decode = Decode(message_format, contract, csv)
        self._fields = tuple(fields)
        self._opening = opening
        self._kernel = SqlKernel(isolate_errors=True)

    def __call__(self, messages: pa.RecordBatch) -> np.ndarray:
        """Return the number of each message's key; only `message_id`, `payload` and `attributes` are looked at."""
        if not self._fields:
            return self._hashed("md5_number_lower(id)", {"id": messages.column("message_id")})
        if self._opening is not None:
            return self._opened(messages, self._opening)
        return self._numbers(messages)

    def _opened(self, messages: pa.RecordBatch, opening: Opening) -> np.ndarray:
        inside = opening(messages)
        keys = self._hashed("md5_number_lower(id)", {"id": messages.column("message_id")}).copy()
        if len(inside.rows):
            keys[inside.rows] = self._numbers(inside.messages)
        return keys

    def _numbers(self, messages: pa.RecordBatch) -> np.ndarray:
        columns = {"id": messages.column("message_id")}
        faults: list[Fault] = []
        docs = self._decode.documents(messages, faults)
        places = ", ".join(literal(_pointer(each.steps)) for each in self._fields)
        found = self._kernel.run(
            f"SELECT TRY(json_extract_string(doc, [{places}])) AS p FROM rows", rows=pa.table({"doc": docs})
        )
        texts = [pc.list_element(found["p"].combine_chunks(), at) for at in range(len(self._fields))]
        names = [f"k{at}" for at in range(len(texts))]
        columns |= dict(zip(names, self._read(docs, texts), strict=True))
        parts = (_canonical(name) if each.number else name for name, each in zip(names, self._fields, strict=True))
        whole = f" || {_BETWEEN} || ".join(parts)
        return self._hashed(f"coalesce(md5_number_lower({whole}), md5_number_lower(id))", columns)

    def _hashed(self, sql: str, columns: dict[str, pa.Array]) -> np.ndarray:
        found: np.ndarray = self._kernel.run(f"SELECT {sql} AS h FROM rows", rows=pa.table(columns))["h"].to_numpy()
        return found

    def _read(self, docs: pa.Array, texts: list[pa.Array]) -> list[pa.Array]:
        """Read exactly where DuckDB found no key: it may not be able to read what is JSON all the same."""
        lacking = docs.is_valid()
        for each in texts:
            lacking = pc.and_(lacking, each.is_valid())
        rows = pc.indices_nonzero(pc.and_(docs.is_valid(), pc.invert(lacking)))
        if not len(rows):
            return texts
        values = [each.to_pylist() for each in texts]
        for row, text in zip(rows.to_pylist(), docs.take(rows).to_pylist(), strict=True):
            try:
                event = read(text)
            except Unreadable:
                continue  # it is quarantined as it is
            for place, each in enumerate(self._fields):
                values[place][row] = _value(event, each.steps)
        return [pa.array(each, pa.string()) for each in values]


def _value(event: object, steps: Sequence[str]) -> str | None:
    for step in steps:
        event = event.get(step) if isinstance(event, dict) else None
    return None if event is None else str(event)


def _canonical(name: str) -> str:
    """Return the SQL of one text for all that mean a number: 7, 7.0 and 7e0; zero has no sign."""
    return f"coalesce(CAST(TRY_CAST({name} AS DOUBLE) + 0.0 AS VARCHAR), {name})"


def _pointer(steps: Iterable[str]) -> str:
    return "".join(f"/{escaped(each)}" for each in steps)
