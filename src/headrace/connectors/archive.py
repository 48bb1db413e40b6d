"""Zip archives: each member a file of its own, read where it lies; nothing is unpacked to a path."""

from __future__ import annotations

import zipfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from headrace.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.connectors.byte_stream import Bounds

MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
MAX_MEMBERS = 100_000
IGNORED = (".", "_")  # __MACOSX, among others
BOUNDED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""How members may be packed: for others, zipfile decompresses whatever it read at once, however much comes out."""
_KINDS = {zipfile.ZIP_BZIP2: "bzip2", zipfile.ZIP_LZMA: "lzma", 93: "zstd", 95: "xz"}


class Member(NamedTuple):
    """One file of an archive; `path` is its path within."""

    path: str
    file: BinaryIO


def members(file: BinaryIO, name: str, bounds: Bounds) -> Iterator[Member]:
    """Yield the files of an archive in its own order; each is closed when the next is asked for.

    Folders, and members whose path has a part that starts with `.` or `_`, are no files. Raises `InputError` where the
    archive is damaged, encrypted, packed in a way that no bound holds for, or unfolds beyond its bounds, the last two
    before its first member.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            wanted = [info for info in archive.infolist() if not info.is_dir() and not _ignored(info.filename)]
            _hold(wanted, name, bounds)
            for info in wanted:
                if info.flag_bits & 1:
                    raise InputError("the archive is encrypted", at=name, fix="deliver it without a password")
                with archive.open(info) as member:
                    yield Member(info.filename, member)  # type: ignore[arg-type]
    except (zipfile.BadZipFile, EOFError, NotImplementedError, zipfile.LargeZipFile) as error:
        raise InputError(
            f"the archive cannot be read: {error or 'it ends early'}", at=name, fix="fetch it again"
        ) from error


def _ignored(path: str) -> bool:
    return any(part.startswith(IGNORED) for part in PurePosixPath(path).parts)


def _hold(wanted: list[zipfile.ZipInfo], name: str, bounds: Bounds) -> None:
    for info in wanted:
        if info.compress_type not in BOUNDED:
            kind = _KINDS.get(info.compress_type, f"method {info.compress_type}")
            raise InputError(
                f"the member is packed as {kind}, and only deflated and stored ones are taken",
                at=f"{name}/{info.filename}",
                fix="make the archive anew with deflate, as zip does where it is told nothing else",
            )
    # Of these, zipfile never unpacks more of a member than its directory says, and then checks its checksum.
    size, packed = sum(info.file_size for info in wanted), sum(info.compress_size for info in wanted)
    if len(wanted) > MAX_MEMBERS:
        raise InputError(f"the archive has more than {MAX_MEMBERS:,} files", at=name, fix="deliver several archives")
    bounds.hold(size, packed, name, "archive")
