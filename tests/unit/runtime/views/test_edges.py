"""Files and pushes, counted for `headrace status`: as their own verbs show them."""

from __future__ import annotations

import contextlib

from headrace.config.project import load_project
from headrace.runtime.landing.watch import Landing
from headrace.runtime.views.edges import files_of, pushes_of
from headrace.runtime.views.status import as_json, status

PUSH = "serving: {push: [{name: desk, to: 'https://example.com/hook'}, {name: copy, topic: copies}]}\n"


def test_counts_are_there_from_the_start_and_only_where_they_mean_something(tmp_path):
    (tmp_path / "connectors").mkdir()
    (tmp_path / "landing").mkdir()
    (tmp_path / "headrace.yaml").write_text("name: lab\n")
    files = "source_id: orders\npattern: batch_file\nlocation: landing/\nfiles: {settle: 0s}\n"
    (tmp_path / "connectors/orders.yaml").write_text(files)
    (tmp_path / "connectors/clicks.yaml").write_text(f"source_id: clicks\npattern: event_streaming\n{PUSH}")
    shop = load_project(tmp_path)
    assert files_of(shop) == {"orders": (0, 0, 0)}
    assert pushes_of(shop) == {"clicks": (0, 0, 0)}
    (tmp_path / "landing/a.jsonl").write_text('{"n":1}\n')
    (tmp_path / "landing/b.jsonl").write_text('{"n":1}\n')
    (tmp_path / "landing/c.json").write_text("[")
    with contextlib.closing(Landing(shop)) as landing:
        landing.scan(landing.sources["orders"])
    sources = as_json(status(shop))["sources"]
    assert sources["orders"]["files"] == {"taken": 2, "waiting": 0, "failed": 1}
    assert sources["orders"]["pushes"] is None
    assert sources["clicks"]["files"] is None
    assert sources["clicks"]["pushes"] == {"sent": 0, "waiting": 0, "dead": 0}
