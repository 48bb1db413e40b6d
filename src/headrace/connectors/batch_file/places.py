"""Where files lie: a folder, or a path of a bucket, listed and opened alike."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import stat
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from headrace.connectors.batch_file.decisions import Found, is_ignored
from headrace.errors import ConfigError, ExternalError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

STORES = {  # scheme -> what to install
    "gs": "headrace[gcp]",
    "gcs": "headrace[gcp]",
    "s3": "s3fs",
    "abfss": "adlfs",
    "abfs": "adlfs",
    "memory": "headrace",
}
COPY_BYTES = 8 << 20
STATE_FOLDER = ".headrace"
"""Where a project's own state lies: tokens and other secrets among it, so that no link may lead there."""


class Place(Protocol):
    """Where the files of a source lie. Nothing here is ever written, moved or deleted."""

    name: str
    """What users know it by."""
    heard: float
    """When it last gave a part of what it was asked for, by `time.monotonic`; 0 where nobody need wait for parts."""

    def listing(self) -> Iterator[Found]:
        """Yield every file below, in no order; raises `InputError` where the place itself cannot be listed."""
        ...

    def open(self, found: Found) -> BinaryIO | None:
        """Open a file for reading from any place, a real one with a handle; None where it is no longer the one found.

        Raises `InputError` where it may not be read.
        """
        ...

    def is_same(self, found: Found, file: BinaryIO) -> bool:
        """Say whether the bytes of an opened file are still those that were found."""
        ...


class Folder:
    """A folder and all below it. A link is followed only to what lies within the `roots`, and never to a state.

    Whoever may put a file there is not trusted to read what else the project, or `closed`, holds.
    """

    heard = 0.0

    def __init__(self, folder: Path, roots: Sequence[Path], name: str, closed: Path | None = None) -> None:
        self.name = name
        self._folder = folder
        self._roots = tuple(root.resolve() for root in roots)
        self._closed = closed

    def listing(self) -> Iterator[Found]:
        """Yield every regular file below the folder; links that lead out, or to no file, are found with a fault."""
        if not self._folder.is_dir():
            raise InputError("the folder does not exist", at=self.name, fix=f"mkdir -p {self._folder}")
        if not self._is_inside(self._folder):
            raise InputError("the folder is a link that leads out of its place", at=self.name, fix="bind it")
        yield from self._below(self._folder, "", {self._folder.resolve()})

    def _below(self, folder: Path, prefix: str, passed: set[Path]) -> Iterator[Found]:
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            if not prefix:
                raise InputError(
                    f"the folder cannot be listed: {error.strerror}", at=self.name, fix=f"ls -ld {folder}"
                ) from error
            yield Found(_text(prefix.rstrip("/")), 0, "", None, f"the folder cannot be listed: {error.strerror}")
            return
        for entry in entries:
            path = prefix + entry.name
            if is_ignored(entry.name):
                continue
            if not _is_text(path):
                yield Found(_text(path), 0, "", None, "the name is not UTF-8: rename it")
                continue
            if entry.is_symlink() and not self._is_inside(Path(entry.path)):
                yield Found(path, 0, "", None, "it is a link that leads out of the source's folder: copy the file here")
                continue
            with contextlib.suppress(FileNotFoundError):  # removed since it was listed
                if entry.is_dir():
                    real = Path(entry.path).resolve()
                    if real not in passed:
                        yield from self._below(Path(entry.path), path + "/", {*passed, real})
                elif entry.is_file():
                    yield _found(path, entry.stat())

    def open(self, found: Found) -> BinaryIO | None:
        """Open a file, unless another one lies there by now."""
        path = (self._folder / found.path).resolve()
        if not self._is_inside(path):
            return None
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(
                f"the file cannot be read: {error.strerror}", at=found.path, fix=f"ls -l {path}"
            ) from error
        file = os.fdopen(handle, "rb")
        if stat.S_ISREG(os.fstat(handle).st_mode) and self.is_same(found, file):
            return file
        file.close()
        return None

    def is_same(self, found: Found, file: BinaryIO) -> bool:
        """Say whether size, time of writing and identity are what they were."""
        return _found(found.path, os.fstat(file.fileno())) == found

    def _is_inside(self, path: Path) -> bool:
        real = path.resolve()
        if self._closed is not None and real.is_relative_to(self._closed):
            return False
        return any(
            real.is_relative_to(root) and STATE_FOLDER not in real.relative_to(root).parts for root in self._roots
        )


