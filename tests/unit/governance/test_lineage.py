"""The graph, asked up and down."""

from dataclasses import replace

from headrace.governance.lineage import Graph, Table
from headrace.governance.lineage_sql import Ref


def ref(text):
    table, _, column = text.rpartition(".")
    return Ref(table, column)


def table(name, kind="model", rows=(), parents=(), problem="", **columns):
    sources = {column: frozenset(map(ref, refs.split())) for column, refs in columns.items()}
    return Table(name, kind, sources, frozenset(map(ref, rows)), frozenset(parents), f"{name}.sql", {}, problem)


GRAPH = Graph(
    [
        table("orders", "event", amount="", country=""),
        table("silver.orders", "silver", amount="orders.amount", country="orders.country"),
        table("gold.fct", rows=["silver.orders.country"], revenue="silver.orders.amount", n=""),
        table("gold.dark", parents=["gold.fct"], problem="it is a Python model"),
        table("api.v1", "endpoint", total="gold.dark.anything"),
    ]
)


def flat(steps):
    return [(str(step.ref), step.how, flat(step.next)) for step in steps]


def test_up_and_down_from_a_field_to_what_reads_gold():
    assert flat(GRAPH.up(ref("gold.fct.revenue"))) == [
        ("silver.orders.amount", "value", [("orders.amount", "value", [])])
    ]
    (silver,) = flat(GRAPH.down(ref("orders.amount")))
    assert silver[0] == "silver.orders.amount"
    (fct,) = silver[2]
    assert fct[:2] == ("gold.fct.revenue", "value")
    assert fct[2] == [("gold.dark.*", "value", [("api.v1.total", "value", [])])], "unknown columns depend on all"


def test_what_decides_rows_is_told_apart():
    reached = GRAPH.reached([ref("orders.country")])
    assert {str(each): set(ways) for each, ways in reached.items()} == {
        "silver.orders.country": {"value"},
        "gold.fct.*": {"rows"},
    }
    assert GRAPH.dependents("silver.orders") == {"gold.fct", "gold.dark", "api.v1"}


def test_names_are_found_with_their_fields_and_in_any_case():
    assert GRAPH.find("GOLD.fct.Revenue") == ref("gold.fct.revenue")
    assert GRAPH.find("orders.amount.cents") == Ref("orders", "amount.cents")
    assert GRAPH.find("gold.dark.whatever") == ref("gold.dark.whatever")
    assert GRAPH.find("gold.fct.nothing") is None
    assert GRAPH.find("revenue") is None


def test_a_column_that_comes_from_itself_ends():
    loop = Graph([table("gold.a", x="gold.b.x"), table("gold.b", x="gold.a.x")])
    assert flat(loop.up(ref("gold.a.x"))) == [("gold.b.x", "value", [])]
    assert {str(each) for each in loop.reached([ref("gold.a.x")])} == {"gold.a.x", "gold.b.x"}


def test_other_rows_are_other_sums():
    sums = Table(
        "gold.sums", "model", {"total": frozenset(), "day": frozenset()}, frozenset({ref("silver.orders.state")})
    )
    graph = Graph(
        [
            table("silver.orders", "silver", state="", amount=""),
            replace(sums, counted=frozenset({"total"})),
            table("gold.top", rows=[], most="gold.sums.total", day="gold.sums.day"),
        ]
    )
    reached = graph.reached([ref("silver.orders.state")])
    assert {str(each): set(ways) for each, ways in reached.items()} == {
        "gold.sums.*": {"rows"},
        "gold.sums.total": {"value"},
        "gold.top.most": {"value"},
    }
    assert graph.shifted(["silver.orders"]) == ({"gold.sums", "gold.top"}, {ref("gold.sums.total")})
