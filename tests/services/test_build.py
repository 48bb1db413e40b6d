"""`headrace build`, `undo` and `query` as a user types them, over a project made by `headrace init`."""

import csv
import io
import json

import pyarrow.parquet as pq
import pytest

from headrace.cli.main import main


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("services")
    main_at(folder, "init", str(folder / "shop"))
    main_at(folder / "shop", "publish", "orders", str(folder / "shop" / "sample" / "orders.jsonl"))
    return folder / "shop"


def main_at(project, verb, *arguments):
    """Run a verb; return its exit code."""
    where = [] if verb == "init" else ["--project", str(project)]
    with pytest.raises(SystemExit) as caught:
        main([verb, *arguments, *where])
    return caught.value.code or 0


def asked(capsys, project, verb, *arguments):
    """Run a verb; return its exit code, stdout and stderr."""
    capsys.readouterr()
    code = main_at(project, verb, *arguments)
    out, err = capsys.readouterr()
    return code, out, err


def test_before_the_first_build_a_query_says_what_to_type(capsys, shop):
    code, out, err = asked(capsys, shop, "query", "select * from gold.fct_daily_orders")
    assert (code, out) == (2, "")
    assert "fix: headrace publish" in err or "fix: headrace build" in err


def test_build_query_break_mend_undo(capsys, shop):
    code, out, _ = asked(capsys, shop, "build", "--json")
    report = json.loads(out)
    assert (code, report["ok"], report["published"]["build"]) == (0, True, "b1")

    code, out, _ = asked(capsys, shop, "query", "select sum(orders) as n from fct_daily_orders", "--json")
    answer = json.loads(out)
    assert (code, answer["gold"], answer["truncated"]) == (0, "b1", False)
    assert answer["rows"][0]["n"] > 0

    code, out, _ = asked(capsys, shop, "query", "select sum(amount) as total from silver.orders", "--format", "csv")
    assert (code, out) == (0, "total\n42466.20\n"), "money is exact: a sum of doubles would end in noise"

    (shop / "models" / "broken.sql").write_text("select\n  no_such_column\nfrom {{ ref('stg_orders') }}\n")
    code, out, _ = asked(capsys, shop, "build")
    assert code == 2
    assert "at:  models/broken.sql:2" in out
    assert "not published" in out

    (shop / "models" / "broken.sql").write_text("select 1 as one")
    (shop / "tests").mkdir()
    (shop / "tests" / "never.sql").write_text("select * from {{ ref('broken') }}")
    code, out, _ = asked(capsys, shop, "build")
    assert code == 1
    assert "row: one=1" in out
    assert asked(capsys, shop, "query", "from gold.broken")[0] == 2

    (shop / "tests" / "never.sql").unlink()
    code, out, _ = asked(capsys, shop, "build", "--select", "broken")
    assert (code, "published b2: 2 tables" in out) == (0, True)
    assert asked(capsys, shop, "undo", "--dry-run")[0] == 0
    assert asked(capsys, shop, "query", "from gold.broken")[0] == 0
    code, out, _ = asked(capsys, shop, "undo", "--json")
    assert (code, json.loads(out)["published"]["build"], json.loads(out)["was"]) == (0, "b1", "b2")
    assert asked(capsys, shop, "query", "from gold.broken")[0] == 2


def test_formats(capsys, shop, tmp_path):
    sql = "select 'a,b' as text, [1, 2] as list, 1 as same, 2 as same"
    code, out, _ = asked(capsys, shop, "query", sql, "--format", "csv")
    assert code == 0
    assert list(csv.reader(io.StringIO(out))) == [["text", "list", "same", "same_2"], ["a,b", "[1, 2]", "1", "2"]]
    assert asked(capsys, shop, "query", sql, "--output", str(tmp_path / "x.parquet"))[0] == 0
    assert pq.read_table(tmp_path / "x.parquet").to_pylist() == [
        {"text": "a,b", "list": [1, 2], "same": 1, "same_2": 2}
    ]
    _, out, _ = asked(
        capsys, shop, "query", "select 'nan'::double as n, '\\x80'::blob as b, 1.5::decimal(5,2) as d", "--json"
    )
    assert json.loads(out)["rows"] == [{"n": None, "b": "gA==", "d": "1.50"}]
    assert asked(capsys, shop, "query", sql, "--output", str(tmp_path / "x.txt"))[0] == 2
    assert asked(capsys, shop, "query", sql, "--output", str(tmp_path / "no" / "x.csv"))[0] == 2


