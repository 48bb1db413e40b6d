"""The lineage of a project as its files stand: contracts and dbt models, read and put together, no lake needed."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from headrace import words
from headrace.governance.lineage import Graph, Table
from headrace.governance.lineage_sql import Ref, Selected, lineage_of
from headrace.lake.tables import silver
from headrace.runtime.inputs import inputs
from headrace.warehouse.rendering import SNAPSHOT_COLUMNS, models

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
    from pathlib import Path

    import pyarrow as pa

    from headrace.config.project import Project
    from headrace.config.source import Source
    from headrace.stages.dataset import Dataset
    from headrace.stages.enrich import Enrichment
    from headrace.warehouse.rendering import Model

CACHE = "lineage.json"
VERSION = "4"  # of what `lineage_of` says: another one makes what was kept worthless
MOST_KEPT = 20_000
_OPS = {"bronze.messages", "ops.batches", "ops.ledger", "ops.positions", "ops.quarantine"}


def lineage(
    project: Project,
    found: Sequence[Model] | None = None,
    cache: Cache | None = None,
    below: Collection[str] | None = None,
) -> Graph:
    """Return the graph of a project; `found` are its models, where they are at hand. Raises `BuildError`.

    With `below`, of models only those are in the graph that these tables go into, themselves, and what they read: to
    say what follows of a few tables, the rest need not be read.

    What was read is kept, unless a cache is given: then it is its owner's to `keep`.
    """
    tables = [table for source in project.sources.values() for table in _of_source(project, source)]
    mine = Cache(project.state / CACHE) if cache is None else cache
    tables += of_models(models(inputs(project)) if found is None else found, tables, mine, below)
    if cache is None:
        mine.keep()
    return Graph(tables)


class Cache:
    """The lineage of SELECTs by what they say and read; a file beside the state that may be deleted at any time."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._known: dict[str, Any] = {}
        self._used: dict[str, Any] = {}
        self._kept: frozenset[str] = frozenset()
        if file is not None:
            try:
                said = json.loads(file.read_text(encoding="utf-8"))
                self._known = said["selects"] if said.get("version") == VERSION else {}
            except (OSError, ValueError, KeyError, AttributeError):  # none yet, or one that was cut off
                self._known = {}
        self._kept = frozenset(self._known)

    def lineage_of(self, sql: str, tables: Mapping[str, Sequence[str] | None]) -> Selected:
        """Return `lineage_sql.lineage_of`, or what was kept of it."""
        said = json.dumps([sql, sorted((name, columns and list(columns)) for name, columns in tables.items())])
        digest = hashlib.sha256(said.encode()).hexdigest()
        if digest not in self._known:
            made = lineage_of(sql, tables)
            columns = [[name, [list(each) for each in sorted(refs)]] for name, refs in made.columns.items()]
            self._known[digest] = [columns, [list(each) for each in sorted(made.rows)], made.problem]
            self._known[digest].append(sorted(made.counted))
        columns, rows, problem, counted = self._used[digest] = self._known[digest]
        return Selected(
            {name: frozenset(Ref(*each) for each in refs) for name, refs in columns},
            frozenset(Ref(*each) for each in rows),
            problem,
            frozenset(counted),
        )

    def keep(self, *, partly: bool = False) -> None:
        """Keep what was used, where anything is new; what was not used goes when it is more than that.

        Where a graph was read `partly`, that says little of what is still used: then it goes when there is very much.
        """
        if self._file is None or not self._file.parent.is_dir() or self._used.keys() <= self._kept:
            return
        old = {name: each for name, each in self._known.items() if name in self._kept and name not in self._used}
        selects = self._used | (old if len(old) <= (MOST_KEPT if partly else len(self._used)) else {})
        written = self._file.with_suffix(".new")
        written.write_text(json.dumps({"version": VERSION, "selects": selects}), encoding="utf-8")
        written.replace(self._file)


def of_models(
    found: Sequence[Model], tables: Sequence[Table], cache: Cache, below: Collection[str] | None = None
) -> list[Table]:
    """Return the tables of models, over the tables that they may read; a circle of models is read as far as it goes.

    With `below`, only models that these tables go into, themselves, and what they read.
    """
    known: dict[str, list[str] | None] = {each.name: list(each.columns) for each in tables if each.kind == "silver"}
    made: dict[str, Table] = {}
    by_table = {model.table: model for model in found}
    names = known.keys() | by_table.keys() | _OPS
    reads = {model.table: _reads(model, names) for model in found}
    if below is not None:
        wanted = _around(below, {each.name: _made_of(each) for each in tables} | reads)
        by_table = {name: model for name, model in by_table.items() if name in wanted}
    for model in _ordered(by_table):
        table = _of_model(model, reads[model.table], known, cache)
        known[model.table] = None if table.problem else list(table.columns)
        made[model.table] = table
    return list(made.values())


def _reads(model: Model, names: Set[str]) -> frozenset[str]:
    """Return the tables that a model reads: those that it refers to, and those whose names are written out."""
    if model.kind == "seed" or model.problem:
        return model.parents
    written = re.findall(r'\b(\w++)"?+(?=\."?(\w+))', model.sql)  # each two of a.b.c: a database may stand before
    named = {f"{schema}.{table}".lower() for schema, table in written}
    return frozenset(named & names) | model.parents


def _made_of(table: Table) -> frozenset[str]:
    """Return the tables that a table is made of: of silver its events, and what is looked up for them."""
    refs = {ref.table for refs in table.columns.values() for ref in refs} | {ref.table for ref in table.rows}
    return frozenset(refs) | table.parents


