"""Reading a request's body: within its limits, and plain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.http.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from headrace.config.collector import CollectorSpec

STEP_BYTES = 64 << 10
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


def short_body(what: str) -> Refused:
    """Return the refusal of a body that did not come whole."""
    return Refused(400, "short_body", what, at="body", fix="send all of it, as long as its head says, and no trailers")


async def read_body(proto: Any, limits: CollectorSpec, take: Callable[[int], None]) -> bytes:
    """Return the body of a request, read part by part; `take` is told of each, and the whole is bounded.

    What a client only says that it will send takes no room. Raises `Refused` where it is too large, or breaks off.
    """
    parts: list[bytes] = []
    size = empty = 0
    async for part in proto:
        size += len(part)
        empty += not part
        if size > limits.max_body_bytes:
            raise body_too_large(limits, f"the body has more than {limits.max_body_bytes:,} bytes")
        take(len(part))
        parts.append(part)
    if empty > 1:
        # granian ends every body with an empty part; one that breaks off, with one more. Trailers look the same to it.
        raise short_body("the body breaks off before its last chunk, or has trailers, which are not taken")
    return b"".join(parts)


def plain(body: bytes, encoding: str, limits: CollectorSpec) -> bytes:
    """Return the body decompressed. Raises `Refused` where it is damaged, cut short, or larger than the limit."""
    if not encoding or not body:
        return body
    parts: list[bytes] = []
    left = limits.max_body_bytes
    try:
        # Whatever the body promises, no more than a step beyond the limit is ever unpacked.
        for part in _unpacked(body, encoding):
            parts.append(part)
            left -= len(part)
            if left < 0:
                raise _bomb(limits)
    except OSError as problem:
        raise Refused(
            400,
            "damaged_body",
            f"the {encoding} body is damaged or cut short: {problem}",
            at="body",
            fix=f"compress it again: Content-Encoding says {encoding}",
        ) from problem
    return b"".join(parts)


def _unpacked(body: bytes, encoding: str) -> Iterator[bytes]:
    import pyarrow as pa

    with pa.CompressedInputStream(pa.BufferReader(body), encoding) as stream:
        while part := stream.read(STEP_BYTES):
            yield part


def _bomb(limits: CollectorSpec) -> Refused:
    return body_too_large(limits, f"the body has more than {limits.max_body_bytes:,} bytes, decompressed")
