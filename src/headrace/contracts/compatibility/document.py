"""A schema document whose parts know their place: references are followed when they are met, cycles and all."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from headrace.contracts.compatibility.budget import Budget
from headrace.contracts.compatibility.drafts import YEARS, as_read, draft_of, identifier
from headrace.contracts.load import DRAFTS
from headrace.contracts.refs import escaped, schemas_in, target, unescaped
from headrace.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Node = tuple["Part", ...]
"""A conjunction: a value is valid under a node when it is valid under each of its parts; under () it always is."""

_REFERENCES = frozenset({"$ref", "$dynamicRef", "$recursiveRef"})
_SELF_DESCRIBING = "com.snowplowanalytics.self-desc/schema"
"""Iglu's own meta-schema: draft 4, and who the schema is."""
_BESIDE = frozenset(
    {"$ref", "not", "if", "then", "else", "allOf", "anyOf", "oneOf", "dependentSchemas", "dependencies"}
)
"""What holds the very same value against another schema."""
_BY_NAME = frozenset({"dependentSchemas", "dependencies"})
"""Those of them that have a schema for each of some names."""
_WRITTEN = json.JSONEncoder(sort_keys=True, ensure_ascii=False).encode
_WHOLE_FLOAT = re.compile(r"[0-9]\.0|[0-9][eE]")
"""What the text of every float that is an integer has, and some strings."""


