"""What values of one place had in common: counts, bounds, forms; and, below, the places within them.

A profile is the same whatever the order of what it saw, and its memory is bounded: beyond LIMIT different values or
MEMBERS different names it knows only that there were more. Profiles of parts merge into the profile of the whole.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.contracts.inference.texts import FORMS, common_forms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

LIMIT = 1_000
MEMBERS = 2_000
HASHES = 1_000_000
EXAMPLES = 3
_EXAMPLE_CHARACTERS = 60
_DOUBLE = 300
"""A decimal exponent that is within those of doubles, on both sides."""


class Profile:
    """The values of one place. `track`: it also counts how many different ones there are, however many."""

    def __init__(self, *, track: bool = False) -> None:
        self.seen = self.nulls = 0
        self.kinds: Counter[str] = Counter()
        self.examples: list[Any] = []
        self.values: Counter[Any] | None = Counter()
        """How often each text or whole number came; None: there were more than LIMIT."""
        self.low: int | None = None
        self.high: int | None = None
        self.least: Decimal | None = None
        self.most: Decimal | None = None
        """Bounds of the numbers with a fraction or an exponent, as `low` and `high` are those of whole numbers."""
        self.scale = 0
        self.digits = 0
        self.significant = 0
        """How many digits the longest number with a fraction has, zeros at its ends aside."""
        self.exponents = False
        self.wild = False
        """A number is beyond what a double holds."""
        self.forms: tuple[str, ...] = FORMS
        self.longest = 0
        self.empty_texts = 0
        self.members: dict[str, Profile] = {}
        self.places: dict[str, list[int]] = {}
        """By member: the sum of its places among the others, and how often it was there."""
        self.entries: Profile | None = None
        """All members as one, where there were too many to tell apart."""
        self.items: Profile | None = None
        self.empty_arrays = 0
        self._track = track
        self._hashes: list[np.ndarray] = []
        self._hashed = 0

    def observe(self, values: Sequence[Any]) -> None:
        """Take in values as JSON has them, numbers with a fraction as Decimals."""
        self.seen += len(values)
        kinds = set(map(type, values))
        if len(kinds) == 1:
            self._observe(kinds.pop(), values)
            return
        parted: dict[type, list[Any]] = defaultdict(list)
        for value in values:
            parted[type(value)].append(value)
        for kind, part in parted.items():
            self._observe(kind, part)

    def _observe(self, kind: type, values: Sequence[Any]) -> None:
        if kind is type(None):
            self.nulls += len(values)
        elif kind is str:
            self.texts(Counter(values), len(values))
            self.hash(values)
        elif kind is int:
            self.integers(Counter(values), len(values))
            self.hash(values)
        elif kind is bool:
            self.kinds["boolean"] += len(values)
            self._show(values)
        elif kind is Decimal or kind is float:
            self.numbers(set(values), len(values))
        elif issubclass(kind, dict):
            self.kinds["object"] += len(values)
            self._objects(values)
        else:
            self.kinds["array"] += len(values)
            self.empty_arrays += sum(not each for each in values)
            items = [item for each in values for item in each]
            if items:
                self.items = self.items or Profile()
                self.items.observe(items)

    def texts(self, counts: Counter[str], rows: int) -> None:
        """Take in texts by how often each came."""
        self.kinds["string"] += rows
        self.empty_texts += counts.get("", 0)
        self._show(counts)
        self.longest = max(self.longest, max(map(len, counts), default=0))
        if self.forms:
            self.forms = common_forms(counts, self.forms)
        self._count(counts)

    def integers(self, counts: Counter[int], rows: int) -> None:
        """Take in whole numbers by how often each came."""
        self.kinds["integer"] += rows
        self._show(counts)
        low, high = min(counts), max(counts)
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)
        self._count(counts)

    def numbers(self, values: set[Any], rows: int) -> None:
        """Take in the different numbers with a fraction or an exponent of so many rows."""
        self.kinds["number"] += rows
        self._show(values)
        for value in values:
            number = value if isinstance(value, Decimal) else Decimal(repr(value))
            _, digits, exponent = number.as_tuple()
            if not isinstance(exponent, int) or (number and abs(number.adjusted()) > _DOUBLE):
                self.wild = True
                continue
            self.least = number if self.least is None else min(self.least, number)
            self.most = number if self.most is None else max(self.most, number)
            self.exponents |= exponent > 0
            if len(digits) > self.significant:
                self.significant = max(self.significant, len("".join(map(str, digits)).strip("0")))
            self.scale = max(self.scale, -exponent)
            self.digits = max(self.digits, len(digits) + exponent)

    def _objects(self, values: Sequence[dict[str, Any]]) -> None:
        shapes: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
        for value in values:
            shapes[tuple(value)].append(value)
        columns: dict[str, list[Any]] = defaultdict(list)
        for names, alike in shapes.items():
            for place, (name, cells) in enumerate(zip(names, zip(*map(dict.values, alike), strict=True), strict=True)):
                columns[name].extend(cells)
                known = self.places.setdefault(name, [0, 0])
                known[0] += place * len(alike)
                known[1] += len(alike)
        for name, column in columns.items():
            if self.entries is not None:
                self.entries.observe(column)
                continue
            if name not in self.members:
                self.members[name] = Profile(track=self._track and self._top)
            self.members[name].observe(column)
        if len(self.members) > MEMBERS and not self._top:
            self._fold()

    _top = False

    def _fold(self) -> None:
        self.entries = merged(self.members.values())
        self.members, self.places = {}, {}

    def _count(self, counts: Counter[Any]) -> None:
        if self.values is not None:
            self.values.update(counts)
            if len(self.values) > LIMIT:
                self.values = None

    def _show(self, values: Iterable[Any]) -> None:
        if len(self.examples) < EXAMPLES:
            for value in values:
                if value not in self.examples and value != "":
                    self.examples.append(value if not isinstance(value, str) else value[:_EXAMPLE_CHARACTERS])
                if len(self.examples) == EXAMPLES:
                    break

    def hash(self, values: Sequence[Any]) -> None:
        """Count which values differ, where that is asked for."""
        if self._track and self._hashed < HASHES:
            some = values[: HASHES - self._hashed]
            self._hashes.append(np.fromiter(map(hash, some), np.int64, len(some)))
            self._hashed += len(some)

    def different(self) -> tuple[int, int]:
        """Return how many different values there were, among how many that were looked at."""
        if not self._hashes:
            return 0, 0
        whole = np.unique(np.concatenate(self._hashes))
        self._hashes = [whole] if self._hashed < HASHES else self._hashes
        return len(whole), self._hashed

    def tell_apart_as(self, other: Profile) -> None:
        """Take over how many different values another profile of the same place saw."""
        self._hashes, self._hashed = other._hashes, other._hashed

    def merge(self, other: Profile) -> None:
        """Take in what another profile saw."""
        self.seen += other.seen
        self.nulls += other.nulls
        self.kinds.update(other.kinds)
        self._show(other.examples)
        if self.values is not None:
            if other.values is None:
                self.values = None
            else:
                self._count(other.values)
        self.low, self.high = _outer(min, self.low, other.low), _outer(max, self.high, other.high)
        self.least, self.most = _outer(min, self.least, other.least), _outer(max, self.most, other.most)
        self.scale, self.digits = max(self.scale, other.scale), max(self.digits, other.digits)
        self.significant = max(self.significant, other.significant)
        self.wild |= other.wild
        self.exponents |= other.exponents
        self.forms = tuple(form for form in self.forms if form in other.forms)
        self.longest = max(self.longest, other.longest)
        self.empty_texts += other.empty_texts
        self.empty_arrays += other.empty_arrays
        if other.items:
            self.items = self.items or Profile()
            self.items.merge(other.items)
        if other.entries is not None and self.entries is None:
            self._fold()
        for name, member in other.members.items():
            if self.entries is not None:
                self.entries.merge(member)
                continue
            known = self.places.setdefault(name, [0, 0])
            known[0] += other.places[name][0]
            known[1] += other.places[name][1]
            self.members.setdefault(name, Profile()).merge(member)
        if other.entries is not None and self.entries is not None:
            self.entries.merge(other.entries)
        if len(self.members) > MEMBERS:
            self._fold()


class Top(Profile):
    """The profile of whole events: its members are columns, and are never taken together."""

    _top = True

    def __init__(self) -> None:
        super().__init__(track=True)


def _outer(bound: Callable[[Iterable[Any]], Any], *known: Any) -> Any:
    """Return one of two bounds that may be unknown."""
    return bound([each for each in known if each is not None] or [None])


def merged(profiles: Iterable[Profile]) -> Profile:
    """Return one profile of all that several saw."""
    whole = Profile()
    for each in profiles:
        whole.merge(each)
    return whole
