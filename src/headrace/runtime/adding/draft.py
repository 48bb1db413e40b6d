"""The text of a new source's files: what a person would write, with the reason for each guess beside it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.contracts.inference.cells import Dialect
    from headrace.contracts.inference.infer import Guess

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_RESERVED = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
_WIDTH = 100


def source_text(
    source: str,
    came_from: str,
    *,
    message_format: str,
    validation: str,
    event_time: Guess | None = None,
    zone_note: str = "",
    key: Guess | None = None,
    more_of_the_key: Sequence[str] = (),
    guessed: bool = True,
    version_by: Guess | None = None,
    dialect: Dialect | None = None,
    owner: str | None = None,
    editor: bool = False,
) -> str:
    """Return the text of `connectors/<source>.yaml`; `guessed`: key and event time are so, and not known."""
    guess = "A guess: " if guessed else ""
    lines = ["# yaml-language-server: $schema=source.schema.json"] if editor else []
    lines += [f"# {each}" for each in _wrapped(f"Added from {_writable(came_from)}.")]
    lines += [
        f"source_id: {source}",
        *([f"owner: {_quoted(owner)}"] if owner else []),
        "",
        "ingestion:",
        "  pattern: event_streaming",
        f"  message_format: {message_format}",
    ]
    trim = dialect is not None and dialect.trim
    words = ("null_values", "true_values", "false_values")
    said = {name: values for name in words if dialect and (values := getattr(dialect, name))}
    if said or trim:
        lines.append("  csv:")
        if trim:
            lines += [
                "    # Blanks around cells are cut: without that, numbers and times would be texts.",
                "    trim: true",
            ]
        if "null_values" in said:
            lines.append("    # Cells that mean that there is no value, in every column.")
        lines += [f"    {name}: [{', '.join(map(_quoted, values))}]" for name, values in said.items()]
    lines += ["", "schema:", f"  file: schemas/{source}.json"]
    if validation == "lenient":
        lines.append(
            "  # Fields that the sample did not have are kept in _extra; strict: events with them are quarantined."
        )
    lines += [f"  validation: {validation}", ""]
    if event_time:
        lines += [f"# {each}" for each in _wrapped(f"{guess}{event_time.why}.{_others(event_time)}")]
        if zone_note:
            lines.append(f"# {zone_note}")
        lines.append(f"event_time: {_name(event_time.field)}")
    else:
        lines.append("# No event_time is known, so an event happens when it arrives. To say it: `event_time: <field>`.")
    if key:
        lines += ["", "processing:", "  bronze_to_silver:"]
        lines += [f"    # {each}" for each in _wrapped(f"{guess}{key.why}.{_others(key)}")]
        lines += ["    - deduplication:", f"        key: [{', '.join(map(_name, (key.field, *more_of_the_key)))}]"]
        if version_by:
            lines.append(f"        version_by: {_name(version_by.field)}")
    else:
        lines += [
            "",
            "# No key is known, so an event that is sent twice counts twice. To say it:",
        ]
        lines += ["# processing:", "#   bronze_to_silver:", "#     - deduplication: {key: [...]}"]
    return "\n".join(lines) + "\n"


def schema_text(schema: Mapping[str, Any]) -> str:
    """Return the text of `schemas/<source>.json`; the same schema is the same bytes."""
    return _indented(schema, 0) + "\n"


def _indented(value: Any, depth: int) -> str:
    """Return JSON as people write it: what is short on one line."""
    flat = json.dumps(value, ensure_ascii=False)
    names = isinstance(value, dict) and (
        "properties" in value or any(isinstance(each, dict) for each in value.values())
    )
    if not isinstance(value, dict | list) or not value or (len(flat) + 2 * depth <= _WIDTH and not names):
        return _one_line(value)
    pad, end = "  " * (depth + 1), "  " * depth
    if isinstance(value, list):
        return "[\n" + ",\n".join(pad + _indented(each, depth + 1) for each in value) + f"\n{end}]"
    members = (
        f"{pad}{json.dumps(name, ensure_ascii=False)}: {_indented(each, depth + 1)}" for name, each in value.items()
    )
    return "{\n" + ",\n".join(members) + f"\n{end}}}"


def _one_line(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return f"{{ {text[1:-1]} }}" if isinstance(value, dict) and value else text


def _writable(name: str) -> str:
    """Return a file's name as it can stand in a file: one that is not UTF-8 holds halves of surrogate pairs."""
    return name.encode("utf-8", "backslashreplace").decode()


def _others(guess: Guess) -> str:
    return f" It could be {', '.join(guess.others)}." if guess.others else ""


def _wrapped(text: str) -> Sequence[str]:
    import textwrap

    return textwrap.wrap(" ".join(text.split()), _WIDTH, break_long_words=False)


def _name(text: str) -> str:
    return text if _PLAIN.fullmatch(text) and text.lower() not in _RESERVED else _quoted(text)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
