"""Expiry, decided purely: which snapshots nobody can read any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Set


def decide(snapshots: Iterable[int], *, keep: Set[int], leased: Set[int]) -> list[int]:
    """Return the snapshots to expire: all, less the latest, less those somebody published from, may undo to, or reads.

    Never by age: `older_than` would break a reader that pinned a snapshot a moment ago.
    """
    known = sorted(set(snapshots))
    return [each for each in known[:-1] if each not in keep and each not in leased]
