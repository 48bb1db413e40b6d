"""Masking: what of an event may be shown to people, wherever it is shown.

One `Masking` a dataset serves all of them: the reasons and values of the quarantine as they are written, and payloads,
rows, keys and verdicts as they are read. What a dataset's contract does not tag it shows as it is.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from headrace import words
from headrace.contracts import iglu
from headrace.contracts.pii import MASK, WORD, Pii
from headrace.stages import paths
from headrace.stages.confluent_frame import unframed
from headrace.stages.json_text import child, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from headrace.contracts.pii import Place
    from headrace.stages.dataset import Dataset

_STEP = re.compile(r"""\.([A-Za-z_][A-Za-z0-9_]*)|\[(\d+|\*)\]|\[("(?:[^"\\]|\\.)*")\]|\['((?:[^'\\]|\\.)*)'\]""")
_RULE_CHARACTERS = 100

_ANY = -1  # any element of a list
UNKNOWN_DATASET = "unknown_dataset"
"""The code of a message whose attribute names none of its source's tables."""

# Whose reasons quote no value, whatever it was: (stage, code), or all of a stage but for those that do.
_QUOTE_NOTHING = {
    ("decode", ""),
    ("enrich", ""),
    ("quality", ""),
    *(
        ("contract", code)
        for code in (
            "additionalProperties", "event_time_missing", "event_time_unparseable", "key_missing", "out_of_range",
            "required", "schema_malformed", "schema_unknown", "upcast_failed", "version_retired", "version_unknown",
        )
    ),
}  # fmt: skip
_QUOTE = {("decode", "duplicate_key")}


class Verdict(NamedTuple):
    """What a stage says of a message, as people may read it."""

    reason: str
    path: str | None
    value: str | None