def _around(first: Collection[str], reads: Mapping[str, frozenset[str]]) -> set[str]:
    """Return these tables, all that read them, through others too, and all that those read."""
    readers: dict[str, list[str]] = {}
    for name, read in reads.items():
        for each in read:
            readers.setdefault(each, []).append(name)
    found = _reached(first, readers)
    return _reached(found, reads)


def _reached(first: Iterable[str], ways: Mapping[str, Iterable[str]]) -> set[str]:
    found = set(first)
    todo = list(found)
    while todo:
        new = set(ways.get(todo.pop(), ())) - found
        found |= new
        todo += new
    return found


def _of_model(model: Model, reads: frozenset[str], known: Mapping[str, list[str] | None], cache: Cache) -> Table:
    if model.kind == "seed":
        columns = {each.lower(): frozenset[Ref]() for each in model.columns}
        return Table(model.table, "seed", columns, file=model.file)
    if model.problem:
        return Table(model.table, model.kind, {}, parents=model.parents, file=model.file, problem=model.problem)
    selected = cache.lineage_of(model.sql, {each: known.get(each) for each in sorted(reads)})
    columns = dict(selected.columns)
    if model.kind == "snapshot" and not selected.problem:
        columns |= dict.fromkeys(SNAPSHOT_COLUMNS, frozenset())
    return Table(
        name=model.table,
        kind=model.kind,
        columns=columns,
        rows=selected.rows,
        parents=reads,
        file=model.file,
        lines=written_lines(uncommented(model.text), columns),
        problem=selected.problem,
        counted=selected.counted,
    )


def _ordered(by_table: Mapping[str, Model]) -> Iterator[Model]:
    """Yield models, each after those that it refers to."""
    done: set[str] = set()
    for first in by_table:
        todo = [first]
        while todo:
            name = todo[-1]
            waits = [each for each in by_table[name].parents if each in by_table and each not in done]
            waits = [each for each in waits if each not in todo]
            if waits:
                todo += sorted(waits)
                continue
            todo.pop()
            if name not in done:
                done.add(name)
                yield by_table[name]


def _of_source(project: Project, source: Source) -> Iterator[Table]:
    for dataset in source.datasets:
        file = schema_file(project, source, dataset)
        text = project.files.get(file, b"").decode(errors="replace")
        columns = silver(dataset).columns
        lines = written_lines(text, columns.names)
        fields = {name: frozenset[Ref]() for name in dataset.contract.arrow_schema().names}
        yield Table(
            dataset.name, "event", {name.lower(): refs for name, refs in fields.items()}, file=file, lines=lines
        )
        yield Table(
            f"silver.{dataset.name}",
            "silver",
            {name.lower(): refs for name, refs in _of_silver(dataset, columns)},
            rows=frozenset(Ref(dataset.name, _path(each)) for each in (*dataset.key, *_named(dataset.version_by))),
            parents=frozenset({dataset.name}),
            file=file,
            lines=lines,
        )


def _of_silver(dataset: Dataset, columns: pa.Schema) -> Iterator[tuple[str, frozenset[Ref]]]:
    of_event = set(dataset.contract.arrow_schema().names)
    added = {field.name: _looked_up(dataset, step, field) for step in dataset.enrichments for field in step.fields()}
    time = frozenset(Ref(dataset.name, _path(each)) for each in _named(dataset.event_time))
    for name in columns.names:
        if name in of_event:
            yield name, frozenset({Ref(dataset.name, name.lower())})
        elif name in {words.EVENT_TIME, words.EVENT_DATE}:
            yield name, time
        else:
            yield name, added.get(name, frozenset())


def _looked_up(dataset: Dataset, step: Enrichment, field: pa.Field) -> frozenset[Ref]:
    """Return what a column that a lookup adds comes from: the fields that are looked up, and the lookup's columns."""
    taken = [each.name for each in step.added] if step.struct else [field.name.removeprefix(step.prefix)]
    table = f"silver.{step.dataset}" if step.dataset else f"gold.{step.lookup.lower()}"
    columns = (_path(".".join(step.places.get(name, (name,)))) for name in taken)
    by = (Ref(dataset.name, _path(name)) for name, _, _ in step.on)
    return frozenset({*by, *(Ref(table, each) for each in columns)})


def _named(column: str | None) -> list[str]:
    return [column] if column else []


def _path(field: str) -> str:
    return field.replace("[]", "").lower()


def schema_file(project: Project, source: Source, dataset: Dataset) -> str:
    """Return the file that says a dataset's columns: its schema, or the source file where it is written there."""
    said = source.spec.schema_
    table = next((each for each in source.spec.ingestion.tables if dataset.name.endswith(each.name.lower())), None)
    for file in (table.schema_file if table else None, said.file if said else None, f"schemas/{dataset.name}.json"):
        if file and file in project.files:
            return file
    return source.file.relative_to(project.root).as_posix()


def uncommented(sql: str) -> str:
    """Return the text of a model with its comments blank; every line stays where it is."""
    comments = r"--[^\n]*|/\*.*?\*/|\{#.*?#\}"
    return re.sub(comments, lambda found: re.sub(r"[^\n]", " ", found[0]), sql, flags=re.DOTALL)


def written_lines(text: str, names: Iterable[str]) -> dict[str, int]:
    """Return the line on which each name is written: where it is an alias or a key, else where it is first a word."""
    lines: dict[str, int] = {}
    wanted = {name.lower(): name for name in names}
    weights: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        for found in re.finditer(r"(\bas\s+)?(?:\"(\w+)\"|(\w+))(\s*:)?", line, re.IGNORECASE):
            name = (found[2] or found[3]).lower()
            weight = 3 if found[1] else 2 if found[4] else 1
            # Of aliases the last: an inner query's comes first. Of keys and words the first.
            if name in wanted and (weight > weights.get(name, 0) or weight == weights.get(name) == 3):
                weights[name], lines[name] = weight, number
    return lines
