"""Taking files: each once and whole, whatever lies beside it and wherever it is cut off."""

from __future__ import annotations

import bz2
import dataclasses
import gzip
import itertools
import os
import random
import time
import zipfile
from contextlib import closing

import fsspec
import pytest

from headrace.bus.base import Subscription
from headrace.bus.sqlite import SqliteBus
from headrace.config.project import load_project
from headrace.connectors import records
from headrace.errors import ExternalError, InputError, SpaceError
from headrace.runtime.landing.taking import scan
from headrace.runtime.landing.watch import manifest_of
from headrace.runtime.landing.watched import watched

LONG_AGO = 1_700_000_000


class Shop:
    """A project with one watched source, looked at by hand."""

    def __init__(self, root, more: str = "", location: str = "landing/"):
        for folder in ("connectors", "landing"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        (root / "headrace.yaml").write_text("name: lab\n")
        self.file = root / "connectors/orders.yaml"
        self.root, self.landing = root, root / "landing"
        self.say(more, location)

    def say(self, more: str, location: str = "landing/"):
        self.file.write_text(f"source_id: orders\npattern: batch_file\nlocation: {location}\n{more}\n")
        self.project = load_project(self.root)
        self.sources, self.faults = watched(self.project)

    def write(self, name: str, data: bytes, at: float = LONG_AGO):
        path = self.landing / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (at, at))
        return path

    def scan(self, steps: int | None = None, clock=time.time) -> int:
        """Look once, and leave after so many steps; return how many there were."""
        with closing(manifest_of(self.project)) as manifest, closing(SqliteBus(self.project.state / "bus")) as bus:
            going = scan(self.sources["orders"], manifest, bus, clock)
            done = sum(1 for _ in (going if steps is None else itertools.islice(going, steps)))
            going.close()
            return done

    def files(self) -> dict[str, tuple]:
        with closing(manifest_of(self.project)) as manifest:
            return {each.path: (each.state, each.rows, each.taken) for each in manifest.current("orders").values()}

    def entries(self):
        with closing(manifest_of(self.project)) as manifest:
            return manifest.entries("orders")

    def topic(self) -> list[dict]:
        with closing(SqliteBus(self.project.state / "bus")) as bus:
            bus.subscribe(Subscription("orders", "test"))
            bus.seek("orders", "test", {})
            rows = []
            while pulled := bus.pull("orders", "test", 100_000, 1 << 30):
                rows += pulled.batch.to_pylist()
            return [{**row, "attributes": dict(row["attributes"] or [])} for row in rows]

    def payloads(self) -> list[bytes]:
        return [row["payload"] for row in self.topic()]


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path / "shop")


def lines(first: int, end: int) -> bytes:
    return b"".join(b'{"n":%d}\n' % number for number in range(first, end))


def test_what_no_glob_wants_is_none_of_its_files(tmp_path):
    shop = Shop(tmp_path)
    shop.write("README.txt", b"hello")
    shop.write("a.ndjson", b"1\n")
    shop.scan()
    assert shop.files()["README.txt"][0] == "failed"
    shop.say('files: {only: ["*.ndjson"]}')
    shop.scan()
    assert {path: state for path, (state, *_) in shop.files().items() if state != "superseded"} == {"a.ndjson": "done"}


def test_every_kind_of_file_is_taken_once_and_says_where_its_rows_come_from(shop):
    shop.write("a.jsonl", lines(0, 2))
    shop.write("deep/b.csv.gz", gzip.compress(b"n\n2\n3\n"))
    shop.write("c.json.bz2", bz2.compress(b'[{"n":4},{"n":5}]'))
    with zipfile.ZipFile(shop.landing / "d.zip", "w") as archive:
        archive.writestr("x/one.jsonl", lines(6, 7))
        archive.writestr("two.csv", "n\n7\n")
    os.utime(shop.landing / "d.zip", (LONG_AGO, LONG_AGO))
    before = {path: path.read_bytes() for path in shop.landing.rglob("*") if path.is_file()}
    for _ in range(3):
        shop.scan()
    rows = shop.topic()
    assert len(rows) == 8
    assert shop.files() == dict.fromkeys(("a.jsonl", "deep/b.csv.gz", "c.json.bz2", "d.zip"), ("done", 2, 2))
    where = {(row["attributes"]["file-path"], row["attributes"]["file-row"]) for row in rows}
    assert where == {(name, row) for name in shop.files() for row in "12"}
    assert [row["attributes"].get("file-member") for row in rows if row["attributes"]["file-path"] == "d.zip"] == [
        "x/one.jsonl",
        "two.csv",
    ]
    assert all(len(row["attributes"]["file-digest"]) == 64 for row in rows)
    assert {path: path.read_bytes() for path in shop.landing.rglob("*") if path.is_file()} == before


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(records, "BATCH_ROWS", 7)


