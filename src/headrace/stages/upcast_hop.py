"""One hop of an upcast: from the steps between two versions to what `Upcast` does, and what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from headrace.contracts.contract import is_json
from headrace.contracts.load import compiled
from headrace.contracts.types import duckdb_type
from headrace.errors import ConfigError, ContractError
from headrace.stages import paths
from headrace.stages.convert import bounded, converted, reshaped, same
from headrace.stages.defaults import default_of
from headrace.stages.upcast import Compute, Extract, Fill, Keep, Op, Rename

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.contracts.versions import Version
    from headrace.stages.sql import SqlKernel
    from headrace.stages.upcast import UpcastStep

ASIDE = "\0"  # stands before the name of a column that is no field yet; no column's own name has it


class UpcastFault(NamedTuple):
    """What is wrong with the way to the newest version: in which hop (`version` names where it starts) and step."""

    version: str
    key: tuple[str | int, ...]
    message: str
    fix: str
    warning: bool = False


@dataclass
class Shape:
    """The columns of events on their way, by name, and the JSON path at which each was in the event as it came."""

    fields: dict[str, pa.Field]
    origin: dict[str, str]

    def schema(self) -> pa.Schema:
        """Return the columns under the names that they have now."""
        return pa.schema([each.with_name(name) for name, each in self.fields.items()])


@dataclass
class Hop:
    """The compiled way from one version to the next, and what is wrong with it."""

    version: str
    ops: list[Op] = field(default_factory=list)
    faults: list[UpcastFault] = field(default_factory=list)


class Compiler:
    """Compiles one hop: what each step does to the shape, and whether the next version fits in the end."""

    def __init__(self, here: Version, there: Version, shape: Shape, kernel: SqlKernel, place: tuple[str, str]) -> None:
        """`place` is the key of the steps in the source's `schema:`."""
        self._place = place
        self._here = here
        self._there = there
        self._target = {each.name: each for each in there.contract.arrow_schema()}
        self._shape = shape
        self._kernel = kernel
        self._hop = Hop(here.name)
        self._at: tuple[str | int, ...] = ()

    def hop(self, steps: Sequence[UpcastStep]) -> Hop:
        """Compile the steps in their order; once only, for the shape is carried along."""
        for number, step in enumerate(steps):
            ((kind, said),) = step.model_dump(exclude_unset=True).items()
            items = said.items() if isinstance(said, dict) else ((name, None) for name in said)
            before, first = Shape(dict(self._shape.fields), dict(self._shape.origin)), len(self._hop.ops)
            for name, value in items:
                self._at = (*self._place, number, kind, name)
                try:
                    self._step(kind, name, value, before)
                except ConfigError as error:
                    self._fault(f"{self._way()}: {error.message}", error.fix)
            if kind == "set":  # all of one step are over the fields before it
                made = [op.name for op in self._hop.ops[first:] if isinstance(op, Compute)]
                self._hop.ops += [Rename(name, name.removeprefix(ASIDE)) for name in made]
        self._at = self._place if steps else ()
        self._arrive()
        return self._hop

    def _step(self, kind: str, name: str, value: Any, before: Shape) -> None:
        match kind:
            case "rename":
                self._rename(name, value)
            case "default":
                self._default(name, value)
            case "cast":
                self._cast(self._column(name))
            case "set":
                self._set(name, value, before)
            case _:
                self._shape.fields.pop(self._column(name))

    def _rename(self, old: str, new: str) -> None:
        if new in self._shape.fields:
            raise ConfigError(f"{old} cannot become {new}: there is a {new} already", fix=f"drop {new} first")
        path = paths.resolve(old, self._shape.schema())
        if paths.ELEMENTS in path.steps:
            raise ConfigError(f"{old} names the elements of a list", fix="name a single field")
        if path.steps:
            self._hop.ops.append(Extract(new, path))
            self._shape.fields[new] = pa.field(new, path.type, metadata=_metadata(self._shape, path))
            self._shape.origin[new] = self._shape.origin.get(path.column, "$") + path.json()[len("$") :].removeprefix(
                paths.Path(path.column, (), path.type).json()[len("$") :]
            )
            return
        self._hop.ops.append(Rename(path.column, new))
        self._shape.fields[new] = self._shape.fields.pop(path.column).with_name(new)
        self._shape.origin[new] = self._shape.origin.get(path.column, "$")

    def _default(self, name: str, value: Any) -> None:
        kind = self._shape.fields.get(name) or self._target.get(name)
        if kind is None:
            raise ConfigError(f"{self._there.name} has no field {name!r}", fix=paths.did_you_mean(name, self._target))
        self._hop.ops.append(Fill(name, default_of(value, kind)))
        if name in self._target:
            self._meets(name, value)
        self._shape.fields[name] = kind.with_nullable(False)

    def _meets(self, name: str, value: Any) -> None:
        """Hold a default against what the next version says of its field, beyond the type."""
        validator = compiled({**self._there.contract.schema, "required": []})
        for error in validator.iter_errors({name: value}):
            if list(error.instance_path)[:1] == [name]:
                said = f"the default of {name} does not meet {self._there.name}: {error.message[:200]}"
                raise ConfigError(said, fix="correct it")

    def _cast(self, name: str) -> None:
        wanted = self._target.get(name)
        if wanted is None:
            fix = paths.did_you_mean(name, self._target, f"rename it first, or drop it: {self._there.name} has none")
            raise ConfigError(f"{self._there.name} has no field {name!r} to take the type of", fix=fix)
        had = self._shape.fields[name]
        sql = converted("c0", had, wanted)
        if sql is None:
            message = f"{name} is {_said(had)}, which cannot become {_said(wanted)}"
            raise ConfigError(message, fix=f"compute it: `- set: {{{name}: …}}`, or give the new type a new name")
        self._compute(name, (name,), sql, wanted, had.nullable)

    def _set(self, name: str, text: str, before: Shape) -> None:
        from headrace.stages.expression import compile_value  # loads sqlglot, which only expressions need

        value = compile_value(text, before.schema(), self._kernel)
        natural = pa.field(name, value.type)
        wanted = self._target.get(name, natural)
        sql = converted(value.sql, natural, wanted)
        if sql is None:
            message = f"{text[:60]} gives {_said(natural)}, and {self._there.name}.{name} is {_said(wanted)}"
            raise ConfigError(message, fix=f"cast it in the expression: CAST(… AS {duckdb_type(wanted.type)})")
        self._compute(name, value.columns, bounded(sql, wanted.type), wanted, True, value.zero, before)

    def _compute(
        self, name: str, columns: tuple[str, ...], sql: str, wanted: pa.Field, nullable: bool, zero: str = "false",
        before: Shape | None = None,
    ) -> None:  # fmt: skip
        """Add what computes a field; over the fields `before`, and beside them, where they are given."""
        import duckdb

        over, aside = (self._shape, "") if before is None else (before, ASIDE)
        path = over.origin.get(columns[0], "$") if len(columns) == 1 else "$"
        reason = f"{self._way()}: {name} cannot be made {_said(wanted)}"
        op = Compute(f"{aside}{name}", columns, sql, wanted.type, path, reason, zero)
        try:
            op.run(self._kernel, {each: pa.nulls(0, over.fields[each].type) for each in columns}, 0)
        except (duckdb.Error, pa.ArrowException) as error:
            said = str(error).split("\n", 1)[0]
            raise ConfigError(f"{name} cannot be computed: {said}", fix="check the types") from error
        self._hop.ops.append(op)
        self._shape.fields[name] = wanted.with_nullable(nullable)
        if len(columns) == 1:
            self._shape.origin[name] = path

    def _column(self, name: str) -> str:
        path = paths.resolve(name, self._shape.schema())
        if path.steps:
            fix = f"rename it to a field of its own first: `- rename: {{{name}: …}}`"
            raise ConfigError(f"{name} is within {path.column}", fix=fix)
        return path.column

    def _arrive(self) -> None:
        """Make what the steps left the shape of the next version, or say what is missing for it."""
        for name, wanted in self._target.items():
            had = self._shape.fields.get(name)
            if had is None or same(had, wanted):
                continue
            sql = reshaped("c0", had, wanted)
            if sql is not None:
                self._compute(name, (name,), sql, wanted, had.nullable)
            else:
                fits = converted("c0", had, wanted) is not None
                self._add(
                    f"{name} is {_said(had)} in {self._here.name} and {_said(wanted)} in {self._there.name}",
                    f"cast: [{name}]" if fits else f"set: {{{name}: …}}",
                )
        left = [name for name in self._shape.fields if name not in self._target]
        if left:
            names = ", ".join(left)
            self._add(
                f"{self._there.name} does not have {names} of {self._here.name}", f"drop: [{names}]", warning=True
            )
        self._hop.ops.append(Keep(tuple(self._target.values())))
        now = {name: self._shape.fields.get(name, wanted.with_nullable(True)) for name, wanted in self._target.items()}
        self._shape.fields = {name: self._target[name].with_nullable(each.nullable) for name, each in now.items()}
        self._shape.origin = {name: at for name, at in self._shape.origin.items() if name in now}

    def _add(self, message: str, step: str, *, warning: bool = False) -> None:
        fix = f"add `- {step}` to `{self._place[0]}: {{{self._place[1]}: […]}}`"
        self._hop.faults.append(UpcastFault(self._here.name, self._at, message, fix, warning))

    def _fault(self, message: str, fix: str) -> None:
        self._hop.faults.append(UpcastFault(self._here.name, self._at, message, fix))

    def _way(self) -> str:
        return f"{self._here.name} to {self._there.name}"


def _metadata(shape: Shape, path: paths.Path) -> Any:
    """Return the metadata of the field at a path: whether its text is JSON."""
    found = shape.fields[path.column]
    for step in path.steps:
        found = found.type.field(step)
    return found.metadata


def _said(field: pa.Field) -> str:
    if is_json(field):
        return "JSON"
    try:
        return duckdb_type(field.type)
    except ContractError:  # what only an expression gives, such as an INTERVAL
        return str(field.type)
