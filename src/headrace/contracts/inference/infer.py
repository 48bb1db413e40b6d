"""Infer: rows in, a contract out that all of them meet, with the key, the event time and the evidence for each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headrace import words
from headrace.contracts.inference import names
from headrace.contracts.inference.cells import Dialect, Table
from headrace.contracts.inference.profile import Top
from headrace.contracts.inference.schema import TOO_MANY, Field, depth_for, evidence, ordered, schema_of
from headrace.contracts.inference.texts import TEXT, TIMES, TYPE_WORD
from headrace.contracts.load import DRAFTS
from headrace.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.contracts.inference.profile import Profile

COLUMNS = 2_000
FIELDS = 250
"""How many fields a contract gets, those within objects included: each costs time with every batch, for ever."""
_TAKEN = {name.lower() for name in (*words.ENVELOPE, words.EXTRA, words.EVENT_DATE, words.ROW, words.KEY_HASH)}
_EPOCHS = tuple((10**power * 631_152_000, 10**power * 4_102_444_800) for power in (0, 3, 6, 9))
"""Bounds of numbers that count from 1970, in seconds and finer, from 1990 to 2100."""
_NAMED = {0, 1, 2}
"""The ranks of names by which a field is the key: `order_id`, `id`, `event_id`."""
_COUNTS = ("integer", "number")
_KEY_ROWS = 2
"""Of a single row every field is unique, which says nothing."""
_TRIMMED = "cells have blanks around them, and are numbers or times only without these: csv.trim cuts them"


@dataclass(frozen=True)
class Guess:
    """A field that plays a part, and why; `others` could as well."""

    field: str
    why: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inferred:
    """A contract and its evidence. `left_out` has fields that cannot be columns, with what to do about each."""

    schema: dict[str, Any]
    rows: int
    fields: tuple[Field, ...]
    key: Guess | None
    version_by: Guess | None
    event_time: Guess | None
    dialect: Dialect
    left_out: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def too_many(self) -> tuple[str, ...]:
        """The paths of the fields within which there would be too many for columns."""
        return tuple(each.path for each in self.fields if any(note.endswith(TOO_MANY) for note in each.notes))


class Inference:
    """Takes rows in as they come; the same rows give the same contract, whatever their order."""

    def __init__(self) -> None:
        self._top = Top()
        self._tables: dict[tuple[str, ...], Table] = {}

    @property
    def rows(self) -> int:
        """How many rows it was shown."""
        return self._top.seen + sum(table.rows for table in self._tables.values())

    def documents(self, rows: Sequence[dict[str, Any]]) -> None:
        """Take in events as objects, their numbers with a fraction as Decimals."""
        if rows:
            self._top.observe(rows)
            self._hold()

    def records(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Take in CSV records, each with a cell for every name of their header."""
        self._tables.setdefault(tuple(header), Table(header)).observe(rows)

    def _hold(self) -> None:
        if len(self._top.members) > COLUMNS:
            raise InputError(
                f"the events have more than {COLUMNS:,} different fields at their top, too many for a table",
                fix="where the names are data, put them into one field as a map; where the sample mixes many kinds of "
                "events, add a source for each",
            )

    def finish(self, source: str) -> Inferred:
        """Return what was found. Raises `InputError` where there was nothing to learn from."""
        top, dialect = self._whole()
        if not top.seen:
            raise InputError("the sample has no rows", fix="give a file with some events in it")
        members = dict(ordered(top))
        left_out = _left_out(members)
        depth = depth_for(top, max(FIELDS, len(members)))
        schema: dict[str, Any] = {"$schema": DRAFTS["draft/2020-12"], "title": source, "type": "object"}
        properties: dict[str, Any] = {}
        fields: list[Field] = []
        for name, below in members.items():
            if name in left_out:
                continue
            found = schema_of(below, name, name, depth)
            properties[name] = found.schema
            fields += evidence(below, found, name, top.seen)
        if not properties:
            if not left_out:
                raise InputError("the events have no fields", fix="give a file with some events in it")
            names_ = ", ".join(map(repr, left_out))
            raise InputError(f"no field of the events can be a column (there are: {names_})", fix="rename them")
        required = [name for name in properties if members[name].seen == top.seen]
        schema |= {"properties": properties, **({"required": required} if required else {})}
        schema["additionalProperties"] = False
        sure = [name for name in required if not members[name].nulls]
        key = _key({name: members[name] for name in sure}, source, properties)
        version = _version(sure, properties) if key else None
        times = _event_time(sure, members, properties)
        return Inferred(
            schema,
            top.seen,
            tuple(fields),
            key,
            version,
            times,
            dialect,
            left_out,
            (*([_TRIMMED] if dialect.trim else []), *_notes(top, properties, source, keyed=key is not None)),
        )

    def _whole(self) -> tuple[Top, Dialect]:
        top, dialect = self._top, Dialect()
        trim = any(table.trim for table in self._tables.values())
        for table in self._tables.values():
            more, said = table.finish(trim=trim)
            dialect = dialect.joined(said)
            if not top.seen:
                top = more
            else:
                top.merge(more)
        return top, dialect


def _left_out(members: dict[str, Profile]) -> dict[str, str]:
    found: dict[str, str] = {}
    by_low: dict[str, list[str]] = {}
    for name in members:
        by_low.setdefault(name.lower(), []).append(name)
    for name in members:
        if not name:
            found[name] = "it has no name, and a column needs one: name it where it is written"
        elif name.lower() in _TAKEN:
            found[name] = f"it has the name of a column of Headrace's own: rename it, say to {name.strip('_')!r}"
        else:
            alike = sorted(by_low[name.lower()], key=lambda each: (-members[each].seen, each))
            if name != alike[0]:
                found[name] = f"it differs from {alike[0]!r} only in case: rename it where it is written"
    return found