@pytest.mark.usefixtures("small_batches")
def test_left_at_any_step_and_again_at_any_it_takes_each_row_once(tmp_path):
    whole = Shop(tmp_path / "whole")
    for shop_file in ("a.jsonl", "b.jsonl"):
        whole.write(shop_file, lines(0, 40) if shop_file == "a.jsonl" else lines(40, 80))
    steps = whole.scan()
    expected = whole.payloads()
    assert len(expected) == 80
    chance = random.Random(5)
    for cut in range(steps):
        shop = Shop(tmp_path / f"cut{cut}")
        shop.write("a.jsonl", lines(0, 40))
        shop.write("b.jsonl", lines(40, 80))
        shop.scan(cut)
        shop.scan(chance.randrange(steps))
        shop.scan()
        assert shop.payloads() == expected, cut
        assert shop.files() == {"a.jsonl": ("done", 40, 40), "b.jsonl": ("done", 40, 40)}


@pytest.mark.usefixtures("small_batches")
def test_without_its_manifest_it_takes_nothing_twice(shop):
    shop.write("a.jsonl", lines(0, 40))
    shop.scan()
    (shop.project.state / "landing/manifest.db").unlink()
    shop.scan()
    assert len(shop.payloads()) == 40


def test_a_file_that_is_being_written_waits(shop):
    now = time.time()
    path = shop.write("a.jsonl", b'{"n":0}\n{"n', at=now)
    shop.scan(clock=lambda: now)
    assert shop.files() == {"a.jsonl": ("waiting", None, 0)}
    path.write_bytes(lines(0, 2))
    os.utime(path, (now + 1, now + 1))
    shop.scan(clock=lambda: now + 2.5)
    assert shop.files()["a.jsonl"][0] == "waiting"
    shop.scan(clock=lambda: now + 3.5)
    assert shop.payloads() == lines(0, 2).splitlines()


def test_the_same_bytes_under_another_name_are_taken_once(shop):
    shop.write("a.jsonl", lines(0, 3))
    shop.write("b.jsonl", lines(0, 3), at=LONG_AGO + 1)
    shop.scan()
    assert len(shop.payloads()) == 3
    assert sorted((each.path, each.state, each.message) for each in shop.entries()) == [
        ("a.jsonl", "done", ""),
        ("b.jsonl", "done", "the same bytes as a.jsonl: taken once"),
    ]


def test_the_same_bytes_under_a_name_that_says_another_format_are_other_messages(shop):
    shop.write("a.csv", b'{"n":1}\n{"n":2}\n')
    shop.scan()
    shop.scan()
    shop.write("b.json", b'{"n":1}\n{"n":2}\n')
    shop.write("c.jsonl", b'{"n":1}\n{"n":2}\n')
    shop.scan()
    shop.scan()
    assert shop.payloads() == [b'{"n":2}', b'{"n":1}', b'{"n":2}']
    assert [each.message for each in shop.entries()] == ["", "", "the same bytes as b.json: taken once"]
    shop.say("format: ndjson")
    shop.write("d.csv", b'{"n":3}\n')
    shop.write("e.json", b'{"n":3}\n')
    shop.scan()
    shop.scan()
    assert shop.payloads()[3:] == [b'{"n":3}'], "where the source says the format, names do not"


def test_a_touched_file_is_no_new_one_and_a_changed_one_is(shop):
    shop.write("a.jsonl", lines(0, 3))
    shop.scan()
    os.utime(shop.landing / "a.jsonl", (LONG_AGO + 9, LONG_AGO + 9))
    shop.scan()
    shop.scan()
    assert [each.state for each in shop.entries()] == ["done"]
    shop.write("a.jsonl", lines(0, 4), at=LONG_AGO + 20)
    shop.scan()
    shop.scan()
    assert [(each.state, each.rows) for each in shop.entries()] == [("superseded", 3), ("done", 4)]
    assert len(shop.payloads()) == 7


BAD = {
    "half.jsonl.gz": (gzip.compress(os.urandom(5000))[:3000], "ends early"),
    "open.json": (b'[{"n":1},{"n":2}', "ends within its array"),
    "bare.csv": (b"1,2\n3,4\n", "is a row, not a header"),
    "odd.xlsx": (b"PK\x03\x04whatever", "cannot be read"),
    "odd.dat": (b"whatever", "does not say its format"),
    "a.parquet": (b"PAR1 no", "cannot be read"),
    "empty.parquet": (b"", "is empty"),
    "a.avro": (b"Obj", "cannot be read"),
    "bomb.jsonl.bz2": (bz2.compress(b"0" * (80 << 20)), "as a bomb does"),
}


