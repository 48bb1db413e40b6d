"""The folder of an environment's embedded state, and the version of its format."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from headrace.disk import disk_error, make_folder, sync
from headrace.errors import ConfigError, LakeError
from headrace.sqlite_file import DOCTOR

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = "1"


def open_state(state: Path) -> Path:
    """Return the folder, made and marked where it is new; several processes may open it at once.

    Raises `ConfigError` where another version of Headrace wrote it in a format that this one does not know.
    """
    mark = format_mark(state)
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
    if wrong := unreadable_format(mark):
        raise LakeError(f"the mark of the state's format is damaged: {wrong}", at=str(mark), fix=f"{DOCTOR} --repair")
    found = mark.read_text(encoding="ascii").strip()
    if found != FORMAT:
        raise ConfigError(
            f"this state has format {found}, and this headrace knows format {FORMAT}",
            at=str(mark),
            fix="use the headrace that wrote it, or work with another --env",
        )
    return state


def format_mark(state: Path) -> Path:
    """Return the file that says in which format a state is."""
    return state / "format"


def unreadable_format(mark: Path) -> str:
    """Return why a mark tells no format at all; nothing where it tells one, be it one that we do not know."""
    try:
        found = mark.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as problem:
        return f"{type(problem).__name__}: {problem}"
    return "" if re.fullmatch(r"[0-9][0-9A-Za-z.]{0,15}", found) else f"it says {found[:20]!r}"
