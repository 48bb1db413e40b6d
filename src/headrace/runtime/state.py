"""The folder of an environment's embedded state, and the version of its format."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from headrace.disk import disk_error, make_folder, sync
from headrace.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = "1"


def open_state(state: Path) -> Path:
    """Return the folder, made and marked where it is new; several processes may open it at once.

    Raises `ConfigError` where another version of Headrace wrote it in a format that this one does not know.
    """
    mark = state / "format"
    if not mark.exists():
        try:
            make_folder(state)
            written = state / f"format.{os.getpid()}"  # renamed when whole: another process may be reading
            written.write_text(FORMAT + "\n", encoding="ascii")
            sync(written)
            written.replace(mark)
            sync(state)
        except OSError as problem:
            raise disk_error(problem, str(mark)) from problem
    found = mark.read_text(encoding="ascii").strip()
    if found != FORMAT:
        raise ConfigError(
            f"this state has format {found}, and this headrace knows format {FORMAT}",
            at=str(mark),
            fix="use the headrace that wrote it, or work with another --env",
        )
    return state