def test_a_bad_file_fails_alone_and_whole_and_is_taken_when_it_is_mended(shop):
    for number, (name, (data, _)) in enumerate(BAD.items()):
        shop.write(name, data, at=LONG_AGO + number)
    shop.write("good.jsonl", lines(0, 3), at=LONG_AGO + 99)
    shop.scan()
    assert shop.payloads() == lines(0, 3).splitlines()
    for each in shop.entries():
        if each.path in BAD:
            assert (each.state, each.taken) == ("failed", 0), each
            assert BAD[each.path][1] in each.message, each
            assert each.fix, each
    assert shop.scan() == len(BAD) + 1, "what failed is not tried again and again"
    shop.write("open.json", b'[{"n":1},{"n":2}]')
    shop.scan()
    shop.scan()
    assert shop.files()["open.json"] == ("done", 2, 2)
    assert len(shop.payloads()) == 5


def test_a_file_for_which_there_is_no_memory_is_tried_twice_and_keeps_no_other_waiting(shop):
    shop.write("a.jsonl", lines(0, 1))
    shop.write("b.jsonl", lines(1, 2))
    place = shop.sources["orders"].place

    class Small:
        name, listing, is_same = place.name, place.listing, place.is_same
        open = staticmethod(lambda found: _raised(MemoryError) if found.path == "a.jsonl" else place.open(found))

    shop.sources["orders"] = dataclasses.replace(shop.sources["orders"], place=Small())
    with pytest.raises(ExternalError, match="no memory left"):
        shop.scan()
    assert shop.files() == {"a.jsonl": ("waiting", None, 0), "b.jsonl": ("done", 1, 1)}
    shop.scan()
    assert shop.files()["a.jsonl"] == ("failed", None, 0)
    (failed,) = (each for each in shop.entries() if each.path == "a.jsonl")
    assert "twice" in failed.message
    assert "smaller files" in failed.fix


def _raised(kind):
    raise kind


def test_what_failed_is_tried_again_when_its_source_says_how_to_read_it(shop):
    shop.write("bare.csv", b"1,2\n3,4\n")
    shop.scan()
    assert shop.files()["bare.csv"][0] == "failed"
    shop.say("csv: {columns: [a, b]}")
    shop.scan()
    shop.scan()
    assert shop.files()["bare.csv"] == ("done", 2, 2)


def test_rows_that_nobody_can_decode_are_messages(shop):
    shop.write("a.csv", b'a,b\n1,2\n1,2,3\n\n"open\n\xff,5\n' + "éèà,6\n".encode() * 9)
    shop.scan()
    assert shop.payloads() == [b"1,2", b"1,2,3", b"", b'"open', b"\xff,5", *["éèà,6".encode()] * 9]


def test_what_was_guessed_of_a_file_is_told(shop):
    shop.write("a.csv", "id;town\n1;Köln\n".encode("cp1252"))
    shop.scan()
    (entry,) = shop.entries()
    assert (entry.state, entry.message) == ("done", "read as cp1252, since it is not UTF-8")
    assert shop.payloads() == ["1;Köln".encode()]


def test_a_file_that_changes_while_it_is_read_is_read_again(shop, monkeypatch):
    monkeypatch.setattr(records, "BATCH_ROWS", 5)
    shop.write("a.jsonl", lines(0, 20))
    with closing(manifest_of(shop.project)) as manifest, closing(SqliteBus(shop.project.state / "bus")) as bus:
        for _ in scan(shop.sources["orders"], manifest, bus):
            if any(each.state == "reading" for each in manifest.entries()):
                shop.write("a.jsonl", lines(100, 130), at=LONG_AGO + 5)
                break
    shop.scan()
    shop.scan()
    states = [(each.state, each.rows) for each in shop.entries()]
    assert states == [("superseded", 20), ("done", 30)]
    assert shop.payloads()[-30:] == lines(100, 130).splitlines()


