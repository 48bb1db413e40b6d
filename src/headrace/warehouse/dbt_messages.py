"""dbt's messages, without their noise, and with the place in the user's file where it can be found."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

_HEADER = re.compile(r"^(?:Runtime|Compilation|Database|Parsing|Dependency|Validation|Dbt \w+) Error(?: in .*)?$")
_FOOTERS = ("compiled code at ", "> in macro ", "> called by ", "called by ")
_PLACE = re.compile(r"\(([^()\s]+\.(?:sql|py|yml|yaml|csv|md))\)")
_LINE = re.compile(r"^\s*line (\d+)\s*$", re.MULTILINE)
_DUCKDB_LINE = re.compile(r"\s*LINE \d+: (.*)")
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
    return text, _line_of(message, code)


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


def _line_of(message: str, code: str) -> int | None:
    """Return the one line of a file that holds what DuckDB quotes, or else the word that its caret points at."""
    lines = message.splitlines()
    for here, below in pairwise(lines):
        if not (found := _DUCKDB_LINE.match(here)):
            continue
        quoted = found[1].strip().strip(".").strip()
        word = re.match(r"\w*", here[below.find("^") :]) if "^" in below else None
        for wanted in (re.escape(quoted), rf"\b{word[0]}\b" if word and word[0] else ""):
            places = [n for n, line in enumerate(code.splitlines(), start=1) if wanted and re.search(wanted, line)]
            if len(places) == 1:
                return places[0]
    return None
