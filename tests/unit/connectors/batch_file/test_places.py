"""Folders and buckets: every file is found, nothing outside of a root is, and what changed is not opened."""

from __future__ import annotations

import os

import fsspec
import pytest
from fsspec.registry import _registry

from headrace.connectors.batch_file.places import Bucket, Folder
from headrace.errors import ConfigError, ExternalError, InputError


def found(place) -> dict[str, str]:
    return {each.path: each.fault for each in place.listing()}


@pytest.fixture
def root(tmp_path):
    (tmp_path / "project/landing/deep/er").mkdir(parents=True)
    (tmp_path / "project/landing/a.csv").write_bytes(b"1")
    (tmp_path / "project/landing/deep/er/b.csv").write_bytes(b"2")
    (tmp_path / "secret.csv").write_bytes(b"secret")
    return tmp_path / "project"


def test_files_at_every_depth_are_found_and_others_are_not(root):
    (root / "landing/.hidden").mkdir()
    (root / "landing/.hidden/x.csv").touch()
    (root / "landing/c.csv.part").touch()
    os.mkfifo(root / "landing/pipe.csv")
    assert found(Folder(root / "landing", [root], "landing/")) == {"a.csv": "", "deep/er/b.csv": ""}


def test_links_lead_nowhere_outside(root):
    (root / "landing/out.csv").symlink_to(root.parent / "secret.csv")
    (root / "landing/up").symlink_to(root.parent, target_is_directory=True)
    (root / "landing/loop").symlink_to(root / "landing", target_is_directory=True)
    (root / "landing/in.csv").symlink_to(root / "landing/a.csv")
    (root / "landing/dangling.csv").symlink_to(root / "landing/nothing.csv")
    place = Folder(root / "landing", [root], "landing/")
    faults = found(place)
    assert {path for path, fault in faults.items() if not fault} == {"a.csv", "in.csv", "deep/er/b.csv"}
    assert {path for path, fault in faults.items() if "leads out" in fault} == {"out.csv", "up"}
    bound = Folder(root / "landing", [root, root.parent], "landing/")
    assert "up/secret.csv" in found(bound)


def test_a_link_that_came_since_the_listing_is_not_followed(root):
    place = Folder(root / "landing", [root], "landing/")
    (a,) = (each for each in place.listing() if each.path == "a.csv")
    (root / "landing/a.csv").unlink()
    (root / "landing/a.csv").symlink_to(root.parent / "secret.csv")
    assert place.open(a) is None


def test_a_file_that_changed_is_not_opened_and_known_when_it_changes_later(root):
    place = Folder(root / "landing", [root], "landing/")
    (a,) = (each for each in place.listing() if each.path == "a.csv")
    with place.open(a) as file:
        assert file.read() == b"1"
        assert place.is_same(a, file)
        (root / "landing/a.csv").write_bytes(b"12")
        assert not place.is_same(a, file)
    assert place.open(a) is None
    (root / "landing/a.csv").unlink()
    assert place.open(a) is None


def test_new_rights_and_a_time_put_back_make_another_version(root):
    place = Folder(root / "landing", [root], "landing/")

    def version() -> str:
        return next(each.version for each in place.listing() if each.path == "a.csv")

    path = root / "landing/a.csv"
    versions = [version()]
    path.chmod(0o640)
    versions.append(version())
    times = path.stat()
    path.write_bytes(b"9")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    versions.append(version())
    assert len(set(versions)) == 3


def test_a_place_that_is_not_there_is_told(root):
    with pytest.raises(InputError, match="does not exist") as told:
        list(Folder(root / "nothing", [root], "nothing/").listing())
    assert told.value.fix.startswith("mkdir -p")
    (root / "link").symlink_to(root.parent)
    with pytest.raises(InputError, match="leads out"):
        list(Folder(root / "link", [root], "link/").listing())


def test_a_name_that_is_no_text_is_found_with_a_fault(root):
    (root / "landing" / os.fsdecode(b"\xff.csv")).write_bytes(b"x")
    assert any("not UTF-8" in fault for fault in found(Folder(root / "landing", [root], "landing/")).values())


def test_objects_of_a_bucket_are_files(tmp_path):
    store = fsspec.filesystem("memory")
    for path, data in {"a.csv": b"1", "deep/b.csv": b"22", "_SUCCESS": b"", ".x": b""}.items():
        store.pipe(f"/places/in/{path}", data)
    place = Bucket("memory://places/in/")
    listed = {each.path: each for each in place.listing()}
    assert {path: (each.size, each.modified) for path, each in listed.items()} == {
        "a.csv": (1, None),
        "deep/b.csv": (2, None),
    }
    with place.open(listed["deep/b.csv"]) as file:
        assert file.read() == b"22"
        assert file.fileno() > 0
    store.pipe("/places/in/a.csv", b"333")
    assert place.open(listed["a.csv"]) is None
    store.rm("/places/in/a.csv")
    assert place.open(listed["a.csv"]) is None


@pytest.mark.parametrize(
    "uri", ["http://x/y", "ssh://x/y", "local:///etc", "zip::memory://a.zip", "simplecache::gs://a"]
)
def test_other_stores_are_refused(uri):
    with pytest.raises(ConfigError, match="cannot be read from"):
        Bucket(uri)


def test_a_store_whose_library_is_not_installed_names_it():
    pytest.importorskip("fsspec")
    if "gcsfs" in __import__("sys").modules or __import__("importlib.util").util.find_spec("gcsfs"):
        pytest.skip("gcsfs is installed")
    with pytest.raises(ConfigError) as told:
        Bucket("gs://landing-zone/orders/")
    assert "headrace[gcp]" in told.value.fix


class NoCredentialsError(Exception):
    """As a library of a store raises it: an exception of no kind that others know."""


@pytest.mark.parametrize(
    ("raised", "kind", "told"),
    [
        (FileNotFoundError("no such bucket"), InputError, "the bucket or path does not exist"),
        (PermissionError("403."), ExternalError, "the store refuses: PermissionError: 403"),
        (NoCredentialsError("none found"), ExternalError, "the store refuses: NoCredentialsError: none found"),
        (TimeoutError("after 60 s"), ExternalError, "the store does not answer: TimeoutError: after 60 s"),
    ],
)
def test_what_a_store_refuses_is_told(monkeypatch, raised, kind, told):
    class Refusing(fsspec.AbstractFileSystem):
        protocol, cachable = "abfs", False

        def find(self, *_, **__):
            raise raised

    monkeypatch.setitem(_registry, "abfs", Refusing)
    with pytest.raises(kind) as error:
        list(Bucket("abfs://drop/orders/").listing())
    assert error.value.message == told
    assert error.value.at == "abfs://drop/orders/"
    assert error.value.fix
