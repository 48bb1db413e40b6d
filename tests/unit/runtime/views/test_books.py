"""The books of several sources, read together: a fault is found where it is, and nowhere else."""

import pytest

from headrace.lake.reader import open_reader
from headrace.runtime.views.books import Books
from living import changed_behind_its_back, lived, messages, orders, project_of, sqlite_bus

SOURCES = ("orders", "returns", "quiet")


@pytest.fixture
def project(tmp_path):
    """Two sources that have an event of every fate, each as many as no other, and one that has none."""
    shop = project_of(tmp_path, *SOURCES)
    with sqlite_bus(shop) as bus:
        for last, source in ((5, "orders"), (7, "returns")):
            later = [each | {"version": 2} for each in orders(0, last - 3)]
            bus.publish(source, messages([*orders(0, last), *orders(0, last), *later, b"{"]))
    lived(shop)
    return shop


def books(project, *, counted):
    with open_reader(project.state / "lake") as lake:
        snapshot = lake.pin()
        return Books.read(lake, SOURCES, None if counted else snapshot)


def test_each_source_has_its_own_books(project):
    for counted in (True, False):
        found = books(project, counted=counted)
        fates = [{name: n for name, n in found.fates(source).items() if n} for source in SOURCES]
        assert fates == [
            {"accepted": 13, "silver": 5, "superseded": 2, "duplicate": 5, "quarantined": 1},
            {"accepted": 19, "silver": 7, "superseded": 4, "duplicate": 7, "quarantined": 1},
            {},
        ]
        assert [found.unbalanced(source) for source in SOURCES] == [[], [], []]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("silver.returns WHERE id = 'o1'", "silver holds 6 rows, the ledger says 7"),
        ("ops.quarantine WHERE source = 'returns'", "quarantine holds 0 messages, the ledger says 1"),
        ("ops.superseded WHERE dataset = 'returns'", "0 superseded are remembered, the ledger says 4"),
        ("bronze.messages WHERE source = 'returns' AND seq = 2", "bronze holds 18, the ledger decided 19"),
        ("ops.positions WHERE source = 'returns'", "positions count 0 messages, bronze holds 19"),
    ],
)
def test_a_fault_is_found_in_the_source_that_has_it(project, damage, said):
    changed_behind_its_back(project, f"DELETE FROM lake.{damage}")
    found = books(project, counted=True)
    assert [bool(found.unbalanced(source)) for source in SOURCES] == [False, True, False]
    (fault,) = found.unbalanced("returns")
    assert said in fault
    by_catalog = books(project, counted=False).unbalanced("returns")
    assert len(by_catalog) == 1


def test_a_damaged_file_is_the_trouble_of_its_own_source(project):
    (file, *_) = (project.state / "lake" / "data" / "silver" / "returns").rglob("*.parquet")
    file.write_bytes(file.read_bytes()[:100])
    found = books(project, counted=True)
    assert [len(found.unbalanced(source)) for source in SOURCES] == [0, 1, 0]
    assert found.unbalanced("returns")[0].startswith("its rows cannot be counted: lake: the lake cannot be read")
    assert found.fates("returns")["silver"] == 7, "the ledger itself can be read"
