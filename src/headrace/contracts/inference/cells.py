"""What the cells of a CSV column stand for: they are all text, and say only together what they are.

Nothing is a number, a boolean or a date unless every cell that says anything is one. Empty cells of such a column mean
"absent"; so do words such as NA, which a source then has to name.
"""

from __future__ import annotations

import copy
import re
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from headrace.contracts.inference.names import is_label, parts
from headrace.contracts.inference.profile import Profile, Top
from headrace.contracts.inference.texts import FINE, FORMS, ZONED, common_forms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NULL_WORDS = ("NA", "N/A", "n/a", "#N/A", "NULL", "null", "None", "\\N", "NaN", "nan", "-", "?")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_PAIRS = (("true", "false"), ("t", "f"), ("yes", "no"), ("y", "n"), ("1", "0"))
_FLAGS = {"is", "has", "was", "can", "flag"}
_COLUMN_FORMS = frozenset({"date-time", "datetime", FINE, *ZONED, "date", "time-of-day"})
_DIGITS = 38


class Dialect(NamedTuple):
    """What a source must say of its cells for them to be read as they were here; empty: the usual."""

    null_values: tuple[str, ...] = ()
    true_values: tuple[str, ...] = ()
    false_values: tuple[str, ...] = ()
    trim: bool = False

    def joined(self, other: Dialect) -> Dialect:
        """Return what reads the cells of both."""
        return Dialect(
            tuple(sorted({*self.null_values, *other.null_values})),
            tuple(sorted({*self.true_values, *other.true_values})),
            tuple(sorted({*self.false_values, *other.false_values})),
            self.trim or other.trim,
        )


class Cells:
    """The cells of one column."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._text = Profile(track=True)
        self._typed = Profile()
        self._numeric = not is_label(name)
        self._forms: tuple[str, ...] = FORMS
        self._booleans: set[str] | None = set()
        self._rows = self._empty = 0
        self.null_words: Counter[str] = Counter()

    def observe(self, cells: Sequence[str]) -> None:
        """Take in some cells."""
        counts = Counter(cells)
        self._rows += len(cells)
        self._text.seen += len(cells)
        self._text.texts(counts, len(cells))
        self._text.hash(cells)
        self._empty += counts.pop("", 0)
        for word in NULL_WORDS:
            if word in counts:
                self.null_words[word] += counts.pop(word)
        if not counts:
            return
        if self._forms:
            self._forms = common_forms(counts, self._forms)
        if self._booleans is not None:
            self._booleans |= {cell.lower() for cell in counts} if len(counts) < 20 else {"", "many"}
            if not any(self._booleans <= set(pair) for pair in _PAIRS):
                self._booleans = None
        if self._numeric:
            self._numeric = all(map(_NUMBER.fullmatch, counts))
        if self._numeric:
            whole = Counter({int(cell): rows for cell, rows in counts.items() if cell.lstrip("-").isdigit()})
            if whole:
                self._typed.integers(whole, whole.total())
            rest = {Decimal(cell): rows for cell, rows in counts.items() if not cell.lstrip("-").isdigit()}
            if rest:
                self._typed.numbers(set(rest), sum(rest.values()))

    @property
    def filled(self) -> int:
        """How many cells say something."""
        return self._rows - self._empty - self.null_words.total()

    def pair(self) -> tuple[str, str] | None:
        """Return which words stand for true and false, where the column is one of booleans."""
        if not self.filled or self._booleans is None:
            return None
        for pair in _PAIRS:
            if self._booleans <= set(pair):
                flag = pair[0] != "1" or (_FLAGS & set(parts(self._name)))
                sure = pair[0] == "true" or self._booleans == set(pair)
                return pair if flag and sure else None
        return None

    def is_typed(self) -> bool:
        """Say whether the cells are something else than text, so that an empty one means that there is none."""
        if not self.filled:
            return False
        return self.pair() is not None or self._is_number() or bool(_COLUMN_FORMS & set(self._forms))

    def _is_number(self) -> bool:
        bounds = [abs(each) for each in (self._typed.low, self._typed.high) if each is not None]
        return self._numeric and not self._typed.wild and max(bounds, default=0) < 10**_DIGITS

    def profile(self, nulls: frozenset[str]) -> Profile:
        """Return what the column holds, as if its cells had types; `nulls` are the words that mean "absent"."""
        if not self.is_typed():
            absent = sum(rows for word, rows in self.null_words.items() if word in nulls)
            found = self._text
            found.seen = self._rows - absent
            found.kinds["string"] = found.seen
            if found.values is not None:
                found.values = Counter({cell: rows for cell, rows in found.values.items() if cell not in nulls})
            if not self._empty and self.null_words.keys() <= nulls and self.filled:
                found.forms = self._forms
            return found
        if self.pair() is not None:
            found = Profile()
            found.kinds["boolean"] = self.filled
            found.examples = list(self._text.examples)
        elif self._is_number():
            found = self._typed
        else:
            found = self._text
            found.kinds["string"] = self.filled
            found.forms, found.values, found.empty_texts = self._forms, None, 0
        found.examples = [each for each in found.examples if each not in nulls]
        found.seen = self.filled
        found.tell_apart_as(self._text)
        return found


class Table:
    """The rows of CSV files with one header."""

    def __init__(self, names: Sequence[str]) -> None:
        self.rows = 0
        self._columns = {name: Cells(name) for name in names}
        self._trimmed: dict[str, Cells] = {}
        """The columns with a cell that has blanks around it, as they are without these."""

    def observe(self, rows: Sequence[Sequence[str]]) -> None:
        """Take in records, each with a cell for every name."""
        if not rows:
            return
        self.rows += len(rows)
        for (name, column), cells in zip(self._columns.items(), zip(*rows, strict=True), strict=True):
            if name in self._trimmed or any(map(_has_blanks, set(cells))):
                if name not in self._trimmed:
                    self._trimmed[name] = copy.deepcopy(column)
                self._trimmed[name].observe([cell.strip() for cell in cells])
            column.observe(cells)

    @property
    def trim(self) -> bool:
        """Whether there is a column whose cells are of a type only without the blanks around them."""
        return any(cells.is_typed() and not self._columns[name].is_typed() for name, cells in self._trimmed.items())

    def finish(self, *, trim: bool) -> tuple[Top, Dialect]:
        """Return what the rows have in common, as if they had been objects; and how a source has to read them."""
        columns = self._columns | self._trimmed if trim else self._columns
        nulls = {word for cells in columns.values() if cells.is_typed() for word in cells.null_words}
        pairs = {pair for cells in columns.values() if (pair := cells.pair()) is not None}
        usual = pairs <= {_PAIRS[0]}
        dialect = Dialect(
            tuple(sorted(nulls)),
            () if usual else tuple(pair[0] for pair in _PAIRS if pair in pairs),
            () if usual else tuple(pair[1] for pair in _PAIRS if pair in pairs),
            trim,
        )
        top = Top()
        top.seen = top.kinds["object"] = self.rows
        members: Mapping[str, Profile] = {name: cells.profile(frozenset(nulls)) for name, cells in columns.items()}
        top.members = dict(members)
        top.places = {name: [place * each.seen, each.seen] for place, (name, each) in enumerate(members.items())}
        return top, dialect


def _has_blanks(cell: str) -> bool:
    return cell != cell.strip()
