"""dbt's messages, without their noise, and with the place in the user's file where it can be found."""

from __future__ import annotations

import re
from typing import Any

_HEADER = re.compile(r"^(?:Runtime|Compilation|Database|Parsing|Dependency|Validation|Dbt \w+) Error(?: in .*)?$")
_FOOTERS = ("compiled code at ", "> in macro ", "> called by ", "called by ")
_PLACE = re.compile(r"\(([^()\s]+\.(?:sql|py|yml|yaml|csv|md))\)")
_LINE = re.compile(r"^\s*line (\d+)\s*$", re.MULTILINE)
_DUCKDB_LINE = re.compile(r"^\s*LINE \d+: (.*)$", re.MULTILINE)
_NODE = re.compile(r"'?\b(?:model|test|snapshot|seed)\.\w+\.([\w.]+)'?")


def without_noise(message: str, code: str = "") -> tuple[str, int | None]:
    """Return the message of a node's failure and, where it can be told, the line of its file.

    DuckDB counts lines of the compiled SQL; the line that it quotes is looked up in the file's own text.
    """
    lines = [line.strip() for line in message.splitlines()]
    kept: list[str] = []
    for line in lines:
        if _HEADER.match(line) or line.startswith(_FOOTERS) or line == "^":
            continue
        if not (line.startswith("LINE ") or re.fullmatch(r"line \d+", line)):
            kept.append(line)
    text = " ".join(line for line in kept if line)
    if found := _LINE.search(message):
        return text, int(found[1])
    quoted = _DUCKDB_LINE.search(message)
    return text, _line_of(quoted[1], code) if quoted else None


def project_failure(error: BaseException | None) -> dict[str, Any]:
    """Return a failure that stopped dbt before any model ran: a missing ref, a template that does not parse."""
    if error is None:
        return {"kind": "project", "name": "", "message": "dbt ended without a result", "file": "", "line": None}
    message = str(error)
    place = _PLACE.search(message)
    text, line = without_noise(message)
    text = _NODE.sub(r"\1", text)
    if place:
        text = text.replace(f" ({place[1]})", "")
    return {"kind": "project", "name": "", "message": text, "file": place[1] if place else "", "line": line}


def _line_of(quoted: str, code: str) -> int | None:
    wanted = quoted.strip().strip(".").strip()
    places = [number for number, line in enumerate(code.splitlines(), start=1) if wanted and wanted in line]
    return places[0] if len(places) == 1 else None
