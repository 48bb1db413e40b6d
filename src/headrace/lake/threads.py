"""How many threads DuckDB has in each connection to the lake."""

from __future__ import annotations

import os

from headrace.errors import ConfigError

VARIABLE = "HEADRACE_DUCKDB_THREADS"
_USUAL = "2"


def threads() -> int:
    """Return what the variable says, else 2; with one, many small queries cost a third less, and one large is slower.

    Raises `ConfigError` where it is no number above 0.
    """
    said = os.environ.get(VARIABLE, _USUAL)
    if not said.isdecimal() or int(said) < 1:
        raise ConfigError(f"{said!r} is no number of threads", at=VARIABLE, fix=f"such as {_USUAL}, or leave it out")
    return int(said)
