"""From a profile to a JSON Schema that every value it saw meets, and what is worth saying of each field."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace.contracts.inference import names, texts
from headrace.contracts.inference.profile import Profile, merged
from headrace.contracts.pii import WORD

if TYPE_CHECKING:
    from collections.abc import Iterator

_ORDER = ("object", "array", "string", "integer", "number", "boolean")
_INT64 = (-(2**63), 2**63 - 1)
_HUGE = 10**38 - 1
_PRECISION, _MAX_SCALE = 18, 4
_ENUM_VALUES, _ENUM_ROWS, _ENUM_REPEATS, _ENUM_RAREST, _ENUM_LENGTH = 10, 100, 20, 5, 32
_ENUM_WORD = re.compile(r"[A-Za-z][A-Za-z_ +/.-]*")
_DATA_NAME = re.compile(
    r"-?\d+|[0-9A-Fa-f]{8}-[0-9A-Fa-f-]{27}|(?=[a-f]*\d)[0-9a-f]{8,}|\d{4}-\d\d-\d\d.*|[A-Za-z]{1,12}[-_:#]\d+"
)
_MAP_NAMES, _SPARSE_NAMES, _SPARSE_SHARE = 3, 30, 4
DEPTH = 60
"""How deep objects are looked into at most."""
TOO_MANY = "too many for columns: kept as JSON text"


@dataclass(frozen=True)
class Field:
    """A field and its evidence. `path` is a dotted name, `[]` for the elements of an array.

    It was there in `present` of `rows` (of the objects that could have it), `nulls` of them null. `kinds` counts the
    JSON types. `personal` is the kind of personal data that it looks like.
    """

    path: str
    type: str
    rows: int
    present: int
    nulls: int
    kinds: dict[str, int]
    examples: tuple[Any, ...]
    personal: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def optional(self) -> bool:
        """Whether it may be absent."""
        return self.present < self.rows


@dataclass
class Said:
    """What was found out of one place, in the order of the schema.

    `personal` is the kind of personal data that its values are, or its elements. `hides`: the schema says nothing of
    objects that are within, so that a tag for what is personal there can only stand here.
    """

    schema: dict[str, Any]
    type: str
    fields: list[Field]
    notes: list[str]
    personal: str | None = None
    hides: bool = False


def schema_of(profile: Profile, name: str, path: str, depth: int = DEPTH) -> Said:
    """Return the schema of what a profile saw under a name, and its evidence, down to a depth."""
    kinds = {kind for kind, count in profile.kinds.items() if count}
    if "integer" in kinds and "number" in kinds:
        kinds.discard("integer")
    scalar = not {"object", "array"} & kinds
    if not kinds:
        what = "always null" if profile.nulls else "never there"
        found = Said({}, "JSON text", [], [f"{what}: no type can be told"])
    elif len(kinds) > 1:
        found = _mixed(profile, kinds)
    else:
        kind = kinds.pop()
        makers = {"object": _object, "array": _array, "string": _string, "boolean": _boolean}
        found = makers.get(kind, _number)(profile, name, path, depth)
    if profile.nulls and found.schema:
        found.schema = _nullable(found.schema)
    if scalar:
        found.personal = found.personal or _kind_by_name(name, path, found.type)
    if found.personal and (scalar or found.hides):
        found.schema[WORD] = found.personal
    return found


def _kind_by_name(name: str, path: str, shown: str) -> str | None:
    """Return which personal data values are by their name, `customer.name` as `customer_name`.

    `email_verified` and `email_sent_at` are no addresses.
    """
    kind = names.personal_kind(name, path.removesuffix(name).rstrip(".").rpartition(".")[2])
    is_about = shown == "boolean" or (shown in texts.TIMES and kind != "birth")
    return None if is_about else kind


def _personal_within(profile: Profile) -> str | None:
    """Return the kind of the first personal data within objects and arrays, by name or form; None: there is none."""
    below = list(ordered(profile)) + [("", each) for each in (profile.items, profile.entries) if each is not None]
    for name, each in below:
        is_text = each.kinds["string"] and not each.empty_texts
        form = _PERSONAL_FORMS.get(each.forms[0]) if is_text and each.forms else None
        if kind := form or names.personal_kind(name) or _personal_within(each):
            return kind
    return None


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    types = schema["type"]
    found = {**schema, "type": [*types, "null"] if isinstance(types, list) else [types, "null"]}
    if "enum" in found:
        found["enum"] = [*found["enum"], None]
    return found


def _mixed(profile: Profile, kinds: set[str]) -> Said:
    counted = ", ".join(f"{profile.kinds[kind]:,} {kind}" for kind in _ORDER if kind in kinds)
    types = [kind for kind in _ORDER if kind in kinds]
    note = f"mixed types ({counted}): kept as JSON text"
    kind, many = max(((kind, profile.kinds[kind]) for kind in types), key=lambda each: each[1])
    rest = sum(profile.kinds[kind] for kind in types) - many
    if many >= _NEARLY_ALL * rest:
        note += f'; if the {rest:,} are mistakes, write "type": "{kind}", and such rows are quarantined'
    return Said({"type": types}, "JSON text", [], [note], _personal_within(profile), hides=True)


_NEARLY_ALL = 20
"""How many times the others one type has to come for these to look like mistakes."""


def _boolean(profile: Profile, name: str, path: str, depth: int) -> Said:  # noqa: ARG001 - one of the makers
    return Said({"type": "boolean"}, "boolean", [], [])


def _number(profile: Profile, name: str, path: str, depth: int) -> Said:  # noqa: ARG001 - one of the makers
    if profile.wild:
        return Said({}, "JSON text", [], ["numbers beyond a double: kept as JSON text"])
    low, high = profile.low or 0, profile.high or 0
    if not profile.kinds["number"]:
        if low < -_HUGE or high > _HUGE:
            return Said({}, "JSON text", [], ["integers of more than 38 digits: kept as JSON text"])
        if low < _INT64[0] or high > _INT64[1]:
            bounds = {"minimum": -_HUGE, "maximum": _HUGE}
            return Said({"type": "integer", **bounds}, "integer", [], ["beyond 64 bits: DECIMAL(38,0)"])
        return Said({"type": "integer"}, "integer", [], [])
    if max(-low, high) > 10**_DOUBLE_DIGITS:
        return Said({}, "JSON text", [], ["numbers beyond a double: kept as JSON text"])
    digits = max(profile.digits, len(str(max(-low, high))))
    if names.is_money(name) and 0 < profile.scale <= _MAX_SCALE and not profile.exponents:
        scale = max(2, profile.scale)
        if digits + scale <= 38:
            precision = _PRECISION if digits + scale <= _PRECISION else 38
            found = {"type": "number", "format": "decimal", "precision": precision, "scale": scale}
            return Said(found, f"decimal({precision},{scale})", [], [])
    notes = []
    if names.is_money(name) and profile.scale > _MAX_SCALE:
        notes.append(f"up to {profile.scale} digits after the point: a number, not money")
    if profile.significant > _EXACT_DIGITS:
        notes.append(
            f"up to {profile.significant} digits, and a double keeps {_EXACT_DIGITS}: the rest is rounded away; "
            "format: decimal with precision and scale keeps them all"
        )
    return Said({"type": "number"}, "number", [], notes)


_DOUBLE_DIGITS = 300
_EXACT_DIGITS = 17
"""No double needs more digits than these to be told from its neighbours."""


_PERSONAL_FORMS = {"email": "email", "ipv4": "ip", "ipv6": "ip"}
_COMMA = re.compile(r"[+-]?(\d+|\d{1,3}([. ]\d{3})+),\d+")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+")
_DIGITS = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")
_ZONES = {
    "datetime": "no zone",
    texts.FINE: "no zone",
    texts.TEXT: "a time in a form that columns do not read: kept as text, and a time where it is the event_time",
    "zoned": "a zone, though not as date-time writes it: kept as UTC",
    "partly-zoned": "some rows have no zone, and are read as UTC; the others are kept as UTC",
}


def _string(profile: Profile, name: str, path: str, depth: int) -> Said:  # noqa: ARG001 - one of the makers
    notes: list[str] = []
    if profile.empty_texts and profile.empty_texts == profile.kinds["string"]:
        return Said({"type": "string"}, "string", [], ["always empty"])
    if profile.forms and profile.kinds["string"]:
        form = profile.forms[0]
        if form in _ZONES:
            notes.append(_ZONES[form])
        return Said(texts.schema_of(form), texts.shown(form), [], notes, _PERSONAL_FORMS.get(form))
    if (values := enum_of(profile, name)) is not None:
        return Said({"type": "string", "enum": values}, f"enum ({len(values)})", [], [])
    examples = [each for each in profile.examples if isinstance(each, str)]
    if examples and all(map(texts.looks_like_time, examples)):
        notes.append("looks like a time, in a form that is not read as one: kept as text")
    elif examples and all(map(_COMMA.fullmatch, examples)) and not all(map(_THOUSANDS.fullmatch, examples)):
        notes.append("numbers with a decimal comma, as they look: kept as text, for a number is read with a point")
    elif examples and not names.is_open(name) and not names.is_label(name) and all(map(_DIGITS.fullmatch, examples)):
        notes.append("numbers, as they look, that are written as texts: kept as text, as they come")
    elif examples and profile.empty_texts and texts.common_forms(examples):
        form = texts.shown(texts.common_forms(examples)[0])
        notes.append(f"{form}, but {profile.empty_texts:,} are empty: kept as text")
    return Said({"type": "string"}, "string", [], notes)


def enum_of(profile: Profile, name: str) -> list[str] | None:
    """Return the values of a field that has only these, where the evidence is strong; None where it is not.

    Few words, each of them many times, under a name that no identity and nothing of the open world has.
    """
    counts = profile.values
    if counts is None or names.is_open(name):
        return None
    values = [value for value in counts if isinstance(value, str)]
    rows = sum(counts[value] for value in values)
    few = 2 <= len(values) <= _ENUM_VALUES and rows >= max(_ENUM_ROWS, _ENUM_REPEATS * len(values))
    if not few or min(counts[value] for value in values) < _ENUM_RAREST:
        return None
    if not all(len(value) <= _ENUM_LENGTH and _ENUM_WORD.fullmatch(value) for value in values):
        return None
    return sorted(values)


def _array(profile: Profile, name: str, path: str, depth: int) -> Said:
    if profile.items is None:
        return Said({"type": "array"}, "array", [], ["always empty: no type of its elements can be told"])
    found = schema_of(profile.items, names.singulars(name)[-1], f"{path}[]", depth - 1)
    schema: dict[str, Any] = {"type": "array"}
    if found.schema:
        schema["items"] = found.schema
    return Said(schema, f"array of {found.type}", found.fields, found.notes, found.personal)


def is_map(profile: Profile) -> bool:
    """Say whether the names of an object's members are data, such as ids."""
    if profile.entries is not None:
        return True
    count = profile.kinds["object"]
    if len(profile.members) >= _MAP_NAMES and all(map(_DATA_NAME.fullmatch, profile.members)):
        return True
    if len(profile.members) < _SPARSE_NAMES or len(profile.members) < 2:
        return False
    sparse = all(_SPARSE_SHARE * member.seen <= count for member in profile.members.values())
    kinds = {tuple(sorted(kind for kind, many in each.kinds.items() if many)) for each in profile.members.values()}
    return sparse and len(kinds - {()}) == 1


