"""How long an apply takes, and what it costs, by what was measured: the replay just made, or the last batches."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.config.project import Project
    from headrace.lake.reader import LakeReader

FALLBACK_PER_SECOND = 50_000.0
BATCHES = 50
TOGETHER_SECS = 5.0


def estimate(
    project: Project,  # noqa: ARG001 - a cloud's prices will be the environment's
    lake: LakeReader | None,
    replayed: list[dict[str, Any]],
    replayed_in: float,
    planned_in: float,
) -> dict[str, Any]:
    """Return {"messages", "per_second", "seconds", "how", "cost"}.

    With a replay, `apply` does what was just done, and writes it: the time that it took is the estimate. Where only a
    sample was replayed, it is that of as many messages as the last batches had. Without a replay there is nothing to
    decide again; what is told is how fast the last batches came.
    """
    messages = sum(one["end"] - one["first"] for one in replayed)
    if any(one["sample"] for one in replayed):
        rate, how = _of_batches(lake)
        seconds = sum(one["end"] for one in replayed) / rate
    elif replayed:
        rate = messages / max(replayed_in, 1e-3)
        seconds, how = replayed_in * 1.2, "the replay just made"
    else:
        rate, how = _of_batches(lake)
        seconds = 0.0
    return {
        "messages": messages,
        "per_second": round(rate),
        "seconds": round(seconds, 1),
        "how": how,
        "cost": "nothing is billed: this machine does it",
        "planned_in": round(planned_in, 2),
    }


def _of_batches(lake: LakeReader | None) -> tuple[float, str]:
    """Return messages a second between the last commits that followed each other at once."""
    rows = (
        lake.rows(
            "SELECT committed_at, next_seq - first_seq AS n FROM lake.ops.batches "
            f"ORDER BY committed_at DESC LIMIT {BATCHES}"
        )
        if lake is not None
        else []
    )
    messages, seconds = 0, 0.0
    for later, earlier in pairwise(rows):
        gap = (later["committed_at"] - earlier["committed_at"]).total_seconds()
        if 0 < gap <= TOGETHER_SECS:
            messages, seconds = messages + later["n"], seconds + gap
    if not messages:
        return FALLBACK_PER_SECOND, "no batches followed each other yet: a guess"
    return messages / seconds, f"the last {len(rows)} batches"
