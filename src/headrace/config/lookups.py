"""What `enrich` steps look up: seeds and silver datasets, found, read and held against the contract of the events."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from headrace import words
from headrace.config.faults import Fault, did_you_mean
from headrace.config.seeds import SEEDS
from headrace.errors import ConfigError, ContractError, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from headrace.config.files import Key
    from headrace.config.seeds import Seeds
    from headrace.config.validation import Origin
    from headrace.stages.dataset import Dataset
    from headrace.stages.enrich import Enrichment, EnrichSpec

SILVER = "silver."
_OURS = {name.lower() for name in (*words.ENVELOPE, words.EXTRA, words.EVENT_DATE, words.ROW)}


class Bound(NamedTuple):
    """A step that was held against a dataset: None where it is faulty; and the file and digest of its seed."""

    step: Enrichment | None
    seed: tuple[str, str] | None = None


class Lookups:
    """Binds the `enrich` steps of one source; what is wrong is in `faults`."""

    def __init__(self, seeds: Seeds, silver: Mapping[str, Dataset], origin: Origin) -> None:
        self._seeds = seeds
        self._silver = silver
        self._origin = origin
        self.faults: list[Fault] = []

    def bind(self, spec: EnrichSpec, key: Key, schema: pa.Schema) -> Bound:
        """Hold a step, which stands at `key`, against the columns that events have before it."""
        name = spec.lookup.removeprefix(SILVER)
        in_seeds, in_silver = name == spec.lookup and name in self._seeds.files, name in self._silver
        if in_seeds and in_silver:
            message = f"'{name}' is a seed and a silver dataset"
            return self._wrong((*key, "lookup"), message, f"write {SILVER}{name} for the dataset, or rename the seed")
        if not in_seeds and not in_silver:
            return self._missing(spec, key)
        pairs = self._pairs(spec, key, schema)
        if pairs is None:
            return Bound(None)
        if in_silver:
            return self._bind_silver(spec, key, schema, pairs, self._silver[name])
        return self._bind_seed(spec, key, schema, pairs)

    def _missing(self, spec: EnrichSpec, key: Key) -> Bound:
        """Warn of a lookup that is not there: the project still loads, and the other sources run."""
        from headrace.stages.enrich import Enrichment

        known = {*self._seeds.files, *self._silver}
        near = did_you_mean(spec.lookup.removeprefix(SILVER), known)
        fix = near if near.startswith("did you mean") else f"write {SEEDS}/{spec.lookup.removeprefix(SILVER)}.csv"
        message = f"there is no lookup '{spec.lookup}': until there is, this source takes no messages"
        self.faults.append(self._origin.warning((*key, "lookup"), message, fix))
        where, line = self._origin.place((*key, "lookup"))
        return Bound(Enrichment(spec.lookup, missing=f"{where}:{line}: there is no lookup '{spec.lookup}'. {fix}"))

    def _pairs(self, spec: EnrichSpec, key: Key, schema: pa.Schema) -> list[tuple[str, str, pa.DataType]] | None:
        """Return the fields of `on` with the columns that they are compared with, and the fields' types."""
        from headrace.stages import paths

        pairs = []
        for field, column in spec.pairs:
            try:
                path = paths.resolve(field, schema)
            except ConfigError as error:
                self._wrong((*key, "on", field), f"on: {error.message}", error.fix)
                return None
            if paths.ELEMENTS in path.steps:
                self._wrong((*key, "on", field), f"on: {field} names the elements of a list", "name a single field")
                return None
            pairs.append((field, column, path.type))
        return pairs

    def _bind_seed(
        self, spec: EnrichSpec, key: Key, schema: pa.Schema, pairs: list[tuple[str, str, pa.DataType]]
    ) -> Bound:
        from headrace.stages.lookup import Lookup

        try:
            types = {column: declared(word) for column, word in spec.types.items()}
        except ContractError as error:
            return self._wrong((*key, "types"), error.message, error.fix)
        assumed = {column: kind for _, column, kind in pairs if column not in types}
        try:
            seed = self._seeds.read(spec.lookup, types, assumed)
        except InputError as error:
            return self._wrong((*key, "lookup"), error.message, error.fix, at=error.at)
        known = [*seed.table.column_names, *seed.unusable]
        unknown = next((each for each in types if each not in known), None)
        if unknown is not None:
            message = f"types: {seed.file} has no column '{unknown}'"
            return self._wrong((*key, "types", unknown), message, did_you_mean(unknown, known))
        columns = {field.name: field for field in seed.table.schema}
        step = self._step(spec, key, schema, pairs, seed.file, columns, seed.unusable)
        if step is None:
            return Bound(None)
        table = seed.table.select(list(step.columns))
        lookup = Lookup(table, tuple((column, kind) for _, column, kind in step.on))
        named = ", ".join(column for _, column, _ in step.on)
        if lookup.without_key is not None:
            message = f"this row has no value for {named}, by which '{spec.lookup}' is looked up"
            return self._wrong((*key, "on"), message, "fill it in, or take the row out", at=seed.at(lookup.without_key))
        if lookup.repeated is not None:
            first, again = lookup.repeated
            message = f"this row has the same {named} as {seed.named(first)}: '{spec.lookup}' is looked up by it"
            return self._wrong((*key, "on"), message, "take one of them out, or look up by more", at=seed.at(again))
        return Bound(replace(step, seed=table), (seed.file, seed.digest))

    def _bind_silver(
        self, spec: EnrichSpec, key: Key, schema: pa.Schema, pairs: list[tuple[str, str, pa.DataType]], of: Dataset
    ) -> Bound:
        from headrace.contracts.pii import Pii
        from headrace.stages import paths

        if spec.types:
            message = f"types: '{spec.lookup}' is a silver dataset, and its contract says its types"
            return self._wrong((*key, "types"), message, "leave `types:` out")
        contract = of.contract.arrow_schema()
        columns = {field.name: field.with_nullable(True) for field in contract}
        found: dict[str, paths.Path] = {}
        for column in {*columns, *(column for _, column, _ in pairs)}:
            try:
                found[column] = paths.resolve(column, contract)
            except ConfigError:
                continue  # told as an unknown column
        nested = {column: path.type for column, path in found.items() if paths.ELEMENTS not in path.steps}
        if not of.key:
            message = f"'{of.name}' may have several rows of one {pairs[0][1]}: it has no deduplication key"
            return self._wrong((*key, "lookup"), message, "give its source `deduplication: {key: […]}`")
        step = self._step(spec, key, schema, pairs, f"the dataset '{of.name}'", columns, {}, nested)
        if step is None:
            return Bound(None)
        asked = {column for _, column, _ in pairs}
        missing = [each for each in of.key if each not in asked]
        if missing:
            message = (
                f"'{of.name}' may have several rows of one {', '.join(sorted(asked))}: its key is {', '.join(of.key)}"
            )
            return self._wrong((*key, "on"), message, f"add a field for {', '.join(missing)} to `on:`")
        places = {column: (found[column].column, *found[column].steps) for column in step.columns}
        personal = Pii(of.contract.schema).names() & {each.name for each in step.added}
        refresh = spec.refresh.total_seconds()
        return Bound(replace(step, dataset=of.name, places=places, personal=personal, refresh_secs=refresh))

    def _step(
        self,
        spec: EnrichSpec,
        key: Key,
        schema: pa.Schema,
        pairs: list[tuple[str, str, pa.DataType]],
        what: str,
        columns: Mapping[str, pa.Field],
        unusable: Mapping[str, str],
        nested: Mapping[str, pa.DataType] = MappingProxyType({}),
    ) -> Enrichment | None:
        """Return the step over a lookup of these columns, or None with what is wrong told; `nested` are paths in it."""
        from headrace.stages.enrich import Enrichment, MissSpec
        from headrace.stages.lookup import comparable

        known = [*columns, *unusable]
        on = []
        for field, column, kind in pairs:
            other = columns[column].type if column in columns else nested.get(column)
            if other is None:
                why = unusable.get(column)
                message = f"on: {what} has no column '{column}'" if why is None else f"on: {column} of {what}: {why}"
                return self._wrong((*key, "on", field), message, _column_fix(spec, field, column, known)).step
            together = comparable(kind, other)
            if together is None:
                message = f"on: {field} is {kind}, and {column} of {what} is {other}"
                fix = f"declare it: `types: {{{column}: {_word(kind)}}}`" if _word(kind) else "look up by another field"
                return self._wrong((*key, "on", field), message, fix).step
            on.append((field, column, together))
        keys = {column for _, column, _ in on}
        wanted = spec.columns if spec.columns is not None else [each for each in columns if each not in keys]
        for index, name in enumerate(wanted):
            if name not in columns:
                why = unusable.get(name)
                message = f"{what} has no column '{name}'" if why is None else f"{name} of {what}: {why}"
                return self._wrong(
                    (*key, "columns", index), message, did_you_mean(name, known) if why is None else ""
                ).step
        added = tuple(columns[name].with_nullable(True) for name in dict.fromkeys(wanted))
        defaults = self._defaults(spec, key, added)
        if defaults is None:
            return None
        step = Enrichment(
            lookup=spec.lookup,
            on=tuple(on),
            added=added,
            prefix=spec.prefix or "",
            struct=spec.as_ or "",
            miss="default" if isinstance(spec.miss, MissSpec) else spec.miss,
            defaults=defaults,
        )
        return step if self._free(spec, step, key, schema) else None

    def _defaults(self, spec: EnrichSpec, key: Key, added: Sequence[pa.Field]) -> dict[str, pa.Scalar] | None:
        """Return what a miss gets, by column; None where that is wrong."""
        from headrace.stages.enrich import MissSpec

        defaults = {}
        kinds = {field.name: field.type for field in added}
        for name, value in spec.miss.default.items() if isinstance(spec.miss, MissSpec) else ():
            place: Key = (*key, "miss", "default", name)
            if name not in kinds:
                self._wrong(place, f"miss: '{name}' is not added", did_you_mean(name, kinds))
                return None
            defaults[name] = _scalar(value, kinds[name])
            if defaults[name] is None:
                message = f"miss: {value!r} cannot be a value of {name}, which is {kinds[name]}"
                self._wrong(place, message, "write a value of its type")
                return None
        return defaults

    def _free(self, spec: EnrichSpec, step: Enrichment, key: Key, schema: pa.Schema) -> bool:
        """Tell of names that are taken; SQL does not tell names apart by case."""
        lows = [field.name.lower() for field in step.added]
        twice = next((field.name for index, field in enumerate(step.added) if lows[index] in lows[:index]), None)
        if twice is not None:
            message = f"two columns of '{spec.lookup}' are called '{twice}' when case is put aside"
            self._wrong((*key, "columns"), message, "rename one of them, or choose `columns:`")
            return False
        taken = _OURS | {name.lower() for name in schema.names}
        clash = next((field.name for field in step.fields() if field.name.lower() in taken), None)
        if clash is not None:
            message = f"the column '{clash}' of '{spec.lookup}' has a name that silver has already"
            fix = f"write `as: {step.lookup.removeprefix(SILVER)}`, or a `prefix:`, or choose `columns:`"
            self._wrong(key if spec.as_ is None else (*key, "as"), message, fix)
        return clash is None

    def _wrong(self, key: Key, message: str, fix: str, at: str = "") -> Bound:
        """Note an error at a key of the source file, or in another file where `at` says so."""
        file, _, line = at.rpartition(":")
        if line.isdigit():
            self.faults.append(Fault("error", file, int(line), message, fix))
        else:
            said = f"{at}: {message}" if at else message
            self.faults.append(self._origin.error(key, said, fix))
        return Bound(None)


def declared(word: str) -> pa.DataType:
    """Return the type that a word of `types:` means. Raises `ContractError` for one that means none."""
    from headrace.contracts.fields import scalar_schema
    from headrace.contracts.unfolding import arrow_of

    return arrow_of(scalar_schema(word)).type


def _word(kind: pa.DataType) -> str:
    import pyarrow as pa

    found = {
        pa.string(): "STRING",
        pa.int64(): "INT64",
        pa.float64(): "FLOAT64",
        pa.bool_(): "BOOL",
        pa.date32(): "DATE",
    }
    return found.get(kind, "")


def _scalar(value: Any, kind: pa.DataType) -> pa.Scalar | None:
    import pyarrow as pa

    try:
        if isinstance(value, str) and not pa.types.is_string(kind):
            return pa.scalar(value).cast(kind)
        return pa.scalar(value, kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, TypeError, ValueError):
        return None


def _column_fix(spec: EnrichSpec, field: str, column: str, known: Sequence[str]) -> str:
    near = did_you_mean(column, known)
    if isinstance(spec.on, dict):
        return near
    return f"{near} write `on: {{{field}: COLUMN}}`".strip()
