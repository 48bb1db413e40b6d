"""One table names every bus; its library is imported when it is opened."""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import TYPE_CHECKING, Any

from headrace.errors import ConfigError

if TYPE_CHECKING:
    from headrace.bus.base import Bus

BUSES = {  # kind -> (target, what to install)
    "memory": ("headrace.bus.memory:MemoryBus", "headrace"),
    "sqlite": ("headrace.bus.sqlite:SqliteBus", "headrace"),
}


def open_bus(kind: str, **options: Any) -> Bus:
    """Return a bus of this kind, made with its own options; `ConfigError` for an unknown kind or a missing extra."""
    if kind not in BUSES:
        near = difflib.get_close_matches(kind, BUSES, 1)
        fix = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(BUSES)}"
        raise ConfigError(f"no bus named {kind!r}", fix=fix)
    target, install = BUSES[kind]
    module, _, name = target.partition(":")
    try:
        bus: Bus = getattr(import_module(module), name)(**options)
    except ModuleNotFoundError as error:
        raise ConfigError(f"the bus {kind!r} needs {error.name}", fix=f"pip install '{install}'") from error
    return bus
