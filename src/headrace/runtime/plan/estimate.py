"""How long an apply takes, and what it costs, by what was measured: the replay just made, or the last batches."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from headrace.runtime.plan.sampling import is_worth_it

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

    With a replay, `apply` does what was just done, and writes it: the time that it took is the estimate. What the plan
    left out, of a sample or of before a window, is added, as fast as the last batches came. Without a replay there is
    nothing to decide again; what is told is how fast the last batches came.
    """
    messages = sum(one["end"] - one["first"] for one in replayed)
    left_out = sum(map(_left_out, replayed))
    if replayed:
        rate, how = messages / max(replayed_in, 1e-3), "the replay just made"
        seconds = replayed_in * 1.2
        if left_out:
            last, by = _of_batches(lake)
            seconds, how = seconds + left_out / last, f"{how}, and for what it left out {by}"
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


def _left_out(one: dict[str, Any]) -> int:
    """Return how many messages a plan did not replay of those that `apply` will; nearly."""
    before = one["first"] if one["sample"] or is_worth_it(range(one["first"], one["end"])) else 0
    return int(before + (one["sample"]["left_out"] if one["sample"] else 0))


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
