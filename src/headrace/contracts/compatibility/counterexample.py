"""A document that bears a doubt out: valid under the writer's version and not under the reader's, as validators say."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from headrace.contracts.compatibility.holding import holds
from headrace.contracts.compatibility.objects import value_of
from headrace.contracts.compatibility.sampling import NONE, Sampler
from headrace.contracts.load import compiled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.contracts.compatibility.document import Document
    from headrace.contracts.compatibility.doubt import Doubt, Step
    from headrace.contracts.compatibility.inclusion import Inclusion

_MOST_TRIES = 80
_MOST_ALTERNATIVES = 12
_MOST_VALIDATIONS = 6_000
_HEAVIEST = 20_000
"""How many schemas one value is held against, for a validator to be asked at all: it cannot be stopped."""
_FORBIDDING = ("additionalProperties", "unevaluatedProperties")


class Refuter:
    """Looks for counter-examples of one direction; bounded for each doubt, and for all of them together."""

    def __init__(self, inclusion: Inclusion, writer: Document, reader: Document) -> None:
        self._inclusion = inclusion
        self._writer, self._reader = writer, reader
        self._validators: tuple[Any, Any] | None = None
        self._sampler = Sampler(inclusion.alternatives, writer.budget, closed=inclusion.closed)
        self._left = _MOST_VALIDATIONS if max(writer.weight(), reader.weight()) <= _HEAVIEST else 0

    def example(self, doubt: Doubt) -> Any:
        """Return a document that is valid for the writer and invalid for the reader; NONE where none is found."""
        tries = itertools.islice(self._documents(doubt), _MOST_TRIES)
        return next((document for document in tries if self._shows(document)), NONE)

    def _shows(self, document: Any) -> bool:
        self._left -= 1
        if self._left < 0 or not self._writer.budget.spend(5):
            return False
        if self._validators is None:
            self._validators = _of(self._writer), _of(self._reader)
        writes, reads = self._validators
        try:
            return bool(writes.is_valid(document)) and not reads.is_valid(document)
        except ValueError:
            return False

    def _documents(self, doubt: Doubt) -> Iterator[Any]:
        for value in self._values(doubt):
            document = value if value is NONE else self._around(value, doubt.step)
            if document is not NONE:
                yield document

    def _values(self, doubt: Doubt) -> Iterator[Any]:
        if doubt.values:
            yield from doubt.values
            return
        facts, wanted = doubt.facts, (doubt.part,)
        if doubt.step is not None and doubt.step.facts is facts and isinstance(doubt.step.place, str):
            yield from self._sampler.some(value_of(self._inclusion, facts, doubt.step.place), (), 0, 6)
            return
        if doubt.aspect == "not":  # what the writer allows, and the reader denies
            denied = doubt.part.below(doubt.part.schema["not"], "not")
            yield from self._sampler.some((*facts.parts, denied), (), 0, 12)
        if doubt.aspect in {"dependencies", "dependentRequired"} and doubt.detail is not None:
            value = self._sampler.least(value_of(self._inclusion, facts, doubt.detail), 1)
            if value is not NONE:
                yield self._sampler.object(facts, {doubt.detail: value}, 0)
        kept, first = [], True
        for value in self._sampler.of_facts(facts, wanted):
            if holds(value, wanted) is True:
                kept.append(value)
            else:
                yield value
                first = False
        if first:
            yield from kept[:8]

    def _around(self, value: Any, step: Step | None) -> Any:
        while step is not None and value is not NONE:
            value = self._with(value, step)
            step = step.above
        return value

    def _with(self, value: Any, step: Step) -> Any:
        """Return an object or an array with a value at its place.

        It is one of the first alternative that allows it: a proof takes what is within them all for one question, and
        what it found there may stand with one of them alone, as where `oneOf` asks for one property or another.
        """
        kind = "object" if isinstance(step.place, str) else "array"
        known = [facts for facts in self._inclusion.alternatives.beside(step.facts) if kind in facts.types]
        found = NONE
        for facts in known[:_MOST_ALTERNATIVES]:
            if isinstance(step.place, str):
                made = self._sampler.object(facts, {step.place: value}, 0)
            else:
                made = self._sampler.array(facts, {step.place: value}, facts.min_items, 0)
            if made is not NONE and (len(known) == 1 or holds(made, facts.parts) is not False):
                return made
            found = made if found is NONE else found
        return found


def without_forbidding(schema: Any) -> Any:
    """Return a schema whose readers pass over the properties that it does not declare."""
    import copy

    from headrace.contracts.refs import subschemas

    if not isinstance(schema, dict):
        return schema
    found = copy.deepcopy(schema)
    for _, part in subschemas(found):
        for word in _FORBIDDING:
            if part.get(word) is False:
                del part[word]
    return found


def _of(document: Document) -> Any:
    if document.validator is None:
        document.validator = _validator(document.schema)
    return document.validator


def _validator(schema: Any) -> Any:
    return compiled(schema if isinstance(schema, dict) else {} if schema else {"not": {}})