def test_a_file_that_grows_while_it_is_read_is_not_done(shop, monkeypatch):
    monkeypatch.setattr(records, "BATCH_ROWS", 5)
    path = shop.write("a.jsonl", lines(0, 20))
    with closing(manifest_of(shop.project)) as manifest, closing(SqliteBus(shop.project.state / "bus")) as bus:
        grown = False
        for _ in scan(shop.sources["orders"], manifest, bus):
            if not grown and any(each.state == "reading" for each in manifest.entries()):
                with path.open("ab") as file:
                    file.write(lines(20, 25))
                grown = True
    (entry,) = shop.entries()
    assert entry.state == "superseded"
    assert "changed while it was read" in entry.message
    os.utime(path, (LONG_AGO, LONG_AGO))
    shop.scan()
    shop.scan()
    assert shop.files()["a.jsonl"] == ("done", 25, 25)
    assert set(lines(0, 25).splitlines()) == set(shop.payloads())


def test_a_file_that_was_read_in_a_wrong_way_can_be_taken_anew(shop):
    shop.say("message_format: csv\ncsv: {delimiter: ';'}")
    shop.write("a.csv", b"a,b\n1,2\n")
    shop.scan()
    shop.say("message_format: csv\ncsv: {delimiter: ','}")
    shop.scan()
    assert len(shop.topic()) == 1, "what was taken stays taken"
    with closing(manifest_of(shop.project)) as manifest:
        assert manifest.retry("orders", "a.csv", time.time()) == 1
    shop.scan()
    shop.scan()
    assert shop.payloads() == [b"1,2"] * 2


def test_what_was_removed_is_forgotten_where_nothing_was_taken_of_it(shop, monkeypatch):
    monkeypatch.setattr(records, "BATCH_ROWS", 5)
    now = time.time()
    shop.write("waits.jsonl", lines(0, 1), at=now).with_name("waits.jsonl")
    shop.write("half.jsonl", lines(0, 20))
    shop.write("bad.dat", b"x", at=LONG_AGO - 9)
    shop.write("done.jsonl", lines(5, 6), at=LONG_AGO - 5)
    steps = shop.scan(clock=lambda: now) - 2
    shop2 = Shop(shop.root.parent / "again")
    for path in shop.landing.iterdir():
        shop2.write(path.name, path.read_bytes(), at=path.stat().st_mtime)
    shop2.scan(steps, clock=lambda: now)
    assert shop2.files()["half.jsonl"][0] == "reading"
    for path in list(shop2.landing.iterdir()):
        path.unlink()
    shop2.scan(clock=lambda: now)
    assert {each.path: each.state for each in shop2.entries()} == {
        "half.jsonl": "superseded", "bad.dat": "superseded", "done.jsonl": "done",
    }  # fmt: skip


def test_a_full_topic_leaves_the_file_for_later(shop):
    shop.write("a.jsonl", b"".join(b'"%s"\n' % os.urandom(400).hex().encode() for _ in range(3000)))
    with closing(manifest_of(shop.project)) as manifest:
        with (
            closing(SqliteBus(shop.project.state / "bus", max_topic_bytes=200_000)) as small,
            pytest.raises(SpaceError),
        ):
            list(scan(shop.sources["orders"], manifest, small))
        assert manifest.current("orders")["a.jsonl"].state == "reading"
    shop.scan()
    assert shop.files()["a.jsonl"] == ("done", 3000, 3000)
    assert len(shop.payloads()) == 3000


def test_a_link_out_of_the_project_is_never_read(shop):
    (shop.root.parent / "secret.jsonl").write_bytes(b'{"secret":1}\n')
    (shop.landing / "a.jsonl").symlink_to(shop.root.parent / "secret.jsonl")
    shop.scan()
    shop.scan()
    (entry,) = shop.entries()
    assert (entry.state, shop.payloads()) == ("failed", [])
    assert "leads out" in entry.message


@pytest.mark.parametrize("more", ["", "bindings: {other/: ./}"])
def test_a_link_to_what_else_the_project_holds_is_never_read(shop, more):
    (shop.root / "headrace.yaml").write_text(f"name: lab\n{more}\n")
    shop.say("")
    shop.scan()
    state = shop.project.state
    (state / "tokens.json").write_bytes(b'{"secret":1}\n')
    (shop.landing / "tokens.json").symlink_to(state / "tokens.json")
    (shop.landing / "deep").symlink_to(f"../.headrace/{state.name}", target_is_directory=True)
    if not more:
        (shop.root / "private").mkdir()
        (shop.root / "private/p.jsonl").write_bytes(b'{"secret":2}\n')
        (shop.landing / "p.jsonl").symlink_to("../private/p.jsonl")
        (shop.landing / "private").symlink_to("../private", target_is_directory=True)
    shop.write("a.jsonl", lines(0, 1))
    (shop.landing / "b.jsonl").symlink_to("a.jsonl")
    shop.scan()
    shop.scan()
    assert shop.payloads() == [b'{"n":0}']
    assert {path: state for path, (state, *_) in shop.files().items()} == {
        **dict.fromkeys(["tokens.json", "deep", *([] if more else ["p.jsonl", "private"])], "failed"),
        **dict.fromkeys(["a.jsonl", "b.jsonl"], "done"),
    }


