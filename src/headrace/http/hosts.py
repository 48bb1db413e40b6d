"""Which names of a server are those of this machine alone."""

from __future__ import annotations

import re

_LOCAL = re.compile(r"(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?", re.IGNORECASE)


def is_local(host: str) -> bool:
    """Return whether a request's Host header names this machine, as a page of another site never does."""
    return _LOCAL.fullmatch(host) is not None
