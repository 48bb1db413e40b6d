"""Queries that reach for files, other databases or more than one statement: refused, exit code 2, nothing read."""

from __future__ import annotations

import json
import resource
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from headrace.bus.sqlite import SqliteBus
from headrace.cli.init import scaffold
from headrace.cli.main import main
from headrace.cli.publish import Sent, publish, read_all
from headrace.config.project import load_project
from headrace.lake.ducklake import DuckLake
from headrace.runtime.deployment import deploy
from headrace.runtime.loop import Loop
from typed import answered

if TYPE_CHECKING:
    from pathlib import Path

SUM = "SELECT count(*) AS n, sum(amount::DECIMAL(18, 2)) AS total FROM silver.orders"
CANARY = "canary-in-a-file-that-no-query-may-read"
FILES = (
    "SELECT * FROM '../../etc/passwd'",
    "SELECT * FROM '{file}'",
    'SELECT * FROM "{file}"',
    "SELECT * FROM '{parquet}'",
    "SELECT * FROM 'https://example.com/x.parquet'",
    "SELECT * FROM silver.orders WHERE order_id IN (FROM '{file}')",
)
FUNCTIONS = (
    "SELECT * FROM read_csv('{file}')",
    "SELECT * FROM read_text('{file}')",
    "SELECT * FROM read_parquet('{parquet}')",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM sqlite_scan('.headrace/local/lake/catalog.sqlite', 'ducklake_snapshot')",
    "SELECT * FROM query('FROM read_text(''{file}'')')",
    "SELECT getenv('HOME')",
)
STATEMENTS = (
    "COPY silver.orders TO '{file}.copy'",
    "ATTACH '{file}.copy'",
    "DELETE FROM silver.orders",
    "DROP TABLE silver.orders",
    "SET enable_external_access = true",
    "INSTALL httpfs",
    "PRAGMA database_list",
    "SELECT 1; DROP TABLE silver.orders",
    "SELEC 1",
    "SELECT DATE '99999-01-01' AS day",
    "",
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project whose sample is in silver, and beside it a file that must not be read."""
    root = tmp_path_factory.mktemp("queries") / "shop"
    scaffold(root)
    project = load_project(root)
    orders = project.source("orders")
    with closing(SqliteBus(project.state / "bus")) as bus:
        messages = read_all(orders, [str(root / "sample/orders.jsonl")], None, {}, lambda _: None)
        publish(bus, orders.topic, messages, Sent())
        loop = Loop(
            bus, lambda: DuckLake(project.state / "lake"), project.sources, lambda lake, bus: deploy(project, lake, bus)
        )
        loop.drain()
        loop.close()
    (root / "secret.csv").write_text(f"word\n{CANARY}\n")
    return root


def _asked(shop: Path, sql: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, Any]:
    parquet = next((shop / ".headrace").rglob("*.parquet"))
    asked = sql.replace("{file}", str(shop / "secret.csv")).replace("{parquet}", str(parquet))
    code: Any = 0
    try:
        main(["query", asked, "--json", "--project", str(shop)])
    except SystemExit as exit_:
        code = exit_.code
    text = capsys.readouterr().out
    assert CANARY not in text, sql
    return code or 0, json.loads(text)


@pytest.mark.parametrize(
    ("queries", "what"),
    [
        pytest.param(FILES, "a query reads tables, never files", id="files as tables"),
        pytest.param(FUNCTIONS, "is not allowed in a query", id="functions that read"),
        pytest.param(STATEMENTS, "", id="no one SELECT"),
    ],
)
def test_each_is_refused_with_what_to_write_instead(
    queries: tuple[str, ...], what: str, shop: Path, capsys: pytest.CaptureFixture[str]
):
    before = _asked(shop, SUM, capsys)
    assert before[1]["rows"][0]["n"] > 0
    for sql in queries:
        code, document = _asked(shop, sql, capsys)
        assert (sql, code, document["error"]["kind"]) == (sql, 2, "user")
        assert what in document["error"]["message"], sql
        assert document["error"]["fix"], sql
    assert _asked(shop, SUM, capsys) == before
    assert list(shop.glob("*.copy*")) == []


def test_a_name_misspelt_is_told_with_the_nearest(shop: Path, capsys: pytest.CaptureFixture[str]):
    code, document = _asked(shop, "SELECT * FROM silver.ordres", capsys)
    assert code == 2
    assert "did you mean silver.orders?" in document["error"]["fix"]
    code, document = _asked(shop, "SELECT amuont FROM silver.orders", capsys)
    assert code == 2
    assert '"amount"' in document["error"]["message"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds what a process takes")
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT repeat(repeat('x', 1000), 2000000) AS x",  # one x at a time would take ten seconds
        "SELECT list(repeat(repeat('x', 1000), 100000)) AS x FROM range(100)",
        "SELECT string_agg(repeat('y', 1000000), '') AS x FROM range(6000)",
    ],
)
def test_what_a_function_makes_of_one_value_is_bounded_too(sql: str, shop: Path):
    code, document = answered("query", sql, "--project", shop)
    assert (code, document["error"]["kind"]) == (2, "user")
    assert "more memory" in document["error"]["message"]
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 6 << 20  # KiB
