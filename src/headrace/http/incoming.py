"""A request as it comes in: whether all of it was read, and what that means for its connection."""

from __future__ import annotations

from typing import Any


class Incoming:
    """A request; who has read its body from `proto`, to the end, sets `is_read`."""

    __slots__ = ("_headers", "is_read", "proto")

    def __init__(self, headers: Any, proto: Any) -> None:
        self._headers = headers
        self.proto = proto
        self.is_read = False

    def closing(self) -> list[tuple[str, str]]:
        """Return what its answer says where some of the body may still come: that it is the connection's last.

        The server hangs up then, and says so only now and then: a client that was not told sends its next request into
        that, and cannot know what became of it.
        """
        length = self._headers.get("content-length")
        has_body = length not in {None, "0"} or self._headers.get("transfer-encoding") is not None
        return [("connection", "close")] if has_body and not self.is_read else []
