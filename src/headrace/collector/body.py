"""Reading a request's body: within its limits, and plain."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from headrace.collector.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.config.collector import CollectorSpec

STEP_BYTES = 64 << 10
MEMBERS = 1_000  # of a gzip body; each costs a decompressor
ENCODINGS = {"": "", "identity": "", "gzip": "gzip", "x-gzip": "gzip", "zstd": "zstd"}


def encoding_of(header: str | None) -> str:
    """Return how a body is compressed: gzip, zstd or nothing. Raises `Refused` (415)."""
    if not header:
        return ""
    encoding = ENCODINGS.get(header.strip().lower())
    if encoding is None:
        raise Refused(
            415,
            "content_encoding",
            f"a body compressed as {header.strip()!r} is not taken",
            at="header Content-Encoding",
            fix="compress it once, with gzip or zstd, or not at all",
            headers=(("accept-encoding", "gzip, zstd"),),
        )
    return encoding


def length_of(header: str | None, limits: CollectorSpec) -> int | None:
    """Return the length that a request says it has. Raises `Refused` (413) where that is past the limit."""
    if header is None or not (header.isascii() and header.isdigit()):
        return None
    length = int(header)
    if length > limits.max_body_bytes:
        raise body_too_large(limits, f"the body has {length:,} bytes")
    return length


def body_too_large(limits: CollectorSpec, what: str) -> Refused:
    """Return the refusal of a body that is past the limit."""
    return Refused(
        413,
        "body_too_large",
        f"{what}, and {limits.max_body_bytes:,} are taken",
        at="body",
        fix="send fewer events a request, or raise `collector: {max_body_bytes: …}` in headrace.yaml",
    )


async def read_body(proto: Any, limits: CollectorSpec) -> bytes:
    """Return the body of a request that does not say its length, and stop once it is past the limit."""
    parts: list[bytes] = []
    size = 0
    async for part in proto:
        size += len(part)
        if size > limits.max_body_bytes:
            raise body_too_large(limits, f"the body has more than {limits.max_body_bytes:,} bytes")
        parts.append(part)
    return b"".join(parts)


def plain(body: bytes, encoding: str, limits: CollectorSpec) -> bytes:
    """Return the body decompressed. Raises `Refused` where it is damaged, cut short, or larger than the limit."""
    if not encoding or not body:
        return body
    parts: list[bytes] = []
    left = limits.max_body_bytes
    try:
        # Whatever the body promises, no more than a step beyond the limit is ever unpacked.
        for part in _gunzipped(body) if encoding == "gzip" else _unpacked(body):
            parts.append(part)
            left -= len(part)
            if left < 0:
                raise _bomb(limits)
    except (OSError, zlib.error) as problem:
        raise Refused(
            400,
            "damaged_body",
            f"the {encoding} body is damaged or cut short: {problem}",
            at="body",
            fix=f"compress it again: Content-Encoding says {encoding}",
        ) from problem
    return b"".join(parts)


def _gunzipped(body: bytes) -> Iterator[bytes]:
    """Yield what gzip packed; not by Arrow's reader, which takes a body whose checksum is cut off for whole."""
    at = members = 0
    while at < len(body):
        members += 1
        if members > MEMBERS:
            raise OSError(f"it has more than {MEMBERS:,} members")
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            # In steps, since what is left of the input is copied whenever a member ends.
            given = member.unconsumed_tail
            if not given:
                given = body[at : at + STEP_BYTES]
                at += len(given)
                if not given:
                    raise OSError("it ends early")
            yield member.decompress(given, STEP_BYTES)
        at -= len(member.unused_data)


def _unpacked(body: bytes) -> Iterator[bytes]:
    import pyarrow as pa

    with pa.CompressedInputStream(pa.BufferReader(body), "zstd") as stream:
        while part := stream.read(STEP_BYTES):
            yield part


def _bomb(limits: CollectorSpec) -> Refused:
    return body_too_large(limits, f"the body has more than {limits.max_body_bytes:,} bytes, decompressed")
