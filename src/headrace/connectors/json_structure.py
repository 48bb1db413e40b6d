"""Where the brackets and commas of JSON text are, found in columns: what a document or element is, and no more."""

from __future__ import annotations

import functools

import numpy as np

Places = np.ndarray[tuple[int], np.dtype[np.int64]]

_QUOTE, _BACKSLASH, _COMMA = b'"\\,'
_STEPS = np.zeros(256, np.int64)
_STEPS[list(b"[{")] = 1
_STEPS[list(b"]}")] = -1
_MARKS = np.zeros(256, np.bool_)
_MARKS[list(b'"\\,[]{}')] = True


class Structure:
    """The brackets and commas outside of strings: where each is, what it is, and the depth after it.

    Says nothing of what lies between them: text that has a structure need not be JSON.
    """

    def __init__(self, data: bytes) -> None:
        raw = np.frombuffer(data, np.uint8)
        marks = np.flatnonzero(_MARKS[raw])
        kinds = raw[marks]
        if b"\\" in data:
            marks, kinds = _without_escaped(marks, kinds)
        quotes = kinds == _QUOTE
        inside = np.cumsum(quotes) % 2 == 1
        outside = ~inside & ~quotes
        self.at: Places = marks[outside]
        self.kinds = kinds[outside]
        self.steps: Places = _STEPS[self.kinds]
        self.depths: Places = np.cumsum(self.steps)
        self.in_string = bool(inside[-1]) if len(inside) else False
        self.depth = int(self.depths[-1]) if len(self.depths) else 0

    @property
    def deepest(self) -> int:
        """How deep it nests."""
        return int(self.depths.max()) if len(self.depths) else 0

    def is_whole(self) -> bool:
        """Whether every string and bracket that begins also ends."""
        return not self.in_string and self.depth == 0

    @functools.cached_property
    def _first_close(self) -> int | None:
        closed = np.flatnonzero((self.depths <= 0) & (self.steps < 0))
        return int(closed[0]) if len(closed) else None

    def first_end(self) -> int | None:
        """Return where the first document that is an object or array has ended, None where it has not."""
        return None if self._first_close is None else int(self.at[self._first_close]) + 1

    def commas(self, depth: int) -> list[int]:
        """Return where the commas of this depth are, within the first document."""
        upto = len(self.at) if self._first_close is None else self._first_close
        found: list[int] = self.at[:upto][(self.kinds[:upto] == _COMMA) & (self.depths[:upto] == depth)].tolist()
        return found

    def mismatch(self) -> int | None:
        """Return where the first bracket is that closes one of the other kind, within the first document."""
        if self._first_close is None:
            return None
        upto = self._first_close + 1
        brackets = np.flatnonzero(self.steps[:upto])
        levels = self.depths[brackets] + (self.steps[brackets] < 0)
        # Of one level, brackets open and close in turn; so its neighbours are pairs.
        paired = brackets[np.argsort(levels, kind="stable")].reshape(-1, 2)
        wrong = self.kinds[paired[:, 1]] - self.kinds[paired[:, 0]] != 2  # "]" and "}" come two after "[" and "{"
        return int(self.at[paired[wrong, 1]].min()) if wrong.any() else None


def _without_escaped(
    marks: Places, kinds: np.ndarray[tuple[int], np.dtype[np.uint8]]
) -> tuple[Places, np.ndarray[tuple[int], np.dtype[np.uint8]]]:
    """Drop quotes after an odd run of backslashes, and all backslashes."""
    back = kinds == _BACKSLASH
    places = np.arange(len(marks))
    follows = np.zeros(len(marks), np.bool_)
    follows[1:] = back[1:] & back[:-1] & (marks[1:] == marks[:-1] + 1)
    start = np.maximum.accumulate(np.where(back & ~follows, places, 0))
    odd = back & ((places - start) % 2 == 0)
    escaped = np.zeros(len(marks), np.bool_)
    escaped[1:] = odd[:-1] & (marks[1:] == marks[:-1] + 1) & (kinds[1:] == _QUOTE)
    keep = ~back & ~escaped
    return marks[keep], kinds[keep]
