"""Real data lived through: files published as `headrace publish` reads them, drained, and looked at from outside."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from headrace.bus.sqlite import SqliteBus
from headrace.cli.publish import Sent, message_attributes, publish, read_all
from headrace.config.project import Project, load_project
from headrace.lake import threads
from headrace.lake.ducklake import DuckLake
from headrace.lake.reader import open_reader
from headrace.runtime.deployment import deploy
from headrace.runtime.landing.watch import Landing
from headrace.runtime.loop import Loop
from headrace.runtime.views.status import status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


class Platform:
    """A project of one source, and what a user may do with it."""

    def __init__(self, project: Project, source: str) -> None:
        self._project = project
        self._source = project.sources[source]

    def publish(self, *files: Path, format_: str | None = None) -> int:
        """Publish files as the command does; return how many messages they were."""
        sent = Sent()
        attributes = message_attributes(self._source, None, [])
        messages = read_all(self._source, [str(file) for file in files], format_, attributes, lambda _: None)
        with closing(SqliteBus(self._project.state / "bus")) as bus:
            publish(bus, self._source.topic, messages, sent)
        return sent.messages

    def drop(self, *files: Path) -> int:
        """Drop files into the folder that the source watches, in order, and take them; return how many rows landed.

        A file of many members, or with a name that says no format, is not for this.
        """
        landing = Landing(self._project)
        try:
            for number, file in enumerate(files):
                landed = self._project.root / str(self._source.spec.ingestion.location) / file.name
                landed.parent.mkdir(exist_ok=True)
                shutil.copyfile(file, landed)
                os.utime(landed, (1_700_000_000 + number, 1_700_000_000 + number))
            landing.scan(landing.sources[self._source.id])
            entries = landing.manifest.entries()
            assert [entry.path for entry in entries if entry.state != "done"] == []
            return sum(entry.rows or 0 for entry in entries)
        finally:
            landing.close()

    def take(self, way: str, *files: Path) -> int:
        """Bring files in as `way` says: published, or dropped into a watched folder."""
        return {"published": self.publish, "dropped": self.drop}[way](*files)

    def drain(self) -> dict[str, int]:
        """Bring all that waits into the lake; return the ledger's fates that are not zero. It must balance."""
        with closing(SqliteBus(self._project.state / "bus")) as bus:
            loop = Loop(
                bus,
                lambda: DuckLake(self._project.state / "lake"),
                self._project.sources,
                lambda lake, bus: deploy(self._project, lake, bus),
            )
            try:
                loop.drain()
                assert not loop.progress.failing
            finally:
                loop.close()
        now = status(self._project)[self._source.id]
        assert now.balanced, now.unbalanced
        assert now.lag == 0
        return {name: count for name, count in now.ledger.items() if count}

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Return the rows of a SELECT over the lake; `{silver}` stands for the source's table."""
        with open_reader(self._project.state / "lake") as lake:
            assert lake is not None
            return lake.rows(sql.replace("{silver}", f"lake.silver.{self._source.id}"))

    def digest(self) -> str:
        """Return a digest of silver as a set: every column, the envelope too, in whatever order it lies."""
        digests = sorted(hashlib.sha256(repr(row).encode()).digest() for row in self.rows("SELECT * FROM {silver}"))
        return hashlib.sha256(b"".join(digests)).hexdigest()

    def columns(self) -> list[str]:
        """Return the contract's columns as they stand in silver."""
        return [column.name for column in self._source.datasets[0].contract.columns]

    def codes(self) -> dict[tuple[str, str, str | None], int]:
        """Return how many messages wait in quarantine, by stage, code and JSON path."""
        found = self.rows("SELECT stage, code, path, count(*) AS n FROM lake.ops.quarantine GROUP BY ALL")
        return {(row["stage"], row["code"], row["path"]): row["n"] for row in found}


@pytest.fixture(autouse=True)
def _threads_as_users_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(threads.VARIABLE, raising=False)


@pytest.fixture
def platform(tmp_path: Path) -> Callable[..., Platform]:
    """Return what writes a project of one source and opens it."""

    def opened(source: str, schema: Mapping[str, Any], /, **more: Any) -> Platform:
        root = tmp_path / source
        for folder in ("connectors", "schemas"):
            (root / folder).mkdir(parents=True)
        (root / "headrace.yaml").write_text("name: realdata\n")
        (root / f"schemas/{source}.json").write_text(json.dumps(schema))
        document: dict[str, Any] = {
            "source_id": source,
            "ingestion": {"pattern": "event_streaming", "message_format": "json"},
            "schema": {"file": f"schemas/{source}.json"},
        }
        (root / f"connectors/{source}.yaml").write_text(yaml.safe_dump(document | more))
        return Platform(load_project(root), source)

    return opened


@pytest.fixture(scope="session")
def keyed() -> Callable[..., dict[str, Any]]:
    """Return what writes a `processing:` section that deduplicates on a key."""
    return lambda *key: {"bronze_to_silver": [{"deduplication": {"key": list(key)}}]}
