"""What goes wrong at the front door, said so that a client's author can mend it: problem JSON, RFC 9457."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any


class Refused(Exception):  # noqa: N818 - an answer, not a failure of ours
    """A request that is not taken: which status, a stable word for why, what is wrong, where, and what to do."""

    def __init__(
        self,
        status: int,
        reason: str,
        what: str,
        *,
        at: str = "",
        fix: str = "",
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(what)
        self.status = status
        self.reason = reason
        self.what = what
        self.at = at
        self.fix = fix
        self.headers = headers

    def document(self, request_id: str) -> dict[str, Any]:
        """Return the body of the answer."""
        document = {
            "type": f"urn:headrace:problem:{self.reason}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.what,
            "reason": self.reason,
            "request_id": request_id,
        }
        if self.at:
            document["at"] = self.at
        if self.fix:
            document["fix"] = self.fix
        return document

    def body(self, request_id: str) -> bytes:
        """Return the body as bytes."""
        return json.dumps(self.document(request_id), ensure_ascii=False).encode("utf-8", "replace")


def retry_after(status: int, reason: str, what: str, *, secs: int = 1, fix: str = "") -> Refused:
    """Return the refusal of a request that may be sent again, as it is, a little later."""
    fix = fix or "send it again, as it is, after the seconds that Retry-After says"
    return Refused(status, reason, what, fix=fix, headers=(("retry-after", str(secs)),))


def method_not_allowed(method: str, allowed: str) -> Refused:
    """Return the refusal of a method that a path does not have."""
    return Refused(
        405,
        "method",
        f"{method} is not for this path",
        at="method",
        fix=f"use {allowed}",
        headers=(("allow", allowed),),
    )
