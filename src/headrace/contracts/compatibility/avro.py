"""Two versions of an Avro schema, compared by the specification's rules of resolution."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.contracts.compatibility.change import Change, Verdict
from headrace.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
PROMOTIONS = {
    "int": frozenset({"long", "float", "double"}),
    "long": frozenset({"float", "double"}),
    "float": frozenset({"double"}),
    "string": frozenset({"bytes"}),
    "bytes": frozenset({"string"}),
}
_OTHER = frozenset({"type-changed", "name-changed"})
"""Rules that say that it is another type altogether."""
_NAMED = frozenset({"record", "error", "enum", "fixed"})
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FULL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_DEEPEST = 24
_MOST_STEPS = 20_000
_MOST_VALUES = 10_000
_LEAST = {"null": None, "boolean": False, "int": 0, "long": 0, "float": 0.5, "double": 0.5, "bytes": "", "string": ""}
_RANGES = {"int": 2**31, "long": 2**63}
_LOGICAL = ("logicalType", "precision", "scale")


class Problem(NamedTuple):
    """Why a reader cannot resolve what a writer wrote; `value` is what the writer wrote there, None where unknown."""

    at: str
    rule: str
    why: str
    fix: str
    value: Any
    sure: bool = True


@dataclass(frozen=True)
class Avro:
    """A parsed schema: its root, and every named type by its full name."""

    root: Any
    named: Mapping[str, dict[str, Any]]


def parse_avro(schema: Any, others: Mapping[str, Any] | None = None) -> Avro:
    """Return a schema with its names resolved; `others` are schemas that it may refer to, by their full names.

    Raises:
        ContractError: it is no valid Avro schema, or names what it lacks; the place is in the message.
    """
    reader = _Reader(dict(others or {}))
    return Avro(reader.read(schema, "", "#", 0), reader.named)


def compare_avro(old: Any, new: Any) -> tuple[Change, ...]:
    """Return what changed between two Avro schemas, parsed or not, as `compare` does; examples are plain JSON.

    Raises:
        ContractError: one of them is no Avro schema.
    """
    before, after = (each if isinstance(each, Avro) else parse_avro(each) for each in (old, new))
    if not isinstance(old, Avro) and old == new:
        return ()
    sides = (_Resolution(before, after, newest_reads=True), _Resolution(after, before, newest_reads=False))
    found = [list(side.problems(side.writer.root, side.reader.root, "#", ())) for side in sides]
    written = dict(_differences(before, after))
    places = dict.fromkeys([*written, *((each.at, each.rule) for side in found for each in side)])
    changes = []
    for at, rule in places:
        mine = [[each for each in side if (each.at, each.rule) == (at, rule)] for side in found]
        verdicts = [_verdict(side) for side in mine]
        problems = [each for side in mine for each in side]
        reasons = "; ".join(dict.fromkeys(each.why for each in problems))
        said = written.get((at, rule), "")
        why = "; ".join(filter(None, (said, reasons))) or "no record tells the two apart"
        fix = next((each.fix for each in problems), "")
        examples = [next((each.value for each in side if each.sure), None) for side in mine]
        changes.append(Change(at, rule, verdicts[0], verdicts[1], why, examples[0], examples[1], fix))
    return tuple(sorted(changes, key=lambda change: (change.pointer, change.rule)))


def _verdict(problems: list[Problem]) -> Verdict:
    if not problems:
        return Verdict.COMPATIBLE
    return Verdict.BREAKING if any(each.sure for each in problems) else Verdict.UNDECIDED


class _Reader:
    """Goes through a schema in the order of its text: a name is known once its definition was met."""

    def __init__(self, others: dict[str, Any]) -> None:
        self._others = others
        self.named: dict[str, dict[str, Any]] = {}

    def read(self, schema: Any, space: str, at: str, depth: int) -> Any:
        if depth > 200:
            raise ContractError("the Avro schema is nested too deeply", at=at, fix="flatten it")
        if isinstance(schema, list):
            return self._union(schema, space, at, depth)
        if isinstance(schema, str):
            return {"type": schema} if schema in PRIMITIVES else self._known(schema, space, at, depth)
        if not isinstance(schema, dict) or "type" not in schema:
            raise ContractError(f"{at}: no Avro schema: it has no type", fix='write {"type": ...}')
        kind = schema["type"]
        if not isinstance(kind, str):
            return self.read(kind, space, f"{at}/type", depth + 1)
        if kind in PRIMITIVES:
            return schema
        if kind in {"array", "map"}:
            word = "items" if kind == "array" else "values"
            return {"type": kind, word: self.read(schema.get(word), space, f"{at}/{word}", depth + 1)}
        if kind in _NAMED:
            return self._definition(schema, space, at, depth)
        return self._known(kind, space, f"{at}/type", depth)

    def _known(self, name: str, space: str, at: str, depth: int) -> dict[str, Any]:
        """Return the type that a name means: one that was defined, or one of another schema, read where it is used."""
        for full in (f"{space}.{name}" if space and "." not in name else name, name):
            if full in self.named:
                return self.named[full]
            if full in self._others:
                found: dict[str, Any] = self.read(self._others.pop(full), "", at, depth + 1)
                return found
        raise ContractError(f"{at}: the Avro type {name!r} is not declared", fix="declare it before it is used")

    def _union(self, branches: list[Any], space: str, at: str, depth: int) -> list[Any]:
        found = [self.read(each, space, f"{at}/{index}", depth + 1) for index, each in enumerate(branches)]
        kinds: list[str] = []
        for index, each in enumerate(found):
            if isinstance(each, list):
                raise ContractError(f"{at}/{index}: a union holds no other union", fix="write its branches here")
            kinds.append(each.get("name", each["type"]) if each["type"] in _NAMED else each["type"])
            if kinds[-1] in kinds[:-1]:
                raise ContractError(f"{at}/{index}: the union has {kinds[-1]} twice", fix="remove one")
        return found

    def _definition(self, schema: dict[str, Any], space: str, at: str, depth: int) -> dict[str, Any]:
        name, inner = schema.get("name"), schema.get("namespace", space) or ""
        if not isinstance(name, str) or not name:
            raise ContractError(f"{at}: an Avro {schema['type']} without a name", fix="give it one")
        full = name if "." in name or not inner else f"{inner}.{name}"
        if not _FULL_NAME.fullmatch(full) or full in PRIMITIVES:
            raise ContractError(f"{at}: {full!r} is no name for an Avro type", fix="use letters, digits and _")
        _check_aliases(schema, at)
        found = dict(schema) | {"type": "record" if schema["type"] == "error" else schema["type"], "name": full}
        if full in self.named:
            raise ContractError(f"{at}: the Avro name {full!r} is declared twice", fix="give one of them another name")
        self.named[full] = found
        if found["type"] == "enum":
            _check_symbols(found, at)
        elif found["type"] == "fixed":
            if not (type(found.get("size")) is int and found["size"] >= 0):
                raise ContractError(f"{at}: an Avro fixed without a size", fix='write "size": how many bytes it has')
        else:
            found["fields"] = self._fields(schema, full.rpartition(".")[0], at, depth)
        return found

    def _fields(self, schema: dict[str, Any], space: str, at: str, depth: int) -> list[dict[str, Any]]:
        said = schema.get("fields")
        if not isinstance(said, list):
            raise ContractError(f"{at}: an Avro record without fields", fix='write "fields": [], or some')
        fields: dict[str, dict[str, Any]] = {}
        for index, field in enumerate(said):
            where = f"{at}/fields/{index}"
            name = field.get("name") if isinstance(field, dict) else None
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise ContractError(f"{where}: an Avro field without a name", fix="give it one")
            if name in fields:
                raise ContractError(f"{where}: the field {name!r} is there twice", fix="remove one")
            _check_aliases(field, where)
            kind = self.read(field.get("type"), space, f"{where}/type", depth + 1)
            if "default" in field and not _is_of(field["default"], kind):
                raise ContractError(
                    f"{where}: the default {field['default']!r} is no value of the field's type",
                    fix="give it one of that type",
                )
            fields[name] = dict(field) | {"type": kind}
        return list(fields.values())


def _check_aliases(schema: dict[str, Any], at: str) -> None:
    said = schema.get("aliases", [])
    if not isinstance(said, list) or not all(isinstance(each, str) for each in said):
        raise ContractError(f"{at}: `aliases` is no list of names", fix='write "aliases": ["old_name"]')


def _check_symbols(schema: dict[str, Any], at: str) -> None:
    symbols = schema.get("symbols")
    if not isinstance(symbols, list) or not symbols:
        raise ContractError(f"{at}: an Avro enum without symbols", fix='write "symbols": ["A", …]')
    if not all(isinstance(each, str) and _NAME.fullmatch(each) for each in symbols):
        raise ContractError(f"{at}: a symbol of an Avro enum is a name", fix="use letters, digits and _")
    if len(set(symbols)) < len(symbols):
        raise ContractError(f"{at}: an Avro enum with a symbol twice", fix="remove one")
    if "default" in schema and schema["default"] not in symbols:
        raise ContractError(f"{at}: the default {schema['default']!r} is no symbol of the enum", fix="name one of them")


def _is_of(value: Any, schema: Any) -> bool:
    """Whether a default is a value of a type, as JSON writes it; of a union any branch will do, since Avro 1.12."""
    if isinstance(schema, list):
        return any(_is_of(value, branch) for branch in schema)
    kind = schema["type"]
    if kind in _RANGES:
        return type(value) is int and -_RANGES[kind] <= value < _RANGES[kind]
    if kind in {"float", "double"}:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "enum":
        return value in schema["symbols"]
    if kind == "array":
        return isinstance(value, list) and all(_is_of(item, schema["items"]) for item in value)
    if kind == "map":
        return isinstance(value, dict) and all(_is_of(item, schema["values"]) for item in value.values())
    if kind == "record":
        return isinstance(value, dict) and all(
            _is_of(value[field["name"]], field["type"]) if field["name"] in value else "default" in field
            for field in schema.get("fields", ())
        )
    return isinstance(value, {"null": type(None), "boolean": bool}.get(kind, str))


class _Resolution:
    """One direction: what a writer's schema allows, resolved by a reader's."""

    def __init__(self, writer: Avro, reader: Avro, *, newest_reads: bool) -> None:
        self.writer = writer
        self.reader = reader
        self._newest_reads = newest_reads
        self._steps = 0
        self._known: dict[tuple[int, int], tuple[str, list[Problem]]] = {}
        self._small: dict[int, Any] = {}

    def problems(self, writer: Any, reader: Any, at: str, seen: tuple[tuple[int, int], ...]) -> Iterator[Problem]:
        """Yield why some value of a writer's type cannot be read; each with such a value.

        Of two named types that were met before, at another place, one of the reasons is enough.
        """
        pair = (id(writer), id(reader))
        if pair in seen:
            return
        if pair in self._known:
            first, told = self._known[pair]
            yield from (each._replace(at=at + each.at.removeprefix(first)) for each in told)
            return
        found = list(self._found(writer, reader, at, seen))
        self._known[pair] = at, sorted(found, key=lambda each: (each.rule not in _OTHER, not each.sure))[:1]
        yield from found

    def _found(self, writer: Any, reader: Any, at: str, seen: tuple[tuple[int, int], ...]) -> Iterator[Problem]:
        self._steps += 1
        if len(seen) > _DEEPEST or self._steps > _MOST_STEPS:
            why = "what is nested deeper, or so tangled, is not compared"
            yield Problem(at, "type-changed", why, "a schema that is less deep", None, sure=False)
            return
        seen = (*seen, (id(writer), id(reader)))
        if isinstance(writer, list):
            small = any(branch["type"] == "int" for branch in writer)
            for branch in writer:
                for each in self.problems(branch, reader, at, seen):
                    rule = "union-branch" if each.rule == "type-changed" else each.rule
                    # A small number would be written as the int that stands beside the long.
                    value = _RANGES["int"] if small and branch["type"] == "long" else each.value
                    yield each._replace(rule=rule, value=value)
            return
        if isinstance(reader, list):
            tried = [list(self.problems(writer, branch, at, seen)) for branch in reader]
            if not any(not found for found in tried):
                near = [found for found in tried if all(each.rule not in _OTHER for each in found)]
                what, fix = f"{_word(writer)} is in no branch of the union", f"put {_word(writer)} back into the union"
                sure = all(any(each.sure for each in found) for found in tried)
                # An empty array has no item that is refused: what shows an array's is a value of the branch for arrays.
                inner = (each.value for found in tried for each in found if each.sure and each.at != at)
                own = [Problem(at, "union-branch", what, fix, next(inner, self._least(writer)), sure=sure)]
                yield from min(near, key=len) if near else own
            return
        yield from self._plain(writer, reader, at, seen)

    def _plain(self, writer: Any, reader: Any, at: str, seen: tuple[tuple[int, int], ...]) -> Iterator[Problem]:
        kind, wanted = writer["type"], reader["type"]
        if kind != wanted and wanted not in PROMOTIONS.get(kind, frozenset()):
            why = f"{_word(writer)} cannot be read as {_word(reader)}"
            fix = f"keep {_word(writer)}, or a union that has it"
            yield Problem(at, "type-changed", why, fix, self._least(writer))
            return
        if any(writer.get(word) != reader.get(word) for word in _LOGICAL) and kind not in {"record", "enum", "array"}:
            was, now = (each.get("logicalType", "none") for each in (writer, reader))
            why = (
                f"the logical type is {was} for the writer and {now} for the reader, of other meaning, and none refuses"
            )
            yield Problem(at, "logical-type-changed", why, "keep the logical type", None, sure=False)
        if kind != wanted:
            return
        if kind in {"record", "enum", "fixed"} and not _same_name(writer, reader):
            why = f"{writer['name']} is not {reader['name']}, nor an alias of it"
            yield Problem(at, "name-changed", why, f'"aliases": ["{writer["name"]}"] at {at}', self._least(writer))
            return
        if kind == "array":
            for each in self.problems(writer["items"], reader["items"], f"{at}/items", seen):
                yield each._replace(value=[each.value])
        elif kind == "map":
            for each in self.problems(writer["values"], reader["values"], f"{at}/values", seen):
                yield each._replace(value={"key": each.value})
        elif kind == "fixed" and writer["size"] != reader["size"]:
            why = f"{writer['size']} bytes cannot be read as {reader['size']}"
            yield Problem(at, "size-changed", why, f'"size": {writer["size"]} at {at}', self._least(writer))
        elif kind == "enum" and "default" not in reader:
            for symbol in writer["symbols"]:
                if symbol not in reader["symbols"]:
                    why = f"{symbol} is no symbol of the reader, and it has no default"
                    yield Problem(
                        at, "symbols-changed", why, f"a default for the enum at {at}, or {symbol} kept", symbol
                    )
        elif kind == "record":
            yield from self._record(writer, reader, at, seen)

    def _record(self, writer: Any, reader: Any, at: str, seen: tuple[tuple[int, int], ...]) -> Iterator[Problem]:
        newest, oldest = (reader, writer) if self._newest_reads else (writer, reader)
        own = {field["name"]: field for field in writer["fields"]}
        for field in reader["fields"]:
            there = next((own[name] for name in (field["name"], *field.get("aliases", ())) if name in own), None)
            here = f"{at}/fields/{_index(field['name'], there, newest, oldest)}"
            if there is None:
                if "default" not in field:
                    rule = "field-added" if self._newest_reads else "field-removed"
                    why = f"the reader asks for {field['name']!r}, which the writer does not write, and has no default"
                    yield Problem(here, rule, why, f'a "default" for {field["name"]!r}', self._least(writer))
                continue
            for each in self.problems(there["type"], field["type"], f"{here}/type", seen):
                yield each._replace(value=self._record_with(writer, there["name"], each.value))

    def _record_with(self, record: Any, name: str, value: Any) -> dict[str, Any]:
        return {
            field["name"]: value if field["name"] == name else self._least(field["type"]) for field in record["fields"]
        }

    def _least(self, schema: Any) -> Any:
        """Return `least`, made once for each type."""
        if id(schema) not in self._small:
            self._small[id(schema)] = least(schema)
        return self._small[id(schema)]


def _index(name: str, there: Any, newest: Any, oldest: Any) -> int:
    names = {name} | ({there["name"]} if there is not None else set())
    for record in (newest, oldest):
        for index, field in enumerate(record["fields"]):
            if field["name"] in names:
                return index
    return 0


def least(schema: Any) -> Any:
    """Return a small value of a type, as plain JSON; one without end, or of very many parts, stops at null."""
    return _least(schema, 0, itertools.count())


def _least(schema: Any, depth: int, made: Iterator[int]) -> Any:
    if depth > _DEEPEST or next(made) > _MOST_VALUES:
        return None
    if isinstance(schema, list):
        # A record may hold itself in a branch, and have no end: one that is none comes before it.
        ranks = {"null": 0, "record": 2}
        plain = min(schema, key=lambda each: ranks.get(each["type"], 1), default={"type": "null"})
        return _least(plain, depth + 1, made)
    kind = schema["type"]
    if kind == "record":
        return {field["name"]: _least(field["type"], depth + 1, made) for field in schema["fields"]}
    if kind == "enum":
        return next(iter(schema["symbols"]), None)
    if kind in {"array", "map"}:
        return [] if kind == "array" else {}
    if kind == "fixed":
        return "\u0000" * schema["size"] if schema["size"] <= _MOST_VALUES else None
    return _LEAST[kind]


def _same_name(writer: Any, reader: Any) -> bool:
    names = {reader["name"], *reader.get("aliases", ())}
    return writer["name"] in names or writer["name"].rpartition(".")[2] in {each.rpartition(".")[2] for each in names}


def _word(schema: Any) -> str:
    if isinstance(schema, list):
        return "a union"
    return str(schema.get("name", schema["type"]))


def _differences(before: Avro, after: Avro) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield what differs in records and enums of the same place, compatible or not."""
    yield from _different(before.root, after.root, "#", set())


