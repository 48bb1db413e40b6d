"""What is seen of a shop, while its lake cannot be read for a moment."""

from headrace.demo.glance import Window
from headrace.errors import LakeError
from headrace.lake.reader import LakeReader
from living import lived, messages, orders, project_of, sqlite_bus


def test_a_look_that_fails_shows_what_was_seen_before_and_why_and_the_next_one_works(tmp_path, monkeypatch):
    project = project_of(tmp_path)
    with Window(project) as window:
        assert (window.look().together["accepted"], window.look().problem) == (0, "")
        with sqlite_bus(project) as bus:
            bus.publish("orders", messages([*orders(0, 3), {"id": 7}]))
            lived(project, bus)
        before = window.look()
        assert (before.together["accepted"], before.balanced, before.problem) == (4, True, "")

        def broken(*_):
            raise LakeError("the lake cannot be read: locking protocol", at="lake", fix="try again")

        with monkeypatch.context() as now:
            now.setattr(LakeReader, "rows", broken)
            seen = window.look()
        assert (seen.ledger, seen.rejected) == (before.ledger, before.rejected)
        assert "locking protocol" in seen.problem
        with sqlite_bus(project) as bus:
            bus.publish("orders", messages(orders(3, 5)))
            lived(project, bus)
        after = window.look()
        assert (after.together["accepted"], after.problem) == (6, "")
