"""What `headrace tap` shows: every event in one line, whatever is in it, and no more of them than were asked for."""

import json

import pytest

from headrace.cli import tap
from living import lived, messages, orders, project_of, sqlite_bus


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project whose source has an event of each fate, one of them long and one not polite."""
    shop = project_of(tmp_path_factory.mktemp("tap"))
    long = {"id": "long" * 99}
    rude = {"id": "rude\n\x1b[2J", "version": 1}
    with sqlite_bus(shop) as bus:
        bus.publish("orders", messages([*orders(0, 1), *orders(0, 1), {"id": 7}, b"{", long, rude]))
        lived(shop, bus)
    return shop


def tapped(project, capsys, **options):
    tap.run("orders", project=project.root, after=-1, **options)
    return capsys.readouterr()


def test_each_event_is_a_line_of_eighty_columns(project, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shown = tapped(project, capsys, limit=6)
    lines = shown.out.splitlines()
    assert shown.err.startswith("no `headrace up` runs here")
    assert [line[9:].split()[:2] for line in lines] == [
        ["silver", "id=o0"],
        ["duplicate", "id=o0"],
        ["quarantined", "id=7"],
        ["quarantined", "decode/invalid_json"],
        ["silver", ("id=" + "long" * 99)[:58] + "…"],
        ["silver", "id=rude"],
    ]
    assert max(len(line) for line in lines) == 80
    assert lines[2].endswith('id=7 contract/type at $.id: 7 is not of type "string"')
    assert "\x1b" not in shown.out


@pytest.mark.parametrize(
    ("options", "seqs"),
    [
        ({"limit": 2}, [0, 1]),
        ({"quarantined": True, "limit": 2}, [2, 3]),
        ({"where": ["fate=duplicate"], "limit": 1}, [1]),
        ({"where": ["key.id=" + "long" * 99], "limit": 1}, [4]),
        ({"where": ["payload.id=7"], "quarantined": True, "limit": 1}, [2]),
    ],
)
def test_what_was_asked_for_is_told_as_json(project, capsys, options, seqs):
    lines = tapped(project, capsys, as_json=True, **options).out.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == seqs