def _object(profile: Profile, name: str, path: str, depth: int) -> Said:
    if is_map(profile):
        whole = profile.entries or merged(profile.members.values())
        found = schema_of(whole, names.singulars(name)[-1], f"{path}.*", depth - 1)
        some = f"{len(profile.members):,}" if profile.members else "very many"
        note = f"{some} different names, which look like data: kept as a map, JSON text"
        whole_map = {"type": "object", "additionalProperties": found.schema or True}
        return Said(whole_map, "map", found.fields, [note], found.personal)
    if not profile.members:
        return Said({"type": "object"}, "object", [], ["always empty: kept as JSON text"])
    if depth <= 0:
        note = f"{len(profile.members):,} fields within, {TOO_MANY}"
        return Said({"type": "object"}, "object", [], [note], _personal_within(profile), hides=True)
    schema: dict[str, Any] = {"type": "object", "properties": {}}
    fields: list[Field] = []
    for member, below in ordered(profile):
        found = schema_of(below, member, f"{path}.{member}", depth - 1)
        schema["properties"][member] = found.schema
        fields += evidence(below, found, f"{path}.{member}", profile.kinds["object"])
    required = [member for member, below in ordered(profile) if below.seen == profile.kinds["object"]]
    if required:
        schema["required"] = required
    low = {member.lower() for member in profile.members}
    notes = ["names that differ only in case: kept as JSON text"] if len(low) < len(profile.members) else []
    return Said(schema, "object", fields, notes)