def _different(profile: Profile) -> tuple[int, int]:
    return profile.different()


def _share(part: int, whole: int) -> str:
    if part == whole:
        return "all"
    return f"{part:,} of"


def _key(members: dict[str, Profile], source: str, properties: dict[str, Any]) -> Guess | None:
    """Return what tells events apart: a name that says so, over values that bear it out; of equals the first."""
    ranked: list[tuple[tuple[int, int, int], str, str]] = []
    updated = any(names.version_rank(name) is not None for name in members)
    for place, (name, profile) in enumerate(members.items()):
        kinds = {kind for kind, count in profile.kinds.items() if count}
        if kinds not in ({"string"}, {"integer"}) or "." in name or profile.empty_texts:
            continue
        rank = names.key_rank(name, source)
        if rank is None and properties[name].get("format") == "uuid":
            rank = 40
        different, looked = _different(profile)
        if rank is None or looked < _KEY_ROWS:
            continue
        unique = different == looked
        if unique:
            why = f"unique: {different:,} different values in {looked:,} rows"
            ranked.append(((0, rank, place), name, why))
        elif rank <= 1 and updated and 2 * different >= looked // 10:
            why = (
                f"named as the key; {different:,} different values in {looked:,} rows, so later rows are newer versions"
            )
            ranked.append(((1, rank, place), name, why))
    ranked.sort()
    if not ranked:
        return None
    return Guess(ranked[0][1], ranked[0][2], tuple(each[1] for each in ranked[1:4]))


def _version(sure: Sequence[str], properties: dict[str, Any]) -> Guess | None:
    ranked = []
    for name in sure:
        rank = names.version_rank(name)
        part = properties[name]
        orders = part.get("type") == "integer" or part.get("format") in TIMES or part.get(TYPE_WORD) == "datetime"
        if rank is not None and orders and "." not in name:
            ranked.append((rank, name))
    return Guess(min(ranked)[1], "its name, and in every row") if ranked else None


def _event_time(sure: Sequence[str], members: dict[str, Profile], properties: dict[str, Any]) -> Guess | None:
    ranked: list[tuple[tuple[int, int, int], str, str]] = []
    for place, name in enumerate(sure):
        part, profile = properties[name], members[name]
        form = part.get(TYPE_WORD) or part.get("format")
        rank = names.event_time_rank(name)
        if form in TIMES:
            coarse = {"date-time": 0, "datetime": 0, "date": 1}[form]
            ranked.append(((coarse, rank, place), name, f"{form} in every row"))
        elif profile.forms[:1] == (TEXT,) and profile.kinds["string"] == profile.seen:
            ranked.append(((0, rank, place), name, "a time, as text, in every row"))
        elif part.get("type") in _COUNTS and names.is_time(name) and (unit := _epoch(profile)) is not None:
            ranked.append(((0, rank + 1, place), name, f"counts {unit} since 1970, by its size and name; in every row"))
    ranked = [each for each in ranked if "." not in each[1] and names.personal_kind(each[1]) != "birth"]
    ranked.sort()
    if not ranked:
        return None
    return Guess(ranked[0][1], ranked[0][2], tuple(each[1] for each in ranked[1:4]))


def _epoch(profile: Profile) -> str | None:
    bounds = [each for each in (profile.low, profile.high, profile.least, profile.most) if each is not None]
    units = ("seconds", "milliseconds", "microseconds", "nanoseconds")
    for unit, (first, last) in zip(units, _EPOCHS, strict=True):
        if bounds and first <= min(bounds) and max(bounds) <= last:
            return unit
    return None


def _wrapped(top: Top, source: str) -> str | None:
    """Return the one field whose elements may be the events, where the sample is one object around them."""
    lists = [name for name, each in top.members.items()
             if each.items is not None and each.items.kinds["object"] == each.items.seen > 1]  # fmt: skip
    is_event = any(names.key_rank(name, source) is not None or names.is_time(name) for name in top.members)
    return lists[0] if top.seen == 1 and len(lists) == 1 and not is_event else None


def _notes(top: Top, properties: dict[str, Any], source: str, *, keyed: bool) -> list[str]:
    rare = [name for name in properties if 2 * top.members[name].seen < top.seen]
    kinds: Counter[str] = Counter(
        name for name in properties if "enum" in properties[name] and names.parts(name)[-1:] in (["type"], ["event"])
    )
    found = []
    wrapped = _wrapped(top, source)
    for name, profile in top.members.items():
        there = profile.seen - profile.nulls
        named = names.key_rank(name, source) in _NAMED
        different, looked = profile.different() if named and name in properties else (0, 0)
        if not keyed and there == top.seen and 0.9 * looked <= different < looked:
            found.append(
                f"{name} is named as the key, and {looked - different:,} of {looked:,} rows have the {name} of "
                "another: if these are events that were sent twice, write it as the key"
            )
        if named and 0.9 * top.seen <= there < top.seen:
            found.append(
                f"{name} is named as the key, and {top.seen - there:,} rows have none: it is not taken as the key"
            )
        if named and top.seen < _KEY_ROWS and there:
            found.append(f"{name} is named as the key, and one row cannot bear that out: give more rows")
        if name == wrapped and profile.items is not None:
            found.append(
                f"the sample is one event, whose {name} has {profile.items.seen:,} objects: if these are the events, "
                f"give them alone: jq -c '.{name}[]' FILE > events.jsonl"
            )
    if len(rare) > len(properties) // 2 and len(properties) > 5:
        by = f", told apart by {next(iter(kinds))!r}" if kinds else ""
        found.append(
            f"{len(rare)} of {len(properties)} fields are in less than half of the rows: the sample may mix several "
            f"kinds of events{by}; a source for each has a contract that says more"
        )
    return found
