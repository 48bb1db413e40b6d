"""How much one comparison may cost, over all that it does: what is left when it is spent stays undecided."""

from __future__ import annotations

PROOF = 30_000
"""Steps for the proof of one direction."""
EXAMPLES = 30_000
"""Steps for the search of its counter-examples."""
EACH_VALUE = 8
"""Steps more, in either, for each value that an `enum` of the two lists: it is tried, wherever the lists are."""
MOST_VALUES = 40_000
"""For how many there are more."""
TEXTS = 160_000
"""Steps, each of less work, that questions of patterns may take in either."""

_SHARE = 16
"""The part of them that one question may take: the first that are hard leave something for those that are not."""


class Budget:
    """Counts steps, never time: the same schemas give the same verdicts on every machine."""

    def __init__(self) -> None:
        self.renew(PROOF)

    def renew(self, steps: int) -> None:
        """Begin a new part of the work."""
        self._left = steps
        self._texts = TEXTS

    def spend(self, steps: int = 1) -> bool:
        """Take steps off; return whether there were so many left."""
        self._left -= steps
        return self._left >= 0

    def steps_of_texts(self) -> int:
        """Return how many steps a question of patterns may take."""
        return self._texts // _SHARE

    def spend_on_texts(self, steps: int) -> None:
        """Take off the steps that a question of patterns took."""
        self._texts -= steps

    @property
    def spent(self) -> bool:
        """Whether nothing is left."""
        return self._left < 0