class Masking:
    """What may be shown of the events of one dataset."""

    def __init__(self, dataset: Dataset | None, pii: Pii) -> None:
        """Mask what `pii` says; see `Maskings`, which knows it."""
        self._dataset = dataset
        self._pii = pii

    @property
    def hides(self) -> bool:
        """Whether anything of an event is ever hidden."""
        return self._pii.any

    def payload(self, payload: bytes) -> str:
        """Return a payload as text with what is personal masked; of what is no JSON object, its length."""
        try:
            value = shown(self._bare(payload).decode("utf-8-sig"))
            if isinstance(value, dict):
                masked = self._masked(value)
                if masked != MASK:
                    return json.dumps(masked, ensure_ascii=False, separators=(",", ":"))
        except (ValueError, RecursionError):
            pass
        return f"{MASK} ({len(payload):,} bytes)"

    def _bare(self, payload: bytes) -> bytes:
        """Return a payload without the frame that its source's messages may have."""
        said = self._dataset.version_from if self._dataset is not None else None
        return unframed(payload) if said is not None and said.confluent is not None else payload

    def _masked(self, value: dict[str, Any]) -> Any:
        """Return an event masked; around one in Iglu's envelope, the name of its schema stays."""
        is_wrapped = self._dataset is not None and self._dataset.iglu is not None and value.keys() == {"schema", "data"}
        if not is_wrapped or not isinstance(value["schema"], str) or iglu.named(value["schema"]) is None:
            return self._pii.masked(value, self._pii.root())
        return {"schema": value["schema"], "data": self._pii.masked(value["data"], self._pii.root())}

    def event(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the columns of a row of silver, or fields that are no column, with what is personal masked."""
        root = self._pii.root()
        if self._pii.is_clear(root):
            return dict(row)
        return {name: self._pii.masked(value, self._pii.child(root, name)) for name, value in row.items()}

    def field(self, name: str, value: Any) -> Any:
        """Return the value of a field named as in a key, such as `customer.id`, masked if it is personal."""
        if not self.hides or self._dataset is None:
            return MASK if self.hides and value is not None else value
        path = paths.resolve(name, self._dataset.columns())
        place, _ = self._place([path.column, *(_ANY if step == paths.ELEMENTS else step for step in path.steps)])
        return self._pii.masked(value, place)

    def event_time(self, value: Any) -> Any:
        """Return an event's time, masked where the field that it is read from is personal."""
        named = self._dataset.event_time if self._dataset is not None else None
        return value if named is None else self.field(named, value)

    def verdict(self, stage: str, code: str, reason: str, path: str | None, value: str | None) -> Verdict:
        """Return what a stage said, without what is personal. A verdict that was masked stays as it is."""
        said = Verdict(reason, path, value)
        if not self.hides or code == UNKNOWN_DATASET:  # which speaks of an attribute
            return said
        if stage == "late":
            if self.event_time(value) == value:
                return said
            return Verdict(f"{code.replace('_', ' ')}: its event time is masked", path, MASK)
        steps = [] if path is None else _steps(path)
        if steps is None:
            return Verdict(self._sentence(stage, code, None), "$", MASK)
        place, met = self._place(steps)
        if place is not None and self._pii.is_clear(place):
            return said
        quotes = met != steps or (stage, code) in _QUOTE or not {(stage, code), (stage, "")} & _QUOTE_NOTHING
        return Verdict(
            self._sentence(stage, code, place) if quotes else reason,
            path if met == steps else _path(met),
            self._value(value, place),
        )

    def rejected(self, rejected: pa.RecordBatch) -> pa.RecordBatch:
        """Return rejections or warnings (`words.rejection_schema()`) without what is personal."""
        if not len(rejected) or not self.hides:
            return rejected
        found = [self.failure(each) for each in rejected.to_pylist()]
        return pa.RecordBatch.from_pylist(found, schema=words.rejection_schema())

    def failure(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row of the quarantine, or of rejections, without what is personal."""
        said = self.verdict(row["stage"], row["code"], row["reason"], row["path"], row["value"])
        return {**row, **said._asdict()}

    def _place(self, steps: Sequence[str | int]) -> tuple[Place | None, list[str | int]]:
        """Return the place that steps lead to, and those that may be told: no names within what is personal."""
        place: Place | None = self._pii.root()
        met: list[str | int] = []
        for step in steps:
            if place is None or self._pii.is_personal(place):
                break
            if not self._pii.is_clear(place):
                place = self._pii.child(place, step)
            met.append(step)
        return place, met

    def _value(self, value: str | None, place: Place | None) -> str | None:
        if value is None:
            return None
        try:
            masked = self._pii.masked(shown(value), place)
        except ValueError:  # it was cut, or is the beginning of what is no JSON
            return MASK
        return MASK if masked == MASK else json.dumps(masked, ensure_ascii=False)

    def _sentence(self, stage: str, code: str, place: Place | None) -> str:
        """Return a reason that quotes the contract, and nothing else."""
        if stage == "internal":
            return f"headrace failed on this message: {code}; what it said is masked"
        rule = self._pii.rule(place, code) if place else None
        told = "" if rule is None else json.dumps(rule, ensure_ascii=False)
        said = f": {told}" if 0 < len(told) <= _RULE_CHARACTERS else ""
        return f"the value (masked) does not meet {code}{said}"


class Maskings:
    """What may be shown of the events of a source, by the name of their dataset."""

    def __init__(self, datasets: Iterable[Dataset]) -> None:
        self._of = {each.name: Masking(each, Pii(each.contract.schema, _added(each))) for each in datasets}
        hides = any(each.hides for each in self._of.values())
        self._unknown = Masking(None, Pii({WORD: True} if hides else {}))
        self._gone = Masking(None, Pii({WORD: True}))

    def __getitem__(self, dataset: str | None) -> Masking:
        """Return the masking of a dataset; without one, all is hidden if anything ever is.

        Of a dataset that the source does not have, nobody says any more what is personal: all is hidden.
        """
        return self._of.get(dataset, self._gone) if dataset else self._unknown


def _added(dataset: Dataset) -> dict[str, Any]:
    """Return a schema of each column that events get from lookups, and of what only older versions call personal."""
    known = {column.name for column in dataset.contract.columns}
    older = (version.contract.schema for version in dataset.versions[:-1])
    found: dict[str, Any] = {name: {WORD: True} for schema in older for name in Pii(schema).names() - known}
    for step in dataset.enrichments:
        schemas = {each.name: {WORD: each.name in step.personal} for each in step.added}
        if step.struct:
            found[step.struct] = {"properties": schemas}
        else:
            found |= {step.prefix + name: schema for name, schema in schemas.items()}
    return found


def _steps(path: str) -> list[str | int] | None:
    """Return the steps of a JSON path in any of its spellings; None where it is none."""
    if not path.startswith("$"):
        return None
    at, found = 1, list[str | int]()
    while at < len(path):
        step = _STEP.match(path, at)
        if step is None:
            return None
        plain, index, quoted, single = step.groups()
        if index is not None:
            found.append(_ANY if index == "*" else int(index))
        elif quoted is not None:
            found.append(str(json.loads(quoted)))
        else:
            found.append(plain if plain is not None else re.sub(r"\\(.)", r"\1", single))
        at = step.end()
    return found


def _path(steps: Sequence[str | int]) -> str:
    path = "$"
    for step in steps:
        path = f"{path}[*]" if step == _ANY else child(path, step)
    return path
