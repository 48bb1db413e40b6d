import json

import pytest

from headrace.errors import LakeError, UserError
from headrace.warehouse.published import Entry, Ledger, read_ledger, write_ledger


def entry(number):
    return Entry(
        f"b{number}", f"b{number}.db", number, number, number, "2024-01-01T00:00:00+00:00", {"main.a": "table"}
    )


def published(*numbers):
    ledger = Ledger()
    for number in numbers:
        ledger = ledger.publish(entry(number))
    return ledger


def test_nothing_is_published_at_first(tmp_path):
    ledger = read_ledger(tmp_path / "published.json")
    assert ledger.current is None
    assert ledger.next_build == "b1"
    with pytest.raises(UserError, match="nothing is published"):
        ledger.undo()


def test_undo_steps_back_and_to_goes_anywhere():
    ledger = published(1, 2, 3)
    assert ledger.undo().current == entry(2)
    assert ledger.undo().undo().current == entry(1)
    assert ledger.undo("b1").undo("b3").current == entry(3)
    assert ledger.undo().entries == ledger.entries
    with pytest.raises(UserError, match="oldest"):
        ledger.undo("b1").undo()
    with pytest.raises(UserError, match="no build 'b9'"):
        ledger.undo("b9")


def test_publishing_after_an_undo_gives_up_what_was_undone_but_never_its_name():
    ledger = published(1, 2, 3).undo("b1")
    assert ledger.next_build == "b4"
    assert [e.build for e in ledger.publish(entry(4)).entries] == ["b1", "b4"]


def test_history_is_bounded():
    ledger = published(*range(1, 30))
    assert [e.build for e in ledger.entries] == [f"b{number}" for number in range(20, 30)]


def test_the_file_gives_back_what_was_written(tmp_path):
    path = tmp_path / "published.json"
    ledger = published(1, 2, 3).undo()
    write_ledger(path, ledger)
    assert read_ledger(path) == ledger


def test_a_crash_before_the_rename_leaves_the_old_ledger(tmp_path):
    path = tmp_path / "published.json"
    write_ledger(path, published(1))
    path.with_suffix(".tmp").write_text('{"format"')
    assert read_ledger(path) == published(1)
    write_ledger(path, published(1, 2))
    assert read_ledger(path) == published(1, 2)


def test_another_format_and_a_damaged_file_are_said(tmp_path):
    path = tmp_path / "published.json"
    path.write_text(json.dumps({"format": 99}))
    with pytest.raises(UserError, match="format 99"):
        read_ledger(path)
    path.write_text(json.dumps({"format": 1, "past": [{}], "undone": [], "last_number": 1}))
    with pytest.raises(LakeError):
        read_ledger(path)
