"""Gathering the facts of a conjunction of schemas, keyword by keyword."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from headrace.contracts.compatibility.document import text
from headrace.contracts.compatibility.facts import TYPES, Bound, Facts, Row, Shape, alone, type_of
from headrace.contracts.compatibility.mentions import mention_of
from headrace.contracts.compatibility.patterns import languages

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.contracts.compatibility.document import Part
    from headrace.contracts.compatibility.patterns import Texts

CONTENTS = ("contentEncoding", "contentMediaType", "x-type")


def gathered(parts: tuple[Part, ...], texts: Texts, *, partial: bool = False) -> Facts:
    """Return what holds for every value that meets all the parts; no types at all where surely none does."""
    facts = Facts(parts, partial=partial)
    if parts:
        parts[0].document.budget.spend(len(parts))
    for part in parts:
        if part.schema is False:
            facts.types = frozenset()
        elif isinstance(part.schema, dict) and not alone(part):
            _take(facts, part)
    if facts.values is not None:
        from headrace.contracts.compatibility.holding import each_holds

        said = each_holds(facts.values, parts, literal=facts.literal)
        facts.values = [value for value, held in zip(facts.values, said, strict=True) if held is not False]
        facts.types &= frozenset(type_of(value) for value in facts.values)
    # The same text says the same within one document only: elsewhere its references lead to other schemas.
    denied = {(id(part.document), part.document.text(part.schema)) for part in facts.nots}
    if denied and any((id(part.document), part.document.text(part.schema)) in denied for part in parts):
        facts.types = frozenset()
    low, high = facts.lowest(), facts.highest()
    if low and high and (low.value > high.value or (low.value == high.value and (low.exclusive or high.exclusive))):
        facts.types -= {"number"}
    for pattern in languages(facts.patterns, facts.formats):
        least, most = texts.lengths(pattern)
        facts.min_length, facts.max_length = max(facts.min_length, least), min(facts.max_length, most)
    if facts.min_length > facts.max_length:
        facts.types -= {"string"}
    if facts.min_items > facts.most_items():
        facts.types -= {"array"}
    if max(facts.min_properties, len(facts.required)) > facts.max_properties:
        facts.types -= {"object"}
    return facts


def format_of(part: Part) -> str | None:
    """Return the format that a schema asks of text, by what it means: host names were read otherwise before draft 7."""
    name = part.schema.get("format")
    if not isinstance(name, str):
        return None
    return f"{name} of draft 6" if name == "hostname" and part.document.draft < 7 else name


def contents_of(part: Part) -> frozenset[tuple[str, str, bool]]:
    """Return what a schema says of the contents of text, and whether its draft refuses any."""
    binds = part.document.draft in {6, 7}
    return frozenset((word, part.schema[word], binds) for word in CONTENTS if isinstance(part.schema.get(word), str))


def types_of(schema: dict[str, Any]) -> tuple[frozenset[str], bool] | None:
    """Return the types that a schema names, and whether its numbers are integers; None where it names none."""
    if "type" not in schema:
        return None
    words = [schema["type"]] if isinstance(schema["type"], str) else list(schema["type"])
    kinds = frozenset("number" if word == "integer" else word for word in words) & TYPES
    return kinds, "integer" in words and "number" not in words


def bounds_of(part: Part) -> tuple[Bound | None, Bound | None]:
    """Return the lower and the upper end that a schema sets, in the words of its draft."""
    schema = part.schema
    found: list[Bound | None] = []
    for word, exclusive, sign in (("minimum", "exclusiveMinimum", 1), ("maximum", "exclusiveMaximum", -1)):
        ends = []
        if is_number(schema.get(word)):
            ends.append(Bound(schema[word], part.document.draft == 4 and schema.get(exclusive) is True))
        if is_number(schema.get(exclusive)) and part.document.draft > 4:
            ends.append(Bound(schema[exclusive], exclusive=True))
        found.append(max(ends, key=lambda end: (sign * end.value, end.exclusive), default=None))
    return found[0], found[1]


def is_number(value: Any) -> bool:
    """Whether a value is a JSON number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def step_of(value: Any) -> Fraction:
    """Return what a `multipleOf` says, as it is written: 0.1 is a tenth."""
    return Fraction(str(value))


def row_of(part: Part) -> Row | None:
    """Return what a schema says of the items of arrays, in the words of its draft."""
    schema = part.schema
    if part.document.draft == 2020:
        prefix = tuple(part.below(item, "prefixItems", at) for at, item in enumerate(schema.get("prefixItems", ())))
        rest = part.below(schema["items"], "items") if "items" in schema else None
    elif isinstance(schema.get("items"), list):
        prefix = tuple(part.below(item, "items", at) for at, item in enumerate(schema["items"]))
        rest = part.below(schema["additionalItems"], "additionalItems") if "additionalItems" in schema else None
    else:
        prefix = ()
        rest = part.below(schema["items"], "items") if "items" in schema else None
    return Row(prefix, rest) if prefix or rest is not None else None


def shape_of(part: Part) -> Shape | None:
    """Return what a schema says of the properties of objects."""
    known = part.document.shapes
    if part.key not in known:
        known[part.key] = _shape_of(part)
    found: Shape | None = known[part.key]
    return found


