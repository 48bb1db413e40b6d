"""How much one comparison may cost, over all that it does: what is left when it is spent stays undecided."""

from __future__ import annotations

PROOF = 30_000
"""Steps for the proof of one direction."""
EXAMPLES = 30_000
"""Steps for the search of its counter-examples."""


class Budget:
    """Counts steps, never time: the same schemas give the same verdicts on every machine."""

    def __init__(self) -> None:
        self._left = PROOF

    def renew(self, steps: int) -> None:
        """Begin a new part of the work."""
        self._left = steps

    def spend(self, steps: int = 1) -> bool:
        """Take steps off; return whether there were so many left."""
        self._left -= steps
        return self._left >= 0

    @property
    def spent(self) -> bool:
        """Whether nothing is left."""
        return self._left < 0
