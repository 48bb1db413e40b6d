"""The seam to the warehouse: what it builds from, what it reports, and what a caller may rely on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    from headrace.stages.quality import RuleSpec
    from headrace.warehouse.comparison import TableDigests
    from headrace.warehouse.gold import GoldStep
    from headrace.warehouse.published import Entry


@dataclass(frozen=True, slots=True)
class Column:
    """A column of silver: its name, DuckDB type, and what the contract says of it."""

    name: str
    type: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class SilverTable:
    """A dataset as the warehouse sees it: the columns of `silver.<name>` and what its source file asks of gold.

    `file` is the source file, relative to the project: what is generated from it points there when it fails.
    """

    name: str
    source_id: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    rules: tuple[RuleSpec, ...] = ()
    description: str = ""
    owner: str = ""
    sla_minutes: float | None = None
    gold: tuple[GoldStep, ...] = ()
    file: str = ""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a build is made of: the project's folder (its dbt files, if any) and its silver tables."""

    project: str
    root: Path
    tables: tuple[SilverTable, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a build was not published: what, where, and dbt's message without its noise.

    `file` is relative to the project: a model, a YAML file, or the source file that a generated model came from.
    """

    kind: Literal["project", "model", "test"]
    name: str
    message: str
    file: str = ""
    line: int | None = None

    @property
    def at(self) -> str:
        """The place, as `file:line`."""
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class ModelResult:
    """A model, seed or snapshot that a build ran; `rows` is what its table holds afterwards."""

    name: str
    kind: str
    status: Literal["built", "failed", "skipped"]
    seconds: float
    rows: int | None = None
    file: str = ""


@dataclass(frozen=True, slots=True)
class TestResult:
    """A test that a build ran; `query` finds the rows that fail it, `sample` holds a few of them."""

    __test__ = False

    name: str
    status: Literal["passed", "warned", "failed", "skipped"]
    seconds: float
    failing_rows: int = 0
    model: str = ""
    file: str = ""
    query: str = ""
    sample: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build did. `ok`: every model was built, every test passed. `published`: what readers see because of it."""

    build: str
    ok: bool
    lake_snapshot: int | None
    seconds: float
    published: Entry | None = None
    models: tuple[ModelResult, ...] = ()
    tests: tuple[TestResult, ...] = ()
    failures: tuple[Failure, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of a query, cut at the limit that was asked for, and the versions that they were read from."""

    rows: pa.Table
    truncated: bool
    gold: str | None
    lake_snapshot: int | None


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How to build.

    `select` is dbt's selection syntax (all when empty). `touched` names the silver partitions that changed since the
    published build's `complete_snapshot`, and None means that nobody knows, so all may have. Without `publish` the
    branch is thrown away when its tests have run.
    """

    select: Sequence[str] = ()
    full_refresh: bool = False
    publish: bool = True
    touched: Mapping[str, Sequence[dt.date]] | None = field(default=None)


class Warehouse(Protocol):
    """Gold: built on a branch, published whole, undoable. One build at a time; any number of readers beside it."""

    def build(self, inputs: Inputs, lake_snapshot: int | None, options: BuildOptions) -> BuildReport:
        """Build and test every model over one lake snapshot (None: no lake yet), then publish if all passed.

        A build that fails, or whose process dies, changes nothing that a reader or the next build can see. Raises
        BusyError while another build runs, and BuildError where the project cannot be read at all.
        """
        ...

    def compare(self, inputs: Inputs) -> dict[str, TableDigests]:
        """Make every table that is published again from nothing, of the same silver, and compare; by `schema.table`.

        Nothing is published, and dbt's snapshots are left out: they hold what was seen when they ran. The models are
        those of `inputs`: where they have changed since, so have the tables. Raises BuildError where one does not
        build, BusyError while another build runs.
        """
        ...

    def published(self) -> Entry | None:
        """Return what readers see now; None before the first build."""
        ...

    def history(self) -> tuple[Entry, ...]:
        """Return every build that `undo` can reach, oldest first: the current one, older ones and undone ones."""
        ...

    def undo(self, to: str | None = None, *, dry_run: bool = False) -> Entry:
        """Publish the build before the current one, or the build named, again; return it.

        Data, schema and incremental state are as they were: the next build goes on from there.
        """
        ...

    def query(self, sql: str, *, limit: int | None = None) -> Answer:
        """Return the rows of one SELECT over published gold and the latest lake; QueryError for anything else."""
        ...

    def lake_snapshots(self) -> frozenset[int]:
        """Return the lake snapshots that builds in `history` read, or count changes from: expiry keeps them."""
        ...

    def recover(self) -> int:
        """Remove what dead builds left behind; return how many files. Safe at any time beside readers."""
        ...

    def close(self) -> None:
        """Stop what `build` keeps running between builds."""
        ...
