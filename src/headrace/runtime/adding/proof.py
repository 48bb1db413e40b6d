"""The draft of a source, held against the sample that it was made from, by the ordinary stages."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from headrace import words
from headrace.config.files import PROJECT_FILE
from headrace.config.project import CONNECTORS, assemble
from headrace.errors import ConfigError, InternalError
from headrace.runtime.adding.cases import Row
from headrace.runtime.contract_cases import Stages, arriving

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping

    from headrace.config.source import Source

_LOOKED_AT = 2_000


@dataclass
class Proof:
    """What the stages made of the rows. `refused` counts by stage and code, with the first reason of each.

    Of neighbours in the file `ordered` of `pairs` are in the order of their event times.
    """

    rows: int = 0
    kept: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    reasons: dict[str, str] = field(default_factory=dict)
    pairs: int = 0
    ordered: int = 0
    first: dt.datetime | None = None
    last: dt.datetime | None = None
    some: list[Row] = field(default_factory=list)


def drafted(root: Path, source_id: str, files: Mapping[str, str], environment: str | None) -> Source:
    """Return the source that files would be, under the project's settings; nothing of the project is touched.

    Raises `ConfigError` for what is wrong with them.
    """
    with tempfile.TemporaryDirectory(prefix="headrace-add-") as folder:
        draft = Path(folder)
        shutil.copyfile(root / PROJECT_FILE, draft / PROJECT_FILE)
        for file, text in files.items():
            path = draft / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        assembled = assemble(draft, environment, {})
        read = next(
            (read for read in assembled.reads if read.origin.document.file == f"{CONNECTORS}/{source_id}.yaml"), None
        )
    if read is None:
        fault = next((each for each in assembled.faults if each.severity == "error"), None)
        raise fault.as_error() if fault else InternalError("the draft of the source did not load")
    wrong = [fault for fault in read.faults if fault.severity == "error"]
    if wrong:
        raise ConfigError(wrong[0].message, at=wrong[0].file, fix=wrong[0].fix)
    assert read.source is not None  # noqa: S101 - what has no error loads
    return read.source


def prove(source: Source, messages: Iterable[pa.RecordBatch], now: dt.datetime) -> tuple[Proof, Stages]:
    """Run messages through the stages of a source."""
    proof, stages = Proof(), Stages(source)
    last: int | None = None
    for batch in messages:
        arrived = arriving(batch, now, proof.rows)
        decided = stages.decide(arrived)
        refused = [
            row for rows in decided.quarantine for row in rows.select(["seq", "stage", "code", "reason"]).to_pylist()
        ]
        for row in refused:
            what = f"{row['stage']}/{row['code']}"
            proof.refused[what] += 1
            proof.reasons.setdefault(what, row["reason"])
        if proof.rows < _LOOKED_AT:
            bad = {row["seq"] for row in refused}
            some = arrived.slice(0, _LOOKED_AT).select(["seq", "payload", "attributes"]).to_pylist()
            proof.some += [Row(row["payload"], dict(row["attributes"] or ())) for row in some if row["seq"] not in bad]
        proof.rows += len(batch)
        for kept in (each for batches in decided.kept.values() for each in batches):
            proof.kept += len(kept)
            last = _times(kept, proof, last)
    return proof, stages


def _times(kept: pa.RecordBatch, proof: Proof, last: int | None) -> int | None:
    times = kept.column(words.EVENT_TIME)
    micros = times.cast(pa.int64()).to_numpy(zero_copy_only=False)
    if not len(micros):
        return last
    whole = micros if last is None else np.concatenate([[last], micros])
    proof.pairs += len(whole) - 1
    proof.ordered += int((whole[1:] >= whole[:-1]).sum())
    low, high = (times[int(place)].as_py() for place in (micros.argmin(), micros.argmax()))
    proof.first = low if proof.first is None else min(low, proof.first)
    proof.last = high if proof.last is None else max(high, proof.last)
    return int(micros[-1])