def _different(old: Any, new: Any, at: str, seen: set[tuple[int, int]]) -> Iterator[tuple[tuple[str, str], str]]:
    if isinstance(old, list) or isinstance(new, list):
        was, now = ([_word(each) for each in (side if isinstance(side, list) else [side])] for side in (old, new))
        if was != now:
            yield (at, "union-branch"), f"was {' or '.join(was)} and is {' or '.join(now)}"
        return
    if (id(old), id(new)) in seen:  # a type has one place, however often it is named
        return
    seen.add((id(old), id(new)))
    if old["type"] != new["type"]:
        yield (at, "type-changed"), f"was {_word(old)} and is {_word(new)}"
    elif old["type"] == "record":
        names = [[field["name"] for field in side["fields"]] for side in (old, new)]
        aliased = {alias for field in new["fields"] for alias in field.get("aliases", ())}
        for index, field in enumerate(new["fields"]):
            here = f"{at}/fields/{index}"
            twin = next(
                (each for each in old["fields"] if each["name"] in {field["name"], *field.get("aliases", ())}), None
            )
            if twin is None:
                yield (here, "field-added"), f"{field['name']!r} is new"
            else:
                yield from _different(twin["type"], field["type"], f"{here}/type", seen)
        for index, name in enumerate(names[0]):
            if name not in names[1] and name not in aliased:
                yield (f"{at}/fields/{index}", "field-removed"), f"{name!r} is gone"
    elif old["type"] == "enum" and old["symbols"] != new["symbols"]:
        yield (
            (at, "symbols-changed"),
            f"the symbols were {', '.join(old['symbols'])} and are {', '.join(new['symbols'])}",
        )
    elif old["type"] in {"array", "map"}:
        word = "items" if old["type"] == "array" else "values"
        yield from _different(old[word], new[word], f"{at}/{word}", seen)
