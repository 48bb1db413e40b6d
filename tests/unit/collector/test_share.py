"""How many workers there are, and what is each one's own."""

import pytest

from headrace.collector.share import Share, cores, workers_of
from headrace.config.collector import CollectorSpec


@pytest.mark.parametrize(("cores", "workers"), [(1, 1), (2, 1), (3, 1), (4, 2), (8, 4), (64, 4)])
def test_one_worker_for_every_two_cores_and_four_at_most(cores, workers):
    assert workers_of(CollectorSpec(), cores) == workers
    assert workers_of(CollectorSpec(workers=6), cores) == 6


def test_a_container_has_no_more_cores_than_its_quota(tmp_path):
    quota = tmp_path / "cpu.max"
    without = cores(quota)
    for text, most in (("50000 100000", 1), ("100000 100000\n", 1), ("max 100000", without), ("?", without)):
        quota.write_text(text)
        assert cores(quota) == most
    quota.write_text("9999900000 100000")
    assert cores(quota) == without


def test_limits_of_all_are_shared_out_and_limits_of_one_request_are_not():
    limits = Share(2, 3).limits(CollectorSpec(max_connections=2, max_waiting_bytes=300, spool_max_bytes=0))
    assert (limits.max_connections, limits.max_waiting_bytes, limits.spool_max_bytes) == (1, 100, 0)
    assert limits.max_body_bytes == CollectorSpec().max_body_bytes
    alone = CollectorSpec(max_waiting_bytes=300)
    assert Share().limits(alone) == alone


def test_the_first_worker_spools_where_one_alone_does_and_has_what_those_left_that_are_no_more(tmp_path):
    for name in ("orders", "@2", "@3", "@10", "@x"):
        (tmp_path / name).mkdir()
    assert Share(1, 3).spool(tmp_path) == Share().spool(tmp_path) == tmp_path
    assert Share(2, 3).spool(tmp_path) == tmp_path / "@2"
    assert Share(1, 2).orphans(tmp_path) == [tmp_path / "@10", tmp_path / "@3"]
    assert len(Share().orphans(tmp_path)) == 3
    assert Share(2, 2).orphans(tmp_path) == Share().orphans(tmp_path / "none") == []
