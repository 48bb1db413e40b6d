"""`headrace status` in 80 columns: a line a source with whole words, or a block where numbers are long."""

import io

import pytest
from rich.console import Console

from headrace.cli.output import Output
from headrace.cli.status import SHOWN, _text
from headrace.runtime.views.edges import Files, Pushes
from headrace.runtime.views.status import SourceStatus


def status_of(number, **more):
    ledger = dict.fromkeys((*SHOWN, "filtered", "erased"), 0) | dict.fromkeys(SHOWN, number)
    said = {"ledger": ledger, "balanced": True, "unbalanced": [], "lag": 0, "freshness_secs": 0.0, "last_commit": None}
    return SourceStatus(**said | {"batches": 1, "contracts": {}} | more)


@pytest.fixture
def shown(capsys):
    def show(statuses):
        output = Output(as_json=False)
        page = io.StringIO()
        output._console = Console(file=page, width=80, highlight=False)
        _text(output, statuses)
        lines = [*page.getvalue().splitlines(), *capsys.readouterr().out.splitlines()]
        assert max(map(len, lines)) <= 80
        return [line.rstrip() for line in lines]

    return show


def test_a_line_a_source(shown):
    assert shown({"customer_orders": status_of(1_234_567), "visits": status_of(0, lag=12, freshness_secs=3.44)}) == [
        "source            accepted     silver  superseded  duplicate  quarantined  lag",
        "customer_orders  1,234,567  1,234,567   1,234,567  1,234,567    1,234,567    0",
        "visits                   0          0           0          0            0   12",
        "visits: the oldest message that waits is 3.4 s old",
        "balanced: every accepted message has one fate, and the tables hold it",
    ]


def test_files_and_pushes_have_a_line_each(shown):
    lines = shown(
        {
            "orders": status_of(1, files=Files(1_412, 2, 1), pushes=Pushes(120_331, 4, 1)),
            "visits": status_of(0, files=Files(3, 0, 0), pushes=Pushes(9, 0, 0)),
        }
    )
    assert lines[3:] == [
        "orders: files: 1,412 taken, 2 waiting, 1 failed",
        "orders: pushes: 120,331 sent, 4 waiting, 1 dead letter",
        "visits: files: 3 taken, 0 waiting, 0 failed",
        "visits: pushes: 9 sent, 0 waiting, 0 dead letters",
        "balanced: every accepted message has one fate, and the tables hold it",
    ]


def test_a_block_a_source_where_numbers_are_long(shown):
    assert shown({"orders": status_of(999_999_999_999)})[:4] == [
        "orders",
        "  accepted     999,999,999,999",
        "  silver       999,999,999,999",
        "  superseded   999,999,999,999",
    ]


def test_what_does_not_balance_is_said(shown):
    lines = shown({"orders": status_of(3, balanced=False, unbalanced=["3 accepted, 2 have a fate"])})
    assert lines[-2:] == ["orders does not balance:", "  3 accepted, 2 have a fate"]
    assert shown({}) == ["source  accepted  silver  superseded  duplicate  quarantined  lag"]
