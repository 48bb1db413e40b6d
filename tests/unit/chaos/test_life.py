"""The lives of a trial: what they tell of what they met."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from headrace.chaos.life import Stage, _publish
from headrace.chaos.schedule import Life
from headrace.chaos.supply import Account, Sent
from living import orders, project_of

if TYPE_CHECKING:
    from pathlib import Path


def test_a_loss_is_told_though_what_was_lost_is_sent_again(tmp_path: Path) -> None:
    project = project_of(tmp_path)
    account = Account([Sent(json.dumps(each).encode(), ()) for each in orders(0, 10)])
    account.direct = account.give(10)
    stage = Stage(project, {"orders": account})
    said: list[dict[str, object]] = []
    _publish(stage, Life("publish", batch=5), lambda **each: said.append(each))
    account.acked_upto = 10
    _publish(stage, Life("publish", batch=3, again=5), lambda **each: said.append(each))
    assert not [each for each in said if "lost" in each]
    with closing(sqlite3.connect(project.state / "bus/orders.db")) as topic:  # as if it had not been synced
        topic.execute("DELETE FROM chunks WHERE first_offset = 5")
        topic.execute("UPDATE topic SET next_offset = 5")
        topic.execute("UPDATE producers SET next = 5")
        topic.commit()
    said.clear()
    _publish(stage, Life("publish", batch=5, again=5), lambda **each: said.append(each))
    assert said == [{"lost": ["orders", 5]}, {"acked": ["orders", 10]}]
