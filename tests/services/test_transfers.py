"""Promises 2, 3 and 7 at once: money moves between accounts, and no published version ever makes or loses any."""

import transfers


def test_the_sum_over_all_accounts_is_zero_in_every_published_version(tmp_path):
    """Late by ten seconds, sent twice, wrong, corrected; `up` builds as often as it can, and is killed once."""
    found = transfers.run(tmp_path / "bank", count=100_000, accounts=200, seed=7, kills=1, least=4)
    assert found["faults"] == []
    assert found["versions"] >= 4
    assert found["kills"] == 1
    ledger = found["ledger"]
    assert ledger["accepted"] == found["messages"]
    assert min(ledger[fate] for fate in ("silver", "superseded", "duplicate", "quarantined")) > 100
