"""The lineage of a whole project: event field → silver column → model column → …, as a graph that is asked both ways.

What it is made of is handed in: which columns come from which, table by table. It is open at its end: whoever reads
gold (an API's field, a dashboard, a feature) is a table like any other, with a kind of its own.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headrace.governance.lineage_sql import ALL, Ref

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the graph: where its columns come from, what decides its rows, and where it is written.

    `kind` is event, silver, model, seed, snapshot, or what a later reader calls itself. `lines` has the line of `file`
    that a column is written on. `counted` are the columns whose values are others where the rows are, as a sum's. Where
    `problem` is said, its columns are not known, and each is taken to come from all
    columns of its `parents`.
    """

    name: str
    kind: str
    columns: Mapping[str, frozenset[Ref]]
    rows: frozenset[Ref] = frozenset()
    parents: frozenset[str] = frozenset()
    file: str = ""
    lines: Mapping[str, int] = field(default_factory=dict)
    problem: str = ""
    counted: frozenset[str] = frozenset()

    def at(self, column: str = "") -> str:
        """Return the place of a column, as `file:line`."""
        return f"{self.file}:{self.lines.get(column.partition('.')[0], 1)}" if self.file else ""


@dataclass(frozen=True, slots=True)
class Step:
    """A column on the way from, or to, another. `how`: its `value` is made of it, or it decides the `rows`."""

    ref: Ref
    how: str
    next: tuple[Step, ...] = ()


class Graph:
    """Every column of a project, and what it comes from. Names are looked up whatever their case."""

    def __init__(self, tables: Iterable[Table]) -> None:
        self.tables: dict[str, Table] = {each.name: each for each in tables}
        self._readers: defaultdict[str, list[tuple[Ref, Ref, str]]] = defaultdict(list)
        for table in self.tables.values():
            for made, come_from, how in _edges(table):
                self._readers[come_from.table].append((come_from, made, how))

    def find(self, text: str) -> Ref | None:
        """Return the column of that name, of any table: `gold.fct.revenue`, `silver.orders.amount`, `orders.amount`."""
        parts = text.replace("[]", "").lower().split(".")
        for cut in range(1, len(parts)):
            table = self.tables.get(".".join(parts[:cut]))
            if table is not None and (parts[cut] in table.columns or table.problem):
                return Ref(table.name, ".".join(parts[cut:]))
        return None

    def names(self) -> Iterator[str]:
        """Yield every column's name."""
        for table in self.tables.values():
            yield from (f"{table.name}.{column}" for column in table.columns)

    def up(self, ref: Ref) -> tuple[Step, ...]:
        """Return where a column comes from, step by step, to the fields of events."""
        return self._up(ref, frozenset({ref}))

    def down(self, ref: Ref) -> tuple[Step, ...]:
        """Return what a column goes into, step by step, to where it ends."""
        return self._down(ref, frozenset({ref}))

    def readers(self, ref: Ref) -> set[Ref]:
        """Return the columns that are made of a column straight away; of a table whose rows it decides, `*`."""
        return {made for made, _ in self._made_of(ref)}

    def reached(self, refs: Iterable[Ref]) -> dict[Ref, frozenset[str]]:
        """Return every column that any of these goes into, and in which ways: `value`, `rows`.

        A table whose rows are decided by one of these is there as the column `*`, and its `counted` columns with what
        follows of them: its other columns hold the same values, in other rows.
        """
        found: dict[Ref, set[str]] = {}
        todo = list(refs)
        while todo:
            for made, how in self._made_of(todo.pop()):
                if "value" not in found.get(made, ()) and how == "value":
                    todo.append(made)
                found.setdefault(made, set()).add(how)
                for each in self._counted(made.table) if how == "rows" else ():
                    if "value" not in found.get(each, ()):
                        todo.append(each)
                    found.setdefault(each, set()).add("value")
        return {ref: frozenset(ways) for ref, ways in found.items()}

    def dependents(self, table: str) -> set[str]:
        """Return the tables that read a table, directly or through others."""
        found: set[str] = set()
        todo = [table]
        while todo:
            for _, made, _ in self._readers.get(todo.pop(), ()):
                if made.table not in found:
                    found.add(made.table)
                    todo.append(made.table)
        return found

    def shifted(self, tables: Iterable[str]) -> tuple[set[str], set[Ref]]:
        """Return the tables below these, in which other rows are where these hold others, and their counted columns."""
        below = {name for each in tables for name in self.dependents(each)}
        return below, {ref for name in below for ref in self._counted(name)}

    def _counted(self, table: str) -> list[Ref]:
        return [Ref(table, each) for each in self.tables[table].counted] if table in self.tables else []

    def _up(self, ref: Ref, seen: frozenset[Ref]) -> tuple[Step, ...]:
        table = self.tables.get(ref.table)
        if table is None:
            return ()
        name, _, fields = ref.column.partition(".")
        sources = table.columns.get(name)
        if sources is None and table.problem:
            sources = frozenset(Ref(parent, ALL) for parent in table.parents)
        steps = []
        for each in sorted(sources or ()):
            inner = each
            if fields and len(sources or ()) == 1:
                inner = Ref(each.table, f"{each.column}.{fields}")
            if inner not in seen:
                steps.append(Step(inner, "value", self._up(inner, seen | {inner})))
        return tuple(steps)

    def _down(self, ref: Ref, seen: frozenset[Ref]) -> tuple[Step, ...]:
        steps = []
        for made, how in sorted(self._made_of(ref)):
            if made not in seen:
                following = self._down(made, seen | {made}) if how == "value" else ()
                steps.append(Step(made, how, following))
        return tuple(steps)

    def _made_of(self, ref: Ref) -> set[tuple[Ref, str]]:
        return {(made, how) for come_from, made, how in self._readers.get(ref.table, ()) if _meet(come_from, ref)}


def _edges(table: Table) -> Iterator[tuple[Ref, Ref, str]]:
    """Yield (made, comes from, how) of a table."""
    for column, sources in table.columns.items():
        for each in sources:
            yield Ref(table.name, column), each, "value"
    for each in table.rows:
        yield Ref(table.name, ALL), each, "rows"
    if table.problem:
        for parent in table.parents:
            yield Ref(table.name, ALL), Ref(parent, ALL), "value"


def _meet(one: Ref, other: Ref) -> bool:
    """Return whether two columns of a table have anything in common: a struct has its fields."""
    left, right = one.column, other.column
    return ALL in {left, right} or left == right or left.startswith(f"{right}.") or right.startswith(f"{left}.")
