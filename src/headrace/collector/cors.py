"""Which web pages may send events: cross-origin requests, answered by the list of origins that are allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.http.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

ANY = "*"
METHODS = "POST, OPTIONS"
PREFLIGHT = [
    ("allow", METHODS),
    ("access-control-allow-methods", "POST"),
    (
        "access-control-allow-headers",
        "authorization, content-type, content-encoding, headrace-dataset, traceparent, x-request-id",
    ),
    ("access-control-max-age", "600"),
]
"""What a browser is told that asks what it may send."""


class Cors:
    """Refuses what a web page sends, unless its origin is allowed.

    A browser sends simple requests without asking first, to a collector on its own machine too: so the check is on the
    request itself, not only on what a page may read of the answer. A client that is no browser names no origin.
    """

    def __init__(self, allowed: Sequence[str]) -> None:
        self._allowed = frozenset(allowed)

    def check(self, origin: str) -> None:
        """Raise `Refused` (403) where pages of this origin may not send requests."""
        if not self._is_allowed(origin):
            raise Refused(
                403,
                "origin",
                f"pages of {origin[:200]} may not use this collector",
                at="header Origin",
                fix=f"the operator may allow it: `collector: {{allowed_origins: ['{origin[:200]}']}}` in headrace.yaml",
            )

    def headers(self, origin: str) -> list[tuple[str, str]]:
        """Return what lets a page of an allowed origin read the answer."""
        if not self._is_allowed(origin):
            return [("vary", "Origin")]
        return [
            ("access-control-allow-origin", origin),
            ("access-control-expose-headers", "x-request-id, traceparent, retry-after"),
            ("vary", "Origin"),
        ]

    def _is_allowed(self, origin: str) -> bool:
        return ANY in self._allowed or origin in self._allowed
