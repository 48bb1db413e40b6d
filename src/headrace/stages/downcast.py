"""Downcast: from the newest shape of an event back to an older version, for readers that have not moved.

The steps are those of the upcast turned around, where that can be done; else the source declares them.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from headrace import words
from headrace.stages.event_json import event_json_sql
from headrace.stages.key import ALIAS
from headrace.stages.sql import SqlKernel
from headrace.stages.upcast import UpcastStep
from headrace.stages.upcast_hop import UpcastFault
from headrace.stages.upcast_way import way

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.contracts.versions import Version
    from headrace.stages.dataset import Dataset

Steps = tuple[UpcastStep, ...]


class Downcasted(NamedTuple):
    """Events as an older version has them: the JSON text of each, and which rows they are; the others do not fit."""

    data: pa.Array
    rows: pa.Array


class Downcast:
    """Writes events of silver as an older version of their contract has them. Belongs to one thread."""

    def __init__(self, dataset: Dataset, version: Version) -> None:
        """Compile the way back; `check_downcast` found nothing wrong with it."""
        chain, steps = _chain(dataset, version)
        self._upcast = way(chain, steps, "downcast").upcast
        self._columns = [column.name for column in dataset.contract.columns]
        self._kernel = SqlKernel()
        required = {name for name in version.contract.schema.get("required", ()) if isinstance(name, str)}
        text = event_json_sql(version.contract.arrow_schema(), ALIAS, required)
        self._sql = f"SELECT {text} AS data FROM rows {ALIAS}"

    def __call__(self, events: pa.RecordBatch) -> Downcasted:
        """Return what becomes of rows of silver."""
        numbered = events.select(self._columns).append_column(
            words.ROW, pa.array(np.arange(len(events), dtype=np.int32))
        )
        kept = self._upcast(numbered).kept
        data = self._kernel.run(self._sql, rows=kept)["data"].combine_chunks()
        return Downcasted(data.cast(pa.string()), kept.column(words.ROW))


def check_downcast(dataset: Dataset, version: Version) -> list[UpcastFault]:
    """Return why events of the newest version cannot be written as this one, each with the step to declare."""
    chain, steps = _chain(dataset, version)
    faults = []
    for newer, older in itertools.pairwise(chain):
        if older.name not in dataset.downcasts and (lost := _not_invertible(dataset.upcasts.get(older.name, ()))):
            message = f"the way from {newer.name} back to {older.name} cannot be derived: {lost} has no inverse"
            faults.append(UpcastFault(older.name, (), message, f"declare it: `downcast: {{{older.name}: […]}}`"))
    return faults or [fault for fault in way(chain, steps, "downcast").faults if not fault.warning]


def _chain(dataset: Dataset, version: Version) -> tuple[tuple[Version, ...], dict[str, Steps]]:
    """Return the versions from the newest back to this one, and the steps from each by its name."""
    at = dataset.versions.index(version)
    chain = tuple(reversed(dataset.versions[at:]))
    steps = {
        newer.name: dataset.downcasts.get(older.name, _inverse(dataset.upcasts.get(older.name, ())))
        for newer, older in itertools.pairwise(chain)
    }
    return chain, steps


def _inverse(steps: Sequence[UpcastStep]) -> Steps:
    """Return steps turned around: what had a default or was dropped needs none."""
    found = []
    for step in reversed(steps):
        if step.rename:
            found.append(UpcastStep(rename={new: old for old, new in step.rename.items() if "." not in old} or None))
        elif step.cast:
            found.append(step)
    return tuple(step for step in found if step.rename or step.cast)


def _not_invertible(steps: Sequence[UpcastStep]) -> str:
    for step in steps:
        if step.set:
            return f"`set: {{{next(iter(step.set))}: …}}`"
        nested = next((old for old in step.rename or {} if "." in old), None)
        if nested is not None:
            return f"`rename: {{{nested}: …}}`"
    return ""
