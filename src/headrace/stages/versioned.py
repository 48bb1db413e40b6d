"""Versioned: decode and validate where several versions of a contract live at once; older events are upcast.

Every event is held against the newest version first, in one batch, as if there were no other. Only what names an older
version, or fails the newest and names none, is looked at again. Where the source says of which version an event is that
names none, such an event is of that version and of no other.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BeforeValidator, Field, model_validator

from headrace import words
from headrace.contracts.refs import escaped
from headrace.contracts.versions import number_of, same_version
from headrace.spec import Spec
from headrace.stages.base import Outcome
from headrace.stages.confluent_frame import MAX_ID, ConfluentFrame
from headrace.stages.csv_rows import OF_COLUMNS
from headrace.stages.decode import Decode
from headrace.stages.iglu_envelope import IgluEnvelope
from headrace.stages.json_text import Unreadable, child, quote, read
from headrace.stages.rejections import in_row_order, none_rejected, rejections
from headrace.stages.sql import SqlKernel
from headrace.stages.upcast_way import upcast_of
from headrace.stages.validate import Validate

if TYPE_CHECKING:
    from headrace.contracts.versions import Version
    from headrace.stages.csv_rows import CsvSpec
    from headrace.stages.dataset import Dataset
    from headrace.stages.opening import Opening
    from headrace.stages.upcast import Upcast

UNKNOWN, RETIRED = "version_unknown", "version_retired"
"""Codes of events that name a version which is not there, or is taken no more."""

_NONE, _UNKNOWN = -1, -2  # no version is named; one that is not there


def _spelt(version: object) -> object:
    return str(version) if isinstance(version, int) and not isinstance(version, bool) else version


def _as_list(value: object) -> object:
    return [value] if isinstance(value, int) and not isinstance(value, bool) else value


SchemaIds = Annotated[
    tuple[Annotated[int, Field(ge=0, le=MAX_ID)], ...], BeforeValidator(_as_list), Field(min_length=1)
]


class VersionFrom(Spec):
    """Where an event names the version of its contract, and which it has where it names none."""

    attribute: str | None = Field(
        default=None, min_length=1, description="An attribute of the message.", examples=["schema_version"]
    )
    field: str | None = Field(
        default=None, min_length=1, description="A field at the top of the event.", examples=["version"]
    )
    confluent: dict[str, SchemaIds] | None = Field(
        default=None,
        min_length=1,
        description="The ids that a schema registry gave to each version: Confluent's serializers put one before each "
        "message.",
        examples=[{"v1": [1], "v2": [4, 7]}],
    )

    default: Annotated[str, BeforeValidator(_spelt)] | None = Field(
        default=None,
        min_length=1,
        description="The version of an event that names none (default: the newest that it satisfies).",
        examples=["v1"],
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [each for each in (self.attribute, self.field, self.confluent) if each is not None]
        if len(given) > 1:
            raise ValueError("give one of `attribute`, `field` and `confluent`")
        if not given and self.default is None:
            raise ValueError("give `attribute`, `field` or `confluent`, or a `default`")
        if same := same_version(self.confluent or ()):
            raise ValueError(f"{same[0]!r} and {same[1]!r} are the same version: give all its ids to one of them")
        ids = [each for ids in (self.confluent or {}).values() for each in ids]
        if twice := next((each for each in ids if ids.count(each) > 1), None):
            raise ValueError(f"the schema id {twice} is given twice: a schema has one version")
        return self


class Decision(NamedTuple):
    """The outcome of a batch, and the contract version of each of its messages; None where all are of the newest."""

    outcome: Outcome
    versions: pa.Array | None


class _Reader:
    """Reads messages as one version of the contract has them, and brings them to the shape of the newest."""

    def __init__(self, message_format: str, csv: CsvSpec, version: Version, upcast: Upcast | None) -> None:
        columns = version.csv_columns or csv.columns
        self._decode = Decode(message_format, version.contract, csv.model_copy(update={"columns": columns}))
        self._validate = Validate(version.contract)
        self._upcast = upcast

    def decoded(self, messages: pa.RecordBatch) -> Outcome:
        return self._decode(messages)

    def validated(self, decoded: pa.RecordBatch) -> Outcome:
        return self._validate(decoded)

    def upcast(self, valid: pa.RecordBatch) -> Outcome:
        return Outcome(valid, none_rejected(), none_rejected()) if self._upcast is None else self._upcast(valid)


class Versioned:
    """The stage: takes messages apart and holds each against its version. Belongs to one thread.

    `kept` is what `Validate` gives for the newest version, with the version that each event was validated against in
    SCHEMA_VERSION. An event that meets no version has the newest's reason, or that of the version that it names.
    """

    def __init__(self, message_format: str, csv: CsvSpec, dataset: Dataset) -> None:
        self._versions = dataset.versions
        self._upcasts = dataset.upcasts
        self._from = dataset.version_from
        self._opening = opening_of(dataset)
        self._by_number = {each.number: index for index, each in enumerate(dataset.versions)}
        self._default = self._default_of(dataset.version_from)
        self._newest = len(dataset.versions) - 1
        self._words = pa.array([each.contract.version for each in dataset.versions], pa.string())
        self._kernel = SqlKernel()
        self._reader = cache(lambda index: self._made(message_format, csv, index))  # made when the first event needs it

    def __call__(self, batch: pa.RecordBatch) -> Outcome:
        """Take a batch of messages (`words.message_schema()` and `seq`) apart."""
        return self.decide(batch).outcome

    def decide(self, messages: pa.RecordBatch) -> Decision:
        """Take a batch of messages apart, and tell the version of each, of those that are rejected too."""
        if self._opening is None:
            return self._decide(messages)
        inside, rows, named, unopened = self._opening(messages)
        (kept, refused, _), of_each = self._decide(inside, named)
        refused = self._opening.told(messages, _moved(refused, rows, "row"))
        outcome = Outcome(_moved(kept, rows, words.ROW), _together(unopened, refused), none_rejected())
        if of_each is None or not len(unopened):
            return Decision(outcome, of_each)
        # What cannot be opened counts as of the newest version.
        places = np.full(len(messages), len(of_each))
        places[rows] = np.arange(len(of_each))
        return Decision(outcome, pa.concat_arrays([of_each, self._words[-1:]]).take(pa.array(places)))

    def _decide(self, messages: pa.RecordBatch, texts: pa.Array | None = None) -> Decision:
        """Decide messages that were opened; `texts` is what each named then."""
        if self._from is not None and self._from.field is not None:
            decoded, bad, _ = self._reader(self._newest).decoded(messages)
            texts = self._in_field(decoded, len(messages), self._from.field)
            if len(bad):
                texts = self._in_older_field(messages, bad, texts, self._from.field)
            named = self._numbers(texts)
            if named is None or np.isin(named, (_NONE, self._newest)).all():
                return self._newest_of(messages, decoded, bad, named)
            return self._apart(messages, named, texts)
        texts = self._in_attribute(messages) if texts is None else texts
        named = self._numbers(texts)
        if named is None or np.isin(named, (_NONE, self._newest)).all():
            decoded, bad, _ = self._reader(self._newest).decoded(messages)
            return self._newest_of(messages, decoded, bad, named)
        return self._apart(messages, named, texts)

    def _newest_of(
        self, messages: pa.RecordBatch, decoded: pa.RecordBatch, bad: pa.RecordBatch, named: np.ndarray | None
    ) -> Decision:
        """Decide messages of which each names the newest version or none."""
        kept, refused, _ = self._reader(self._newest).validated(decoded)
        if len(bad):
            bad, others = _parted(bad)
            refused = _together(others, refused)
        older = range(self._newest - 1, -1, -1)
        if not len(refused) or all(self._versions[index].lifecycle == "retired" for index in older):
            return Decision(Outcome(kept, _together(bad, refused), none_rejected()), None)
        waiting = refused.column("row").to_numpy()
        if named is not None:
            waiting = waiting[named[waiting] == _NONE]
        which = np.full(len(messages), self._newest)
        batches, final = [kept], [bad]
        for index in older:
            if self._versions[index].lifecycle == "retired" or not len(waiting):
                continue
            found, told, left = self._as_version(index, messages, waiting, bad_is_final=False)
            batches.append(found)
            final.append(told)
            which[np.setdiff1d(waiting, left, assume_unique=True)] = index
            waiting = left
        still = refused.filter(pa.array(which[refused.column("row").to_numpy()] == self._newest))
        outcome = Outcome(_in_order(batches), _together(*final, still), none_rejected())
        return Decision(outcome, self._words.take(pa.array(which)))

    def _apart(self, messages: pa.RecordBatch, named: np.ndarray, texts: pa.Array) -> Decision:
        """Decide messages that are of several versions, each group by itself; `texts` is what they name."""
        which = np.where(named >= 0, named, self._newest)
        batches: list[pa.RecordBatch] = []
        refused: list[pa.RecordBatch] = []
        first = np.flatnonzero(np.isin(named, (_NONE, self._newest)))
        words_of = self._words.take(pa.array(which)).to_numpy(zero_copy_only=False)
        mine = messages.take(pa.array(first))
        decoded, bad, _ = self._reader(self._newest).decoded(mine)
        (kept, failed, _), versions = self._newest_of(mine, decoded, bad, named[first])
        batches.append(_moved(kept, first, words.ROW))
        refused.append(_moved(failed, first, "row"))
        if versions is not None:
            words_of[first] = versions.to_numpy(zero_copy_only=False)
        for index, version in enumerate(self._versions[:-1]):
            group = np.flatnonzero(named == index)
            if not len(group):
                continue
            if version.lifecycle == "retired":
                refused.append(self._refused(group, RETIRED, texts))
                continue
            found, told, _ = self._as_version(index, messages, group, bad_is_final=True)
            batches.append(found)
            refused.append(told)
        unknown = np.flatnonzero(named == _UNKNOWN)
        if len(unknown):
            refused.append(self._refused(unknown, UNKNOWN, texts))
        outcome = Outcome(_in_order(batches), _together(*refused), none_rejected())
        return Decision(outcome, pa.array(words_of, pa.string()))

    def _as_version(
        self, index: int, messages: pa.RecordBatch, rows: np.ndarray, *, bad_is_final: bool
    ) -> tuple[pa.RecordBatch, pa.RecordBatch, np.ndarray]:
        """Read some messages as an older version.

        Returns the events in the newest shape, the rejections that are final, and the rows that are not of the version
        (none where all is final).
        """
        reader = self._reader(index)
        decoded, unread, _ = reader.decoded(messages.take(pa.array(rows)))
        valid, invalid, _ = reader.validated(decoded)
        kept, failed, _ = reader.upcast(valid)
        kept, failed = _moved(kept, rows, words.ROW), _moved(failed, rows, "row")
        others = [_moved(each, rows, "row") for each in (unread, invalid)]
        if bad_is_final:
            return kept, pa.concat_batches([*others, failed]), rows[:0]
        left = np.sort(np.concatenate([each.column("row").to_numpy() for each in others]))
        return kept, failed, left

    def _made(self, message_format: str, csv: CsvSpec, index: int) -> _Reader:
        upcast = None if index == self._newest else upcast_of(self._versions[index:], self._upcasts)
        return _Reader(message_format, csv, self._versions[index], upcast)

    def _default_of(self, said: VersionFrom | None) -> int:
        number = None if said is None or said.default is None else number_of(said.default)
        return _NONE if number is None else self._by_number[number]

    def _in_attribute(self, messages: pa.RecordBatch) -> pa.Array:
        """Return which version each message names, as text; null where it names none."""
        attributes = messages.column("attributes")
        if self._from is None or self._from.attribute is None or attributes.null_count == len(attributes):
            return pa.nulls(len(messages), pa.string())
        return pc.map_lookup(attributes, self._from.attribute, "last")

    def _in_field(self, decoded: pa.RecordBatch, messages: int, field: str) -> pa.Array:
        """Return which version each of so many messages names, as text; null where it names none, or is no document."""
        docs, rows = decoded.column("doc"), decoded.column(words.ROW)
        if not len(docs):
            return pa.nulls(messages, pa.string())
        path = f"/{escaped(field)}"
        quoted = path.replace("'", "''")
        # What DuckDB cannot read though it is JSON (a lone surrogate, say) is read one by one, by the exact reader.
        found = self._kernel.run(
            f"SELECT CASE WHEN ok THEN json_extract_string(doc, '{quoted}') END AS named, ok "
            "FROM (SELECT doc, json_valid(doc) AS ok FROM docs)",
            docs=pa.table({"doc": docs}),
        )
        named, readable = found["named"].combine_chunks(), found["ok"].combine_chunks()
        if readable.true_count < len(docs):
            texts = named.to_pylist()
            for row in np.flatnonzero(~readable.to_numpy(zero_copy_only=False)):
                texts[row] = _field_of(docs[int(row)].as_py(), field)
            named = pa.array(texts, pa.string())
        if len(docs) == messages:
            return named
        places = np.full(messages, -1)
        places[rows.to_numpy()] = np.arange(len(docs))
        return named.take(pa.array(places, mask=places < 0))

    def _in_older_field(self, messages: pa.RecordBatch, bad: pa.RecordBatch, texts: pa.Array, field: str) -> pa.Array:
        """Return what messages name, those too that only the columns of the older version fit that they name."""
        rows = _parted(bad)[1].column("row").to_numpy()
        said = texts.to_pylist() if len(rows) else []
        for index in range(self._newest - 1, -1, -1):
            if not len(rows):
                break
            decoded, _, _ = self._reader(index).decoded(messages.take(pa.array(rows)))
            named = self._in_field(decoded, len(rows), field)
            numbers = [None if text is None else number_of(text) for text in named.to_pylist()]
            mine = [number == self._versions[index].number for number in numbers]
            for row, text in zip(rows[mine], named.filter(pa.array(mine)).to_pylist(), strict=True):
                said[row] = text
            rows = rows[np.invert(mine)]
        return pa.array(said, pa.string()) if said else texts

    def _numbers(self, texts: pa.Array) -> np.ndarray | None:
        """Return which version each message has that names this, or nothing; None where all may be of any."""
        if texts.null_count == len(texts):
            return None if self._default == _NONE else np.full(len(texts), self._default)
        encoded = texts.dictionary_encode()
        meant = [number_of(text) for text in encoded.dictionary.to_pylist()]
        known = [self._by_number.get(number, _UNKNOWN) if number else _UNKNOWN for number in meant]
        which = np.array([*known, self._default])
        indices = pc.fill_null(encoded.indices, len(meant)).to_numpy(zero_copy_only=False)
        found: np.ndarray = which[indices]
        return found

    def _refused(self, group: np.ndarray, code: str, texts: pa.Array) -> pa.RecordBatch:
        """Return the rejections of messages that name a version which they may not, or have it as they name none."""
        rows = pa.array(group, pa.int32())
        named = texts.take(rows)
        where, path = "", None
        if self._opening is not None:
            where, path = f"{self._opening.where} names ", self._opening.path
        elif self._from is not None and self._from.attribute is not None:
            where = f"the attribute {self._from.attribute!r} names "
        elif self._from is not None and self._from.field is not None:
            where, path = f"the field {self._from.field!r} names ", child("$", self._from.field)
        taken = ", ".join(each.name for each in self._versions if each.lifecycle != "retired")
        what = "a version that is retired" if code == RETIRED else "no version of the contract"
        silent = f"it names no version, and so is {self._versions[self._default].name}, which is retired"
        return rejections(
            rows,
            stage="contract",
            code=code,
            reason=pc.binary_join_element_wise(
                pc.if_else(named.is_valid(), f"{where}{what}", silent), f"these are taken: {taken}", "; "
            ),
            path=path,
            value=pa.array([None if each is None else quote(each) for each in named.to_pylist()], pa.string()),
        )


def opening_of(dataset: Dataset) -> Opening | None:
    """Return how the messages of a dataset are opened; None where they are taken as they come."""
    if dataset.iglu is not None:
        return IgluEnvelope(dataset.iglu)
    ids = dataset.version_from.confluent if dataset.version_from is not None else None
    return None if ids is None else ConfluentFrame(ids)


def _field_of(doc: str, field: str) -> str | None:
    try:
        value = read(doc, 10**9).get(field)
    except Unreadable:
        return None
    return None if value is None else str(value)


def _parted(bad: pa.RecordBatch) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Return the messages that no version can decode, and those that the columns of an older one may fit."""
    doubtful = pc.is_in(bad.column("code"), pa.array(OF_COLUMNS))
    return bad.filter(pc.invert(doubtful)), bad.filter(doubtful)


def _moved(batch: pa.RecordBatch, rows: np.ndarray, name: str) -> pa.RecordBatch:
    """Return a batch whose rows are counted in the batch that `rows` were taken from."""
    at = batch.schema.get_field_index(name)
    moved = pa.array(rows[batch.column(name).to_numpy()], pa.int32())
    return batch.set_column(at, batch.schema.field(at), moved)


def _in_order(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    """Return the events of several versions in the order of their messages."""
    some = [batch for batch in batches if len(batch)] or batches[:1]
    if len(some) == 1:
        return some[0]
    whole = pa.concat_batches(some)
    return whole.take(pc.sort_indices(whole.column(words.ROW)))


def _together(*parts: pa.RecordBatch) -> pa.RecordBatch:
    some = [part for part in parts if len(part)]
    return in_row_order(some) if some else none_rejected()
