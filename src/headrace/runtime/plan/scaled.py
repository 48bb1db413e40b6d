"""What the whole of history is, by a sample of its keys: an estimate, and from where to where the true number is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIDENCE, Z = 0.95, 1.959964
"""How sure an interval is, and how many standard deviations of a normal distribution that is to either side."""

FEW_KEYS = 30
"""Below so many keys with what is counted, or without, their spread is not believed."""


class Sums(NamedTuple):
    """What an estimate needs of a sample, over its keys, each with x messages and y of what is counted.

    How many keys have any of what is counted, and how many have anything else; Σx, Σx², Σy, Σy², Σxy.
    """

    some: int
    others: int
    x: int
    xx: int
    y: int
    yy: int
    xy: int


def estimated(sums: Sums, share: float, population: int) -> dict[str, int]:
    """Return {"estimate", "low", "high"}: how many of the whole it is by the sample, and from where to where (95 %).

    Keys are drawn each by itself with one probability p, all messages of a key at once, so the share R = Σy / Σx is a
    ratio of two totals under Poisson sampling of clusters, whose variance is estimated by
    (1 - p) Σ(y - R x)² / (Σx)²: Särndal, Swensson and Wretman, Model Assisted Survey Sampling (1992), section 5.6 for
    the ratio and 3.5 for the design (the same in Cochran, Sampling Techniques, 3rd edition (1977), chapter 6). The
    interval is Wilson's (Journal of the American Statistical Association 22 (1927), 209-212), with the number of
    independent messages that has this variance, R (1 - R) / variance, in the place of n: Korn and Graubard, Survey
    Methodology 24 (1998), 193-201. So it stays within 0 and the whole, and holds for rare events. Of few keys the
    spread says little: then messages of one key are taken to have one fate, which makes it wider. What was measured is
    there: no bound is below it. A key far larger than all others makes it too narrow as long as it is not in the
    sample.
    """
    if not sums.x:
        return {"estimate": 0, "low": 0, "high": population}
    ratio = min(1.0, sums.y / sums.x)
    spread = max(0.0, sums.yy - 2 * ratio * sums.xy + ratio * ratio * sums.xx)
    effect = spread / (sums.x * ratio * (1 - ratio)) if 0 < ratio < 1 else 0.0
    if min(sums.some, sums.others) < FEW_KEYS:
        effect = max(effect, sums.xx / sums.x)
    independent = sums.x / max(effect, 1e-9) / (1 - share)
    middle = (ratio + Z * Z / (2 * independent)) / (1 + Z * Z / independent)
    variance = ratio * (1 - ratio) / independent + Z * Z / (4 * independent * independent)
    half = Z / (1 + Z * Z / independent) * math.sqrt(variance)
    low = max(sums.y, math.floor(population * max(0.0, middle - half)))
    high = min(population - (sums.x - sums.y), math.ceil(population * min(1.0, middle + half)))
    return {"estimate": min(max(round(population * ratio), low), max(low, high)), "low": low, "high": max(low, high)}


def spoken(whole: Mapping[str, int]) -> str:
    """Return an estimate in words, for people."""
    return f"{whole['estimate']:,} ({whole['low']:,} to {whole['high']:,})"
