"""One column's lineage as plain values: what `headrace lineage` shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.config.faults import did_you_mean
from headrace.errors import InputError
from headrace.governance.lineage_sql import ALL
from headrace.runtime.lineage import lineage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headrace.config.project import Project
    from headrace.governance.lineage import Graph, Step
    from headrace.governance.lineage_sql import Ref


def told(project: Project, column: str) -> dict[str, Any]:
    """Return the documented shape of `headrace lineage --json`. Raises `InputError` where there is no such column."""
    graph = lineage(project)
    ref = graph.find(column)
    if ref is None:
        raise InputError(f"no column '{column}'", at=column, fix=_hint(graph, column))
    table = graph.tables[ref.table]
    return {
        "column": str(ref),
        "kind": table.kind,
        "at": table.at(ref.column),
        "problem": table.problem,
        "up": _steps(graph, graph.up(ref)),
        "down": _steps(graph, graph.down(ref)),
    }


def _hint(graph: Graph, column: str) -> str:
    name = column.lower()
    table = name.rpartition(".")[0]
    if table in graph.tables:
        return did_you_mean(name, (f"{table}.{each}" for each in graph.tables[table].columns))
    if name in graph.tables:
        return f"add a column of it: {', '.join(graph.tables[name].columns)}"
    return did_you_mean(name, graph.names()) or "name it as gold.MODEL.COLUMN, silver.DATASET.COLUMN or DATASET.FIELD"


def _steps(graph: Graph, steps: Iterable[Step]) -> list[dict[str, Any]]:
    return [
        {
            "column": str(step.ref),
            "kind": graph.tables[step.ref.table].kind if step.ref.table in graph.tables else "unknown",
            "how": step.how,
            "at": _at(graph, step.ref),
            "problem": graph.tables[step.ref.table].problem if step.ref.table in graph.tables else "",
            "next": _steps(graph, step.next),
        }
        for step in steps
    ]


def _at(graph: Graph, ref: Ref) -> str:
    table = graph.tables.get(ref.table)
    return "" if table is None else table.at("" if ref.column == ALL else ref.column)
