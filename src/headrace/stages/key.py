"""The key of a dataset: its SQL, its hash, and the stage that wants it whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from headrace import words
from headrace.stages import paths
from headrace.stages.base import Outcome
from headrace.stages.canonical import column_sql
from headrace.stages.rejections import none_rejected, rejections
from headrace.stages.sql import SqlKernel

if TYPE_CHECKING:
    import numpy as np

    from headrace.stages.dataset import Dataset


ALIAS = "_headrace_rows"
"""What the rows must be called in any SQL that these functions make.

Without it `customer.id`, a field of the column `customer`, would be taken for the column `id` of a table `customer`.
"""


def key_columns(dataset: Dataset, alias: str = ALIAS) -> list[str]:
    """Return the key as SQL over rows called `alias`; a path such as `customer.id` reaches into a struct."""
    return [path_column(dataset, text, alias) for text in dataset.key]


def path_column(dataset: Dataset, text: str, alias: str = ALIAS) -> str:
    """Return one column or path of a dataset as SQL. Raises `ConfigError` where the contract has no such place."""
    path = paths.resolve(text, dataset.contract.arrow_schema())
    return column_sql(alias, path.column, *path.steps)


def key_hash_sql(dataset: Dataset) -> str:
    """Return the SQL of a key's 64-bit hash, the same for arriving rows and for rows in silver."""
    return f"hash({', '.join(key_columns(dataset))})"


class KeyPresent:
    """Refuses events that have no value for a column of their key: nothing could tell them apart."""

    def __init__(self, dataset: Dataset) -> None:
        schema = dataset.contract.arrow_schema()
        self._paths = [paths.resolve(text, schema) for text in dataset.key]

    def __call__(self, batch: pa.RecordBatch) -> Outcome:
        """Keep the rows whose key is whole."""
        missing = [pc.is_null(paths.leaves(batch, path).values) for path in self._paths]
        if not any(pc.any(each).as_py() for each in missing):
            return Outcome(batch, none_rejected(), none_rejected())
        refused = [none_rejected()]
        whole = pa.repeat(True, len(batch))
        for path, null in zip(self._paths, missing, strict=True):
            rows = batch.filter(pc.and_(null, whole)).column(words.ROW)
            reason = "a column of the key has no value"
            refused.append(rejections(rows, stage="contract", code="key_missing", reason=reason, path=path.json()))
            whole = pc.and_(whole, pc.invert(null))
        return Outcome(batch.filter(whole), pa.concat_batches(refused), none_rejected())


class KeyHash:
    """Adds KEY_HASH, by which the merge finds the rows that may have one key: the same for one version of DuckDB."""

    def __init__(self, dataset: Dataset) -> None:
        self._kernel = SqlKernel()
        self._sql = f"SELECT {key_hash_sql(dataset)} AS h FROM rows {ALIAS}"

    def __call__(self, batch: pa.RecordBatch) -> Outcome:
        """Keep every row."""
        hashes = pa.array(self.of(batch), pa.uint64())
        return Outcome(batch.append_column(words.KEY_HASH, hashes), none_rejected(), none_rejected())

    def of(self, rows: pa.RecordBatch | pa.Table) -> np.ndarray:
        """Return the hash of each row's key."""
        hashes: np.ndarray = self._kernel.run(self._sql, rows=rows)["h"].to_numpy()
        return hashes