class Bucket:
    """A path of an object store, through fsspec. An object is copied to a nameless local file when it is opened."""

    def __init__(self, uri: str) -> None:
        """Take a URI of one of STORES; raises `ConfigError` for another, or where its library is not installed."""
        scheme = uri.partition("://")[0]
        if scheme not in STORES or "::" in uri:
            raise ConfigError(f"files cannot be read from {uri}", fix=f"use one of {', '.join(STORES)}, or bind it")
        import fsspec

        self.name = uri
        self.heard = 0.0
        try:
            self._store, self._root = fsspec.core.url_to_fs(uri, use_listings_cache=False)
        except ImportError as error:
            raise ConfigError(
                f"reading {scheme}:// needs {error.name or 'a library that is not installed'}",
                at=uri,
                fix=f"pip install '{STORES[scheme]}', or bind the location to a folder",
            ) from error
        self._root = self._root.rstrip("/")

    def listing(self) -> Iterator[Found]:
        """Yield every object below the path; they appear whole."""
        try:
            with self._mapped(self.name):
                self._store.invalidate_cache()
                objects = self._store.find(self._root, detail=True)
        except FileNotFoundError as error:
            raise InputError(
                "the bucket or path does not exist", at=self.name, fix="make it, or see `location:` of the source"
            ) from error
        for path, info in objects.items():
            inside = path.removeprefix(self._root).lstrip("/")
            if not is_ignored(inside):
                yield Found(inside, int(info.get("size") or 0), _version(info), None)

    def open(self, found: Found) -> BinaryIO | None:
        """Copy an object, unless it is another one by now."""
        path = f"{self._root}/{found.path}"
        copy: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
        with self._mapped(f"{self.name.rstrip('/')}/{found.path}"):
            try:
                with self._store.open(path, "rb") as file:
                    while block := file.read(COPY_BYTES):
                        copy.write(block)
                        self.heard = time.monotonic()
                self._store.invalidate_cache()
                info = self._store.info(path)
            except FileNotFoundError:
                return None
        copy.seek(0)
        return copy if (_version(info), int(info.get("size") or 0)) == (found.version, found.size) else None

    def is_same(self, found: Found, file: BinaryIO) -> bool:  # noqa: ARG002 - a copy of our own does not change
        """Say yes: what was copied stays as it is."""
        return True

    @contextlib.contextmanager
    def _mapped(self, at: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except Exception as error:  # what a store's library raises is its own: each is the world's to heal
            refused = isinstance(error, PermissionError) or "Credential" in type(error).__name__
            what = "refuses" if refused else "does not answer"
            raise ExternalError(
                f"the store {what}: {type(error).__name__}: {error}"[:300].rstrip("."),
                at=at,
                fix="see the credentials, and their right to list and read" if refused else "see its address",
            ) from error


def _version(info: dict[str, object]) -> str:
    for key in ("etag", "ETag", "md5Hash", "generation", "content_md5", "mtime", "updated", "LastModified", "created"):
        if value := info.get(key):
            return str(value.timestamp() if isinstance(value, dt.datetime) else value)  # some say it both ways
    return ""


def _found(path: str, facts: os.stat_result) -> Found:
    # The time of change too: it tells of rights that were given, and of writers that put the other time back.
    version = f"{facts.st_mtime_ns}-{facts.st_ctime_ns}-{facts.st_ino}"
    return Found(path, facts.st_size, version, facts.st_mtime_ns / 1e9)


def _is_text(path: str) -> bool:
    return path == _text(path)


def _text(path: str) -> str:
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
