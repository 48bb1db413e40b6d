"""What a sample says of the whole: as often right as it says."""

import numpy as np

from headrace.runtime.plan.scaled import Sums, estimated


def test_the_interval_holds_as_often_as_it_says():
    """Keys of very different sizes, drawn 400 times with a fixed seed; rare and common failures."""
    rng = np.random.default_rng(7)
    sizes = rng.geometric(0.2, 20_000)
    for rate in (0.002, 0.3):
        fails = np.where(rng.random(len(sizes)) < rate, rng.binomial(sizes, 0.8), 0)
        within = 0
        for _ in range(400):
            drawn = rng.random(len(sizes)) < 0.1
            x, y = sizes[drawn], fails[drawn]
            some, others = int((y > 0).sum()), int((y < x).sum())
            sums = Sums(some, others, *map(int, (x.sum(), (x * x).sum(), y.sum(), (y * y).sum(), (x * y).sum())))
            found = estimated(sums, 0.1, int(sizes.sum()))
            assert y.sum() <= found["low"] <= found["estimate"] <= found["high"]
            within += found["low"] <= fails.sum() <= found["high"]
        assert within >= 370, (rate, within)


def test_what_is_not_in_the_sample_may_still_be():
    none = estimated(Sums(0, 1000, 1000, 1000, 0, 0, 0), 0.1, 10_000)
    assert (none["estimate"], none["low"]) == (0, 0)
    assert 28 <= none["high"] <= 40, "with 28 keys the chance that none is drawn is 1 in 20"
    assert estimated(Sums(0, 0, 0, 0, 0, 0, 0), 0.1, 50) == {"estimate": 0, "low": 0, "high": 50}
    every = estimated(Sums(10, 0, 20, 40, 20, 40, 40), 0.5, 40)
    assert (every["estimate"], every["high"]) == (40, 40)
    assert every["low"] >= 20