def depth_for(profile: Profile, fields: int) -> int:
    """Return how deep objects may be looked into for their fields to be no more than so many."""
    level, total, depth = list(profile.members.values()), len(profile.members), 0
    while level and depth < DEPTH:
        level = [each for part in level for each in _within(part)]
        total += len(level)
        if total > fields:
            return depth
        depth += 1
    return DEPTH


def _within(profile: Profile) -> list[Profile]:
    while profile.items is not None and not profile.members:
        profile = profile.items
    if is_map(profile):
        return list((profile.entries or merged(profile.members.values())).members.values())
    return list(profile.members.values())


def evidence(below: Profile, found: Said, path: str, rows: int) -> list[Field]:
    """Return the evidence of one field, and of all below it."""
    examples = ("***",) if found.personal else tuple(below.examples)
    kinds = {kind: below.kinds[kind] for kind in _ORDER if below.kinds[kind]}
    own = Field(path, found.type, rows, below.seen, below.nulls, kinds, examples, found.personal, tuple(found.notes))
    return [own, *found.fields]


def ordered(profile: Profile) -> Iterator[tuple[str, Profile]]:
    """Yield the members of objects in the order that they usually have there, whatever the order of the objects."""
    place = {name: total / count if count else 0.0 for name, (total, count) in profile.places.items()}
    yield from sorted(profile.members.items(), key=lambda item: (place.get(item[0], 0.0), item[0]))