class Document:
    """A whole schema as it is written, and as its draft reads it: that is what its parts are of."""

    def __init__(self, schema: Any) -> None:
        self.draft = draft_of(schema.get("$schema") if isinstance(schema, dict) else None, 2020)
        word = next(word for word, year in YEARS.items() if year == self.draft)
        self.schema = schema | {"$schema": DRAFTS[word]} if isinstance(schema, dict) and "$schema" in schema else schema
        self.read = as_read(self.schema, self.draft)
        self.budget = Budget()
        self.values: dict[int, frozenset[str]] = {}
        self.mentions: dict[int, Any] = {}
        self._known: set[int] | None = None
        self._within: list[dict[str, Any]] | None = None
        self._weight: float | None = None
        self._targets: dict[str, Part | None] = {}
        self._texts: dict[int, str] = {}
        self._made: list[Any] = []
        self._asking: dict[str, Part] = {}
        self._text = self.made({"type": "string"}, "#")
        self._negated: dict[int, Part] = {}
        self.validator: Any = None
        self.shapes: dict[tuple[int, int], Any] = {}
        self.never = Part(False, self, "#")

    def root(self) -> Part:
        """Return the part that is the whole document."""
        return Part(self.read, self, "#")

    def made(self, schema: Any, at: str) -> Part:
        """Return a part for a schema that stands in no document; it is kept alive as long as this document."""
        self._made.append(schema)
        return Part(schema, self, at)

    def negated(self, schema: Any, at: str) -> Part:
        """Return the part that is not a schema of this document; always the same one."""
        if id(schema) not in self._negated:
            self._negated[id(schema)] = self.made({"not": schema}, at)
        return self._negated[id(schema)]

    def asking(self, name: str) -> Part:
        """Return the part that asks for a property; always the same one for a name."""
        if name not in self._asking:
            self._asking[name] = self.made({"required": [name]}, "#")
        return self._asking[name]

    def texts(self) -> Part:
        """Return the part that allows any text; always the same one."""
        return self._text

    def followed(self, reference: Any) -> Part | None:
        """Return the part that a reference leads to; None where it leaves the document or leads nowhere."""
        if not isinstance(reference, str):
            return None
        if reference not in self._targets:
            try:
                found = self._read(reference, target(reference, self.read))
            except ContractError:
                self._targets[reference] = None
            else:
                self._targets[reference] = Part(found, self, self._pointer(reference, found))
        return self._targets[reference]

    def _read(self, reference: str, found: Any) -> Any:
        """Return what stands at a place, as the draft reads it, also where no schema is looked for."""
        if self._known is None:
            self._known = {id(schema) for schema in self._schemas()}
        if not isinstance(found, dict) or id(found) in self._known:
            return found
        node, base = self.read, ""
        for step in unquote(reference)[2:].split("/"):
            word = unescaped(step)
            node = node[int(word)] if isinstance(node, list) else node[word]
            base = base or identifier(node, self.draft) or ""
        made = as_read(found, self.draft, base or None, root=False)
        self._made.append(made)
        return made

    def listed(self) -> int:
        """Return how many values the schemas list."""
        lists = (schema["enum"] for schema in self._schemas() if isinstance(schema.get("enum"), list))
        return sum(len(each) for each in lists)

    def _schemas(self) -> list[dict[str, Any]]:
        if self._within is None:
            self._within = schemas_in(self.read)
        return self._within

    def tangled(self) -> bool:
        """Whether a schema refers to itself for the same value: what that means is for nobody to say."""
        return self.weight() == math.inf

    def weight(self) -> float:
        """Return against how many schemas one value is held at most, references followed; infinite for a circle.

        A validator follows each of them: thirty doubled references are a milliard.
        """
        if self._weight is None:
            self._weight = self._weighed()
        return self._weight

    def _weighed(self) -> float:
        done: dict[int, float] = {}
        for start in self._schemas():
            if _BESIDE.isdisjoint(start) or id(start) in done:
                continue
            above: dict[int, float] = {}
            stack: list[tuple[int, Iterator[Any]]] = []
            waiting: Any = start
            while waiting is not None or stack:
                if waiting is not None:
                    above[id(waiting)] = 1.0
                    stack.append((id(waiting), self._beside(waiting)))
                current, rest = stack[-1]
                waiting = next(rest, None)
                if waiting is None:
                    stack.pop()
                    done[current] = above.pop(current)
                    if stack:
                        above[stack[-1][0]] += done[current]
                elif id(waiting) in above:
                    return math.inf
                elif id(waiting) in done or _BESIDE.isdisjoint(waiting):
                    above[current] += done.get(id(waiting), 1.0)
                    waiting = None
        return max(done.values(), default=1.0)

    def _beside(self, schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Return the schemas that a schema holds the very same value against."""
        found: list[Any] = []
        if "$ref" in schema:
            there = self.followed(schema["$ref"])
            found += [] if there is None else [there.schema]
        if "$ref" not in schema or self.draft > 7:
            for word in _BESIDE.intersection(schema):
                said = schema[word]
                found += said if isinstance(said, list) else said.values() if word in _BY_NAME else [said]
        return iter([each for each in found if isinstance(each, dict)])

    def _pointer(self, reference: str, found: Any) -> str:
        if reference.startswith("#/") or reference == "#":
            return unquote(reference)
        from headrace.contracts.refs import subschemas

        return next((at for at, schema in subschemas(self.read) if schema is found), reference)

    def text(self, schema: Any) -> str:
        """Return the canonical text of a schema of this document."""
        if not isinstance(schema, dict):
            return text(schema)
        found = self._texts.get(id(schema))
        if found is None:
            found = self._texts[id(schema)] = text(schema)
        return found


class Part:
    """A schema at its place in a document; `key` tells it from all others, without a look at what may be large."""

    __slots__ = ("_above", "_at", "_steps", "document", "key", "schema")

    def __init__(
        self, schema: Any, document: Document, at: str, above: Part | None = None, steps: tuple[object, ...] = ()
    ) -> None:
        self.schema = schema
        self.document = document
        self.key = (id(document), id(schema))
        self._at, self._above, self._steps = at, above, steps

    @property
    def at(self) -> str:
        """Where the schema stands, as a JSON pointer: written when it is asked for, which few are."""
        if self._above is not None:
            steps: list[str] = []
            part: Part | None = self
            while part is not None:
                steps += (escaped(step) if isinstance(step, str) else str(step) for step in reversed(part._steps))
                steps += [part._at] if part._at else []
                part = part._above
            self._at, self._above, self._steps = "/".join(reversed(steps)), None, ()
        return self._at

    def below(self, schema: Any, *steps: object) -> Part:
        """Return the part of a schema that stands below this one."""
        return Part(schema, self.document, "", self, steps)


def key(node: Node) -> frozenset[tuple[int, int]]:
    """Return what tells a node from all others."""
    return frozenset(part.key for part in node)


def text(value: Any) -> str:
    """Return the canonical text of a JSON value: equal exactly where JSON Schema calls the values equal."""
    written = _WRITTEN(value)
    if isinstance(value, str):
        return written
    if _WHOLE_FLOAT.search(written) is None:
        return written
    return _WRITTEN(_plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def alike(a: Any, b: Any, names: set[str] | None = None) -> bool:
    """Whether JSON Schema, too, calls two values equal that Python does: it takes `true` for 1.

    `names` is given what they refer to, wherever in them.
    """
    if isinstance(a, dict):
        for word, mine in a.items():
            if isinstance(mine, str):
                if names is not None and word in _REFERENCES:
                    names.add(mine)
            elif not alike(mine, b[word], names):
                return False
        return True
    if isinstance(a, list):
        return all(isinstance(mine, str) or alike(mine, theirs, names) for mine, theirs in zip(a, b, strict=True))
    return isinstance(a, bool) is isinstance(b, bool)


class Sameness:
    """Whether parts of two documents say the same, and whatever they refer to does, too.

    Of two documents it makes no difference which one is named first, and each pair is looked at once.
    """

    def __init__(self) -> None:
        self._same: dict[tuple[int, int], dict[str, bool]] = {}
        self._found: dict[tuple[tuple[int, int], tuple[int, int]], bool] = {}

    def parts(self, a: Part, b: Part) -> bool:
        """Whether two parts say the same; True only where they surely do."""
        one, other = a.key, b.key
        if one == other:
            return True
        pair = (one, other) if one < other else (other, one)
        found = self._found.get(pair)
        if found is None:
            found = self._found[pair] = self.schemas(a.schema, a.document, b.schema, b.document)
        return found

    def schemas(self, a: Any, of_a: Document, b: Any, of_b: Document) -> bool:
        """Whether two values of documents say the same."""
        if a != b or of_a.draft != of_b.draft:
            return False
        names = set[str]()
        if not alike(a, b, names):
            return False
        return of_a is of_b or all(self._reference(name, of_a, of_b) for name in names)

    def _reference(self, name: str, of_a: Document, of_b: Document) -> bool:
        """Whether a reference leads to the same in both; a cycle is the same unless something on it differs."""
        one, other = id(of_a), id(of_b)
        known = self._same.setdefault((one, other) if one < other else (other, one), {})
        if name not in known:
            self._settle(name, of_a, of_b, known)
        return known[name]

    def _settle(self, name: str, of_a: Document, of_b: Document, known: dict[str, bool]) -> None:
        """Settle a reference, and all that it leads to: what differs makes all differ that leads there."""
        leading: dict[str, list[str]] = {name: []}
        waiting, wrong = [name], list[str]()
        while waiting:
            current = waiting.pop()
            a, b = of_a.followed(current), of_b.followed(current)
            names = set[str]()
            if a is None or b is None or a.schema != b.schema or not alike(a.schema, b.schema, names):
                wrong.append(current)
                continue
            for other in names:
                if other in known:
                    wrong += [] if known[other] else [current]
                    continue
                if other not in leading:
                    leading[other] = []
                    waiting.append(other)
                leading[other].append(current)
        different = set[str]()
        while wrong:
            current = wrong.pop()
            if current not in different:
                different.add(current)
                wrong += leading[current]
        known.update((each, each not in different) for each in leading)


def document_of(schema: Mapping[str, Any] | bool) -> Document:
    """Return the document of a schema: JSON Schema, an Iglu schema, our `fields` form, or a boolean."""
    from headrace.contracts import fields

    if not isinstance(schema, dict):
        return Document(schema)
    if fields.is_fields_form(schema):
        return Document({"$schema": DRAFTS["draft/2020-12"]} | fields.json_schema(schema))
    if _SELF_DESCRIBING in str(schema.get("$schema")):
        return Document(schema | {"$schema": DRAFTS["draft-04"]})
    return Document(schema)