def _shape_of(part: Part) -> Shape | None:
    schema = part.schema
    if not {"properties", "patternProperties", "additionalProperties"} & schema.keys():
        return None
    named = {name: part.below(item, "properties", name) for name, item in schema.get("properties", {}).items()}
    patterns = {
        pattern: part.below(item, "patternProperties", pattern)
        for pattern, item in schema.get("patternProperties", {}).items()
    }
    written = schema.get("additionalProperties")
    extra = None if written is None else part.below(written, "additionalProperties")
    return Shape(named, patterns, extra, part.document)


def dependents_of(schema: dict[str, Any]) -> dict[str, frozenset[str]]:
    """Return which properties ask for which others."""
    found: dict[str, frozenset[str]] = {}
    for word in ("dependentRequired", "dependencies"):
        for name, others in schema.get(word, {}).items():
            if isinstance(others, list):
                found[name] = found.get(name, frozenset()) | frozenset(others)
    return found


def values_of(schema: dict[str, Any], draft: int) -> list[Any] | None:
    """Return the values that `enum` and `const` leave."""
    values = list(schema["enum"]) if isinstance(schema.get("enum"), list) else None
    if "const" in schema and draft > 4:
        const = text(schema["const"])
        values = [schema["const"]] if values is None else [value for value in values if text(value) == const]
    return values


def texts_of(part: Part) -> frozenset[str]:
    """Return the texts of the values that `enum` and `const` leave."""
    known = part.document.values
    if id(part.schema) not in known:
        known[id(part.schema)] = frozenset(text(value) for value in values_of(part.schema, part.document.draft) or ())
    return known[id(part.schema)]


def _take(facts: Facts, part: Part) -> None:
    schema, said = part.schema, part.schema.keys()
    named = types_of(schema)
    if named is not None:
        facts.types &= named[0]
        facts.integral = facts.integral or named[1]
        facts.literal = facts.literal or (named[1] and part.document.draft == 4)
    values = values_of(schema, part.document.draft)
    if values is not None:
        mine = texts_of(part)
        facts.values = values if facts.values is None else [each for each in facts.values if text(each) in mine]
    for words, take in _TAKEN:
        if not words.isdisjoint(said):
            take(facts, part)
    if "not" in schema:
        facts.nots += (part.below(schema["not"], "not"),)
    mention = mention_of(part)
    facts.mentions += () if mention is None else (mention,)


def _take_number(facts: Facts, part: Part) -> None:
    low, high = bounds_of(part)
    facts.low = max(filter(None, (facts.low, low)), key=lambda end: (end.value, end.exclusive), default=None)
    facts.high = min(filter(None, (facts.high, high)), key=lambda end: (end.value, not end.exclusive), default=None)
    step = part.schema.get("multipleOf")
    if is_number(step) and step > 0:
        facts.multiples |= {step_of(step)}


def _take_text(facts: Facts, part: Part) -> None:
    schema = part.schema
    facts.min_length = max(facts.min_length, _count(schema, "minLength"))
    facts.max_length = min(facts.max_length, _count(schema, "maxLength", facts.max_length))
    facts.patterns |= {schema["pattern"]} if isinstance(schema.get("pattern"), str) else set()
    facts.formats |= {name} if (name := format_of(part)) is not None else set()
    facts.contents |= contents_of(part)


def _take_items(facts: Facts, part: Part) -> None:
    schema = part.schema
    row = row_of(part)
    facts.rows += () if row is None else (row,)
    facts.min_items = max(facts.min_items, _count(schema, "minItems"))
    facts.max_items = min(facts.max_items, _count(schema, "maxItems", facts.max_items))
    facts.unique = facts.unique or schema.get("uniqueItems") is True
    if "contains" in schema:
        least = least_contained(schema, part.document.draft)
        facts.contains += ((part.below(schema["contains"], "contains"), least),)


def _take_members(facts: Facts, part: Part) -> None:
    schema = part.schema
    shape = shape_of(part)
    facts.shapes += () if shape is None else (shape,)
    if isinstance(schema.get("required"), list):
        facts.required |= frozenset(schema["required"])
    facts.min_properties = max(facts.min_properties, _count(schema, "minProperties"))
    facts.max_properties = min(facts.max_properties, _count(schema, "maxProperties", facts.max_properties))
    if "propertyNames" in schema:
        facts.names += (part.below(schema["propertyNames"], "propertyNames"),)
    for name, others in dependents_of(schema).items():
        facts.dependents = facts.dependents | {name: facts.dependents.get(name, frozenset()) | others}
        facts.required |= others if name in facts.required else frozenset()


_TAKEN: tuple[tuple[frozenset[str], Callable[[Facts, Part], None]], ...] = (
    (frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}), _take_number),
    (frozenset({"minLength", "maxLength", "pattern", "format", *CONTENTS}), _take_text),
    (
        frozenset({
            "items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems", "contains", "minContains",
        }),
        _take_items,
    ),
    (
        frozenset({
            "properties", "patternProperties", "additionalProperties", "required", "minProperties", "maxProperties",
            "propertyNames", "dependentRequired", "dependencies",
        }),
        _take_members,
    ),
)  # fmt: skip
"""Which keywords say something of which type, so that a schema is asked only for what it has."""


def least_contained(schema: dict[str, Any], draft: int) -> int:
    """Return how many items must be such as `contains` says."""
    return _count(schema, "minContains", 1) if draft >= 2019 else 1


def _count(schema: dict[str, Any], word: str, otherwise: Any = 0) -> Any:
    return schema[word] if is_number(schema.get(word)) else otherwise