def test_objects_of_a_bucket_are_taken(tmp_path):
    store = fsspec.filesystem("memory")
    store.pipe("/taking/in/a.jsonl.gz", gzip.compress(lines(0, 5)))
    shop = Shop(tmp_path, location="memory://taking/in/")
    shop.scan()
    shop.scan()
    assert shop.files() == {"a.jsonl.gz": ("done", 5, 5)}
    assert shop.payloads() == lines(0, 5).splitlines()


def test_an_object_that_the_store_does_not_give_keeps_no_other_waiting(tmp_path):
    store = fsspec.filesystem("memory")
    store.pipe("/locked/in/a.jsonl", lines(0, 1))
    store.pipe("/locked/in/b.jsonl", lines(1, 2))
    shop = Shop(tmp_path, location="memory://locked/in/")

    class Refusing:
        name = shop.sources["orders"].place.name
        listing = staticmethod(shop.sources["orders"].place.listing)
        is_same = staticmethod(shop.sources["orders"].place.is_same)
        may = False

        def open(self, found):
            if found.path == "a.jsonl" and not self.may:
                raise ExternalError("403")
            return place.open(found)

    place = shop.sources["orders"].place
    refusing = Refusing()
    shop.sources["orders"] = dataclasses.replace(shop.sources["orders"], place=refusing)
    with pytest.raises(ExternalError, match="403"):
        shop.scan()
    assert shop.files() == {"a.jsonl": ("waiting", None, 0), "b.jsonl": ("done", 1, 1)}
    assert shop.entries()[0].message == "403"
    refusing.may = True
    shop.scan()
    assert [(each.state, each.message) for each in shop.entries()] == [("done", "")] * 2


def test_a_source_with_tables_has_a_folder_for_each(shop):
    shop.say("tables: [users, items]")
    shop.write("users/a.jsonl", lines(0, 1))
    shop.write("items/deep/a.jsonl", lines(1, 2))
    shop.write("b.jsonl", lines(2, 3))
    shop.scan()
    assert {row["attributes"]["dataset"]: row["payload"] for row in shop.topic()} == {
        "users": b'{"n":0}',
        "items": b'{"n":1}',
    }
    assert shop.files()["b.jsonl"][0] == "failed"


def test_the_same_bytes_in_the_folder_of_another_table_are_other_messages(shop):
    shop.say("tables: [users, items]")
    path = shop.write("users/a.jsonl", lines(0, 2))
    shop.write("users/copy.jsonl", lines(0, 2), at=LONG_AGO + 1)
    shop.scan()
    shop.write("items/same.jsonl", lines(0, 2))
    shop.scan()
    (shop.landing / "items").mkdir(exist_ok=True)
    moved = shop.write("users/wrong.jsonl", lines(5, 6))
    shop.scan()
    moved.rename(shop.landing / "items/right.jsonl")
    shop.scan()
    shop.say("tables: [items, users, orders]")
    path.rename(shop.landing / "users/renamed.jsonl")
    shop.scan()
    shop.scan()
    got = [(row["attributes"]["dataset"], row["payload"]) for row in shop.topic()]
    assert got == [
        *[("users", line) for line in lines(0, 2).splitlines()],
        *[("items", line) for line in lines(0, 2).splitlines()],
        ("users", b'{"n":5}'),
        ("items", b'{"n":5}'),
    ]
    assert {state for state, *_ in shop.files().values()} == {"done"}


def test_the_name_a_file_is_counted_by_stays_as_it_was(shop):
    """What a released version took is known by these names: another one would take it all again."""
    path = "users/a.jsonl"
    assert shop.sources["orders"].producer("d", path) == "file:orders:d:c7e04c2601b4"
    shop.say("tables: [users]")
    assert shop.sources["orders"].producer("d", path) == "file:orders:d:eb95e09d7b90"


def test_json_files_of_a_csv_source_say_what_they_are(shop):
    shop.say("message_format: csv")
    shop.write("a.csv", b"n\n1\n")
    shop.write("b.jsonl", lines(2, 3))
    shop.scan()
    kinds = {row["payload"]: row["attributes"]["content-type"] for row in shop.topic()}
    assert kinds == {b"1": "text/csv", b'{"n":2}': "application/json"}


def test_a_place_that_is_not_there_is_told(shop):
    shop.landing.rmdir()
    with pytest.raises(InputError, match="does not exist"):
        shop.scan()
