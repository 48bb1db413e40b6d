"""History that was decided again: the statements that put it in the place of what was decided before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace import words
from headrace.contracts.types import literal
from headrace.lake import tables

if TYPE_CHECKING:
    from collections.abc import Callable, Set

    import duckdb

OPS = ("ops.batches", "ops.ledger", "ops.superseded", "ops.quarantine", "ops.deployments", "ops.contracts")
"""The ops tables that deciding again writes. Positions stay: what was taken from the bus was taken."""

_OF_BATCHES = (tables.LEDGER, tables.SUPERSEDED, tables.QUARANTINE)


@dataclass(frozen=True, slots=True)
class History:
    """The messages of a source from `first` on, which is the first of a batch, decided again under `deployment`.

    `datasets` are the names of those that it has now, and of those that it had.
    """

    source: str
    first: int
    datasets: tuple[str, ...]
    deployment: str


class Swap:
    """Runs on the writer's connection, with the scratch lake attached as `made`; what it changes is one transaction."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, query: Callable[..., pa.Table]) -> None:
        self._connection = connection
        self._query = query

    def prepare(self, history: History) -> dict[str, pa.Table]:
        """Read what will be gone: the batches, the partitions that lose rows, what people did in quarantine."""
        since = f"source = {literal(history.source)} AND first_seq >= {history.first}"
        batches = self._query(f"SELECT batch_id FROM {tables.BATCHES.sql} WHERE {since}")
        status = self._query(
            f"SELECT seq, any_value(status) AS status FROM {tables.QUARANTINE.sql} "
            f"WHERE source = {literal(history.source)} AND status <> 'open' GROUP BY seq"
        )
        parts = [
            f'SELECT DISTINCT {literal(dataset)} AS dataset, "{words.EVENT_DATE}" AS event_date '
            f"FROM lake.silver.{_quoted(dataset)} {self._gone(history, dataset)}"
            for dataset in history.datasets
            if self._is_there("lake", dataset)
        ]
        touched = self._query(" UNION ALL ".join(parts)) if parts else pa.table({"dataset": [], "event_date": []})
        return {"batches": batches, "status": status, "touched": touched}

    def take_out(self, history: History, there: Set[str]) -> None:
        """Take out the rows of silver that were decided in this history, or lost to one that was."""
        for dataset in history.datasets:
            if dataset in there:
                self._connection.execute(f"DELETE FROM lake.silver.{_quoted(dataset)} {self._gone(history, dataset)}")

    def put_in(self, history: History, said: dict[str, pa.Table]) -> None:
        """Put in what the scratch lake has, in silver and in the records of the batches."""
        for dataset in history.datasets:
            if self._is_there("made", dataset):
                name = _quoted(dataset)
                self._connection.execute(
                    f"INSERT INTO lake.silver.{name} BY NAME SELECT * FROM made.silver.{name} "
                    f'WHERE "{words.SEQ}" >= {history.first} '
                    f'OR "{words.SEQ}" NOT IN (SELECT "{words.SEQ}" FROM lake.silver.{name})'
                )
        since = f"source = {literal(history.source)} AND first_seq >= {history.first}"
        mine = f"SELECT batch_id FROM made.ops.batches WHERE {since}"
        for table in _OF_BATCHES:
            self._query(f"DELETE FROM {table.sql} WHERE batch_id IN (SELECT batch_id FROM gone)", gone=said["batches"])
        for table in (tables.LEDGER, tables.SUPERSEDED):
            names = ", ".join(_quoted(name) for name in table.columns.names)
            self._connection.execute(
                f"INSERT INTO {table.sql} BY NAME SELECT {names} FROM made.{table.name} WHERE batch_id IN ({mine})"
            )
        self._query(
            f"INSERT INTO {tables.QUARANTINE.sql} BY NAME "
            "SELECT q.* REPLACE (coalesce(was.status, q.status) AS status) "
            f"FROM made.{tables.QUARANTINE.name} q LEFT JOIN was ON q.seq = was.seq WHERE batch_id IN ({mine})",
            was=said["status"],
        )
        self._connection.execute(f"DELETE FROM {tables.BATCHES.sql} WHERE {since}")
        self._query(
            f"INSERT INTO {tables.BATCHES.sql} BY NAME "
            f"SELECT b.* REPLACE ({literal(history.deployment)} AS deployment, "
            f"CASE WHEN first_seq = {history.first} THEN list_distinct(list_concat(touched, "
            "(SELECT coalesce(list({'dataset': dataset, 'event_date': event_date}), []) FROM emptied))) "
            f"ELSE touched END AS touched) FROM made.ops.batches b WHERE {since}",
            emptied=said["touched"].cast(_TOUCHED),
        )

    def _gone(self, history: History, dataset: str) -> str:
        """Return the WHERE of the rows that are taken out."""
        kept = "SELECT NULL::BIGINT WHERE false"
        if self._is_there("made", dataset):
            kept = f'SELECT "{words.SEQ}" FROM made.silver.{_quoted(dataset)}'
        return f'WHERE "{words.SEQ}" >= {history.first} OR "{words.SEQ}" NOT IN ({kept})'

    def _is_there(self, lake: str, dataset: str) -> bool:
        found: list[Any] = self._connection.execute(
            "SELECT 1 FROM duckdb_tables() WHERE database_name = ? AND schema_name = 'silver' AND table_name = ?",
            [lake, dataset],
        ).fetchall()
        return bool(found)


_TOUCHED = pa.schema([("dataset", pa.string()), ("event_date", pa.date32())])


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