def test_more_rows_than_the_limit_are_said(capsys, shop):
    code, out, err = asked(capsys, shop, "query", "select range as n from range(10)", "--limit", "3")
    assert (code, out.split()) == (0, ["n", "0", "1", "2"])
    assert "the first 3 rows; there are more" in err


@pytest.mark.parametrize("sql", ["drop table silver.orders", "select * from '/etc/passwd'", "select 1; select 2"])
def test_bad_sql_is_exit_code_2_with_a_fix(capsys, shop, sql):
    code, out, err = asked(capsys, shop, "query", sql)
    assert (code, out) == (2, "")
    assert "fix:" in err


def test_sql_comes_from_stdin_a_file_or_behind_two_dashes(capsys, shop, tmp_path, monkeypatch):
    sql = "-- one\nselect 1 as one"
    (tmp_path / "one.sql").write_text(sql)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(sql.encode())))
    for arguments in (["-"], ["--file", str(tmp_path / "one.sql")]):
        assert asked(capsys, shop, "query", *arguments, "--format", "csv") == (0, "one\n1\n", "")
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["query", "--project", str(shop), "--format", "csv", "--", sql])
    assert capsys.readouterr().out == "one\n1\n"
    for wrong in ([], ["select 1", "--tables"], ["--file", str(tmp_path / "none.sql")]):
        code, out, err = asked(capsys, shop, "query", *wrong)
        assert (code, out, "fix:" in err) == (2, "", True)


def test_the_tables_and_what_they_hold(capsys, shop):
    assert asked(capsys, shop, "build", "--select", "fct_daily_orders")[0] == 0
    code, out, _ = asked(capsys, shop, "query", "--tables", "--json")
    tables = {table["name"]: table for table in json.loads(out)["tables"]}
    assert (code, list(tables)[:1]) == (0, ["gold.fct_daily_orders"])
    assert {"silver.orders", "bronze.messages", "ops.quarantine"} <= set(tables)
    assert set(tables["silver.orders"]) == {"name", "kind", "columns", "description"}
    code, out, _ = asked(capsys, shop, "query", "--describe", "fct_daily_orders", "--json")
    mart = json.loads(out)
    assert (code, set(mart)) == (0, {"name", "kind", "columns", "description"})
    assert {"name": "orders", "type": "BIGINT", "description": "How many orders were placed"} in mart["columns"]
    code, out, _ = asked(capsys, shop, "query", "--describe", "silver.orders")
    assert code == 0
    assert "order_id" in out
    assert "The order's number" in out
    code, _, err = asked(capsys, shop, "query", "--describe", "silver.ordres")
    assert (code, "did you mean silver.orders?" in err) == (2, True)


def test_a_folder_may_be_called_anything(capsys, tmp_path):
    shop = tmp_path / "it's sh#op a?b a%41b" / "shop"
    main_at(tmp_path, "init", str(shop))
    assert asked(capsys, shop, "publish", "orders", str(shop / "sample" / "orders.jsonl"))[0] == 0
    for build in ("b1", "b2"):  # the second starts from the first's catalog
        code, out, err = asked(capsys, shop, "build", "--json")
        assert code == 0, err
        assert json.loads(out)["published"]["build"] == build
    code, out, err = asked(capsys, shop, "query", "select sum(amount) as total from silver.orders", "--format", "csv")
    assert (code, out) == (0, "total\n42466.20\n"), err
