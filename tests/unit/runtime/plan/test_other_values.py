"""Whether a value is another one where its column has another type: DuckDB is asked, of values at every edge."""

import duckdb
import pytest

from headrace.runtime.plan.other_values import is_other

OBJECT, WIDER = "STRUCT(a INTEGER)", 'STRUCT(a DOUBLE, "b c" VARCHAR)'


@pytest.mark.parametrize(
    ("was", "left", "now", "right", "other"),
    [
        ("INTEGER", "7", "DOUBLE", "7.0", False),
        ("UBIGINT", "7", "DECIMAL(9,2)", "7.01", True),
        ("INTEGER", "7", "VARCHAR", "'7'", True),
        ("INTEGER", "NULL", "VARCHAR", "NULL", False),
        (OBJECT, "{'a': 1}", WIDER, "{'a': 1.0, 'b c': NULL}", False),
        (OBJECT, "{'a': 1}", WIDER, "{'a': 1.0, 'b c': ''}", True),
        (WIDER, "{'a': 1.0, 'b c': 'x'}", OBJECT, "{'a': 1}", True),
        (OBJECT, "NULL", WIDER, "NULL", False),
        (OBJECT, "NULL", WIDER, "{'a': NULL, 'b c': NULL}", True),
        (f"{OBJECT}[]", "[{'a': 1}, NULL]", f"{WIDER}[]", "[{'a': 1.0, 'b c': NULL}, NULL]", False),
        (f"{OBJECT}[]", "[{'a': 1}, NULL]", f"{WIDER}[]", "[{'a': 1.0, 'b c': NULL}, {'a': NULL, 'b c': NULL}]", True),
        (f"{OBJECT}[]", "[{'a': 1}]", f"{WIDER}[]", "[{'a': 1.0, 'b c': 'x'}]", True),
        (f"{OBJECT}[]", "[]", f"{WIDER}[]", "[]", False),
        (f"{OBJECT}[]", "[]", f"{WIDER}[]", "NULL", True),
        (f"{OBJECT}[]", "[]", f"{WIDER}[]", "[NULL]", True),
        (f"{OBJECT}[][]", "[[{'a': 1}], []]", f"{WIDER}[][]", "[[{'a': 1, 'b c': NULL}], []]", False),
        (f"{OBJECT}[][]", "[[{'a': 1}], []]", f"{WIDER}[][]", "[[{'a': 1, 'b c': NULL}], [NULL]]", True),
        (f"STRUCT(l {OBJECT}[])[]", "[{'l': [{'a': 1}]}]", f"STRUCT(l {WIDER}[])[]", "[{'l': [{'a': 2}]}]", True),
    ],
)
def test_what_is_another_value(was, left, now, right, other):
    test = is_other("l.v", "r.v", was, now)
    sql = f"SELECT {test} FROM (SELECT CAST({left} AS {was}) AS v) l, (SELECT CAST({right} AS {now}) AS v) r"
    assert duckdb.sql(sql).fetchall() == [(other,)]
