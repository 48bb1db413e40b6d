"""The power cut: what was synced is there whatever the seed, and what was not may be there, in part."""

from random import Random

import pytest

from headrace.chaos.power_cut import PAGE, Cut, remember

SEEDS = range(60)


class Disk:
    """A folder and its shadow; syncing does by hand what the shim does."""

    def __init__(self, place):
        self.root, self.shadow = place / "state", place / "shadow"
        self.root.mkdir()

    def sync(self, name):
        path = self.root / name
        (self.shadow / f"c.{path.stat().st_ino}").write_bytes(path.read_bytes())

    def sync_names(self):
        names = "".join(f"{each.stat().st_ino} {each.name}\n" for each in self.root.iterdir())
        (self.shadow / f"d.{self.root.stat().st_ino}").write_text(names)

    def cut(self, seed):
        return Cut(self.root, self.shadow, Random(seed)).fall()

    def names(self):
        return {path.name for path in self.root.iterdir()}


@pytest.fixture
def disks(tmp_path):
    """Make a disk per seed."""

    def made(seed, before):
        place = tmp_path / str(seed)
        place.mkdir()
        disk = Disk(place)
        before(disk.root)
        remember(disk.root, disk.shadow)
        return disk

    return made


def test_what_was_synced_stays(disks):
    for seed in SEEDS:
        disk = disks(seed, lambda root: (root / "old").write_bytes(b"old"))
        (disk.root / "new").write_bytes(b"n" * 9000)
        disk.sync("new")
        disk.sync_names()
        lost = disk.cut(seed)
        assert (disk.root / "old").read_bytes() == b"old"
        assert (disk.root / "new").read_bytes() == b"n" * 9000
        assert not lost.names
        assert not lost.files


def test_a_name_that_was_not_synced_may_be_gone(disks):
    found = set()
    for seed in SEEDS:
        disk = disks(seed, lambda root: None)
        (disk.root / "new").write_bytes(b"new")
        disk.sync("new")
        disk.cut(seed)
        found.add(frozenset(disk.names()))
    assert found == {frozenset(), frozenset({"new"})}


def test_a_rename_has_one_of_its_names_and_what_it_replaced_is_whole(disks):
    found = set()
    for seed in SEEDS:
        disk = disks(seed, lambda root: (root / "published").write_bytes(b"before"))
        (disk.root / "draft").write_bytes(b"after")
        disk.sync("draft")
        disk.sync_names()
        old = disk.root / "published"
        (disk.shadow / f"g.{old.stat().st_ino}").hardlink_to(old)
        (disk.root / "draft").rename(old)
        disk.cut(seed)
        found.add((old.read_bytes(), frozenset(disk.names())))
    assert found == {(b"before", frozenset({"draft", "published"})), (b"after", frozenset({"published"}))}


def test_pages_that_were_not_synced_are_lost_in_part(disks):
    before, after = b"a" * (4 * PAGE), b"b" * (6 * PAGE)
    found = []
    for seed in SEEDS:
        disk = disks(seed, lambda root: (root / "file").write_bytes(before))
        (disk.root / "file").write_bytes(after)
        disk.cut(seed)
        content = (disk.root / "file").read_bytes()
        assert len(before) <= len(content) <= len(after)
        assert set(content) <= set(b"ab\0")
        found.append(content)
    assert before in found
    assert after in found
    torn = [each for each in found if any(len(set(each[at : at + PAGE])) > 1 for at in range(0, len(each), PAGE))]
    assert torn


def test_a_removed_file_may_come_back(disks):
    found = set()
    for seed in SEEDS:
        disk = disks(seed, lambda root: (root / "file").write_bytes(b"x"))
        path = disk.root / "file"
        (disk.shadow / f"g.{path.stat().st_ino}").hardlink_to(path)
        path.unlink()
        disk.cut(seed)
        found.add(frozenset(disk.names()))
    assert found == {frozenset(), frozenset({"file"})}


def test_folders_go_with_all_that_is_in_them_and_shared_memory_goes_for_certain(disks):
    found = set()
    for seed in SEEDS:
        disk = disks(seed, lambda root: (root / "db-shm").write_bytes(b"x"))
        (disk.root / "folder").mkdir()
        (disk.root / "folder" / "file").write_bytes(b"y")
        disk.cut(seed)
        assert "db-shm" not in disk.names()
        found.add(tuple(sorted(path.name for path in disk.root.rglob("*"))))
    assert found == {(), ("folder",), ("file", "folder")}
