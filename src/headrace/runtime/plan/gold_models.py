"""What becomes of gold: models that are other models now, and those that what they read makes others, or breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from headrace.governance.lineage_sql import ALL, Ref
from headrace.lake.tables import silver
from headrace.runtime.inputs import inputs
from headrace.runtime.lineage import CACHE, Cache, lineage
from headrace.runtime.plan.silver_tables import layouts
from headrace.warehouse.binding import Bound, bound
from headrace.warehouse.rendering import models

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence, Set

    from headrace.config.project import Project
    from headrace.governance.lineage import Graph
    from headrace.lake.reader import LakeReader
    from headrace.lake.tables import Table
    from headrace.runtime.plan.deployed import Deployed
    from headrace.runtime.plan.silver_tables import TableChange
    from headrace.warehouse.rendering import Model


class GoldColumn(TypedDict):
    """A column of a model that is added, removed, gets another type, or other values."""

    column: str
    change: str
    was: str
    now: str
    at: str


class ModelChange(TypedDict):
    """A model that is added, changed, removed, or affected by what it reads.

    `breaks` is what DuckDB says where its SQL does not fit any more. `rows`: other rows may be in it. `unread` says why
    its columns are not known; then all of it may change. `full_refresh`: it is incremental, and what it holds was made
    by other SQL or of other columns.
    """

    model: str
    action: str
    at: str
    columns: list[GoldColumn]
    rows: bool
    breaks: str
    unread: str
    full_refresh: bool


def model_changes(
    was: Deployed,
    now: Project,
    lake: LakeReader | None,
    tables: Sequence[TableChange],
    values: Iterable[Ref] = (),
    rows: Iterable[str] = (),
) -> list[ModelChange]:
    """Return what becomes of every model that is not as it was.

    `tables` are the silver tables whose columns change; `values` are columns of silver that hold other values, and
    `rows` the silver tables that hold other rows.
    """
    rendered: dict[tuple[str, ...], Model] = {}
    after = {model.table: model for model in models(inputs(now), known=rendered)}
    before = after
    if was.models is not None and was.project is not None:
        before = {model.table: model for model in models(inputs(was.project), was.models, rendered)}
    edited = {name for name in before.keys() | after.keys() if _digest(before.get(name)) != _digest(after.get(name))}
    altered = {Ref(each["table"], column["column"].lower()) for each in tables for column in each["columns"]} | set(
        values
    )
    rows = set(rows)
    below = {ref.table for ref in altered} | rows | edited
    cache = Cache(now.state / CACHE)
    graph = lineage(now, list(after.values()), cache, below)
    old = graph if was.project is None else lineage(was.project, list(before.values()), cache, below)
    cache.keep(partly=True)
    ways = _both(_ways(old, altered, rows), _ways(graph, altered, rows))
    reached: dict[str, list[Ref]] = {}
    for ref in sorted(ways):
        reached.setdefault(ref.table, []).append(ref)
    told = edited | {name for name in reached if name in after or name in before}
    of_rows = {*rows, *(ref.table for ref, how in ways.items() if "rows" in how)}
    shifted = {name for name in graph.shifted(of_rows)[0] if name in after}
    told |= shifted
    told |= {name for each in edited & after.keys() for name in graph.dependents(each) if name in after}
    types_before = _bound(told, before, was.project or now, lake)
    types_after = _bound(told, after, now, lake)
    found = []
    for name in sorted(told):
        change = _change(name, before, after, graph, reached, ways, types_before, types_after, shifted=name in shifted)
        if change is not None:
            found.append(change)
    return found


def _ways(graph: Graph, altered: Set[Ref], rows: Iterable[str]) -> dict[Ref, frozenset[str]]:
    """Return the columns that these go into, and the tables whose rows they decide; other rows are other sums."""
    ways = graph.reached(altered)
    _, counted = graph.shifted({*rows, *(ref.table for ref, how in ways.items() if "rows" in how)})
    value = dict.fromkeys(counted, frozenset({"value"}))
    return _both(_both(ways, value), graph.reached(counted))


def _both(one: Mapping[Ref, frozenset[str]], other: Mapping[Ref, frozenset[str]]) -> dict[Ref, frozenset[str]]:
    return {ref: one.get(ref, frozenset()) | other.get(ref, frozenset()) for ref in one.keys() | other.keys()}


def _change(
    name: str,
    before: Mapping[str, Model],
    after: Mapping[str, Model],
    graph: Graph,
    reached: Mapping[str, Sequence[Ref]],
    ways: Mapping[Ref, frozenset[str]],
    types_before: Mapping[str, Bound],
    types_after: Mapping[str, Bound],
    *,
    shifted: bool,
) -> ModelChange | None:
    model = after.get(name, before.get(name))
    if model is None:
        return None
    edited = _digest(before.get(name)) != _digest(after.get(name))
    action = "added" if name not in before else "removed" if name not in after else "changed" if edited else "affected"
    left, right = types_before.get(name, Bound()), types_after.get(name, Bound())
    columns: list[GoldColumn] = []
    if action in {"changed", "affected"} and not (left.problem or right.problem):
        for column in dict.fromkeys([*left.columns, *right.columns]):
            was, now = left.columns.get(column, ""), right.columns.get(column, "")
            if was != now:
                change = "added" if not was else "removed" if not now else "type"
                columns.append({"column": column, "change": change, "was": was, "now": now, "at": ""})
    known = {each["column"] for each in columns}
    by_value = [ref for ref in reached.get(name, ()) if "value" in ways[ref] and ref.column != ALL]
    others = [ref.column for ref in by_value if action != "removed" and ref.column not in known]
    columns += [{"column": column, "change": "values", "was": "", "now": "", "at": ""} for column in others]
    table = graph.tables.get(name)
    for each in columns:
        each["at"] = table.at(each["column"]) if table is not None else ""
    breaks = right.problem if name in after and right.problem and not left.problem and not model.problem else ""
    rows = shifted or any("rows" in ways[ref] for ref in reached.get(name, ()))
    unread = table.problem if table is not None else ""
    if action == "affected" and not (columns or breaks or rows or unread):
        return None
    shape = any(each["change"] != "values" for each in columns)
    return {
        "model": name,
        "action": action,
        "at": model.file,
        "columns": columns,
        "rows": rows,
        "breaks": breaks,
        "unread": unread,
        "full_refresh": model.materialized == "incremental" and action != "added" and (edited or shape),
    }


def _bound(
    told: Iterable[str],
    known: Mapping[str, Model],
    project: Project,
    lake: LakeReader | None,
) -> dict[str, Bound]:
    """Bind these models and all that they read."""
    wanted: dict[str, None] = {}
    for first in sorted(told):
        todo = [(first, False)]
        while todo:
            name, parents_are_done = todo.pop()
            if name not in known or name in wanted:
                continue
            if parents_are_done:
                wanted[name] = None
                continue
            todo.append((name, True))
            todo += [(parent, False) for parent in sorted(known[name].parents) if (parent, True) not in todo]
    chosen = [known[name] for name in wanted]
    return bound(_silver(project, lake, chosen), chosen) if chosen else {}


def _silver(project: Project, lake: LakeReader | None, chosen: Sequence[Model]) -> dict[str, dict[str, str]]:
    """Return the columns of the silver tables that models name: in a ref, or written out."""
    said = " ".join(model.sql.lower() for model in chosen)
    tables: dict[str, Table] = {
        f"silver.{dataset.name}": silver(dataset)
        for source in project.sources.values()
        for dataset in source.datasets
        if dataset.name in said
    }
    return layouts(tables, lake)


def _digest(model: Model | None) -> str:
    return "" if model is None else model.digest
