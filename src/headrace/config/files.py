"""Reading a project's files: found, bounded, and every value knows its line.

YAML 1.2 core types only, so `on:` and `no` are text and nothing is ever constructed. Size, nesting and the expansion of
aliases are bounded while the events of the parser stream by, before anything is built.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PROJECT_FILE = "headrace.yaml"
MAX_FILE_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_VALUES = 50_000
"""How many values a file may hold once its aliases are expanded."""

Key = tuple["str | int", ...]
"""Where a value stands in its file: the keys and indexes that lead to it."""

_INT = re.compile(r"[-+]?\d{1,400}")
_HEX_OR_OCTAL = re.compile(r"0x[0-9a-fA-F]{1,64}|0o[0-7]{1,64}")
_FLOAT = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?")
_WORDS: dict[str, object] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf"), float("inf")),
    "-.inf": float("-inf"),
    ".nan": float("nan"),
    ".NaN": float("nan"),
}
_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq")}


@dataclass(frozen=True)
class Document:
    """A file's value, and the line of each of its keys and items."""

    file: str
    value: Any
    lines: Mapping[Key, int]

    def line(self, key: Key) -> int:
        """Return the line of a key, or of the nearest one that encloses it."""
        while key and key not in self.lines:
            key = key[:-1]
        return self.lines.get(key, 1)

    def has(self, key: Key) -> bool:
        """Whether the file itself says something at this key."""
        return key in self.lines


def find_root(start: Path | None = None) -> Path:
    """Return the folder of headrace.yaml: `start` itself where it is given, else the nearest at or above the cwd."""
    if start is not None:
        if not (start / PROJECT_FILE).is_file():
            raise ConfigError(f"no {PROJECT_FILE} in {start}", at=str(start), fix="headrace init NAME starts a project")
        return start.resolve()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / PROJECT_FILE).is_file():
            return folder
    raise ConfigError(
        f"no {PROJECT_FILE} here or in any folder above",
        at=str(here),
        fix="cd into a project, name one with --project DIR, or start one: headrace init NAME",
    )


def inside(path: Path, roots: tuple[Path, ...]) -> bool:
    """Whether a path, its symlinks followed, lies in one of the folders; one whose links go in circles lies nowhere."""
    try:
        real = path.resolve()
    except RuntimeError:
        return False
    return any(real.is_relative_to(root.resolve()) for root in roots)


def read_text(path: Path, file: str, smaller: str = "split it") -> str:
    """Return a file's text. Raises ConfigError where it cannot be read, is not UTF-8, or is to be made `smaller`."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", at=f"{file}:1", fix="check its rights") from error
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"the file is larger than {MAX_FILE_BYTES:,} bytes", at=f"{file}:1", fix=smaller)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"not UTF-8: byte 0x{data[error.start]:02x} at position {error.start}",
            at=f"{file}:{line}",
            fix="save the file as UTF-8",
        ) from error


def read_yaml(path: Path, file: str) -> Document:
    """Return a YAML file's one document. Raises ConfigError at the line that is wrong."""
    return parse_yaml(read_text(path, file), file)


def parse_yaml(text: str, file: str) -> Document:
    """Return the document of a YAML text; `file` is what errors and the document call it."""
    import yaml  # type: ignore[import-untyped]

    # The C parser takes a tenth of the time; it is in every wheel, and a build without it has the other.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        root = _Composer(file, yaml.parse(text, Loader=loader)).compose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = min(mark.line, text.rstrip().count("\n")) + 1 if mark is not None else 1
        problem = error.problem or "it cannot be parsed"
        if "'\\t'" in problem or _starts_with_tab(text, line):
            raise ConfigError("a tab indents this line", at=f"{file}:{line}", fix="indent with spaces") from error
        raise ConfigError(
            f"not valid YAML: {problem}", at=f"{file}:{line}", fix="check quotes, colons and indentation"
        ) from error
    except yaml.YAMLError as error:  # a character that YAML does not allow at all; it has a position instead of a mark
        line = text.count("\n", 0, getattr(error, "position", 0) or 0) + 1
        raise ConfigError(
            "not valid YAML: a control character", at=f"{file}:{line}", fix="remove it, or write it as an escape"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError("not valid YAML", at=f"{file}:1", fix="check the file's first lines") from error
    if root is None:
        raise ConfigError("the file is empty", at=f"{file}:1", fix="write it, or remove it")
    lines: dict[Key, int] = {}
    return Document(file, _Builder(file, lines).build(root, (), 0), lines)


def _starts_with_tab(text: str, line: int) -> bool:
    rows = text.split("\n")
    return 0 < line <= len(rows) and "\t" in rows[line - 1][: len(rows[line - 1]) - len(rows[line - 1].lstrip())]


@dataclass(slots=True)
class _Node:
    """A value before its aliases are expanded: a scalar's value, a list of nodes, or (key, line, node) of a mapping."""

    kind: str
    line: int
    value: Any = None
    items: list[Any] = field(default_factory=list)


class _Composer:
    """Turns the parser's events into nodes, one pass, refusing what is too deep as soon as it is seen."""

    def __init__(self, file: str, events: Iterator[Any]) -> None:
        self._file = file
        self._events = events
        self._anchors: dict[str, _Node] = {}

    def compose(self) -> _Node | None:
        root: _Node | None = None
        documents = 0
        for event in self._events:
            kind = type(event).__name__
            if kind == "DocumentStartEvent":
                documents += 1
                if documents > 1:
                    raise self._wrong("a second document in one file", event, "keep one document a file")
            elif kind not in {"StreamStartEvent", "StreamEndEvent", "DocumentEndEvent"}:
                root = self._node(event, 0)
        blank = root is not None and root.kind == "scalar" and root.value is None
        return None if blank else root

    def _node(self, event: Any, depth: int) -> _Node:
        if depth > MAX_DEPTH:
            raise self._wrong(f"nested deeper than {MAX_DEPTH} levels", event, "flatten it")
        kind = type(event).__name__
        line = event.start_mark.line + 1
        if kind == "AliasEvent":
            if event.anchor not in self._anchors:
                raise self._wrong(f"the alias *{event.anchor} names no anchor above", event, "define it first")
            return self._anchors[event.anchor]
        tag = None if event.tag is None else str(event.tag)
        if tag not in {None, "!"} and tag not in _TAGS:
            raise self._wrong(f"the tag {tag} is not allowed", event, "write the plain value")
        if kind == "ScalarEvent":
            node = _Node("scalar", line, _scalar(event, tag))
        elif kind == "SequenceStartEvent":
            node = _Node("sequence", line)
            while type(item := next(self._events)).__name__ != "SequenceEndEvent":
                node.items.append(self._node(item, depth + 1))
        else:
            node = _Node("mapping", line)
            self._mapping(node, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _mapping(self, node: _Node, depth: int) -> None:
        seen: dict[str, int] = {}
        while type(key := next(self._events)).__name__ != "MappingEndEvent":
            if type(key).__name__ != "ScalarEvent":
                raise self._wrong("a key must be plain text", key, "write `key: value`")
            name, line = str(key.value), key.start_mark.line + 1
            if name in seen:
                raise self._wrong(f"the key '{name}' is here twice, first on line {seen[name]}", key, "keep one")
            seen[name] = line
            node.items.append((name, line, self._node(next(self._events), depth + 1)))

    def _wrong(self, message: str, event: Any, fix: str) -> ConfigError:
        return ConfigError(message, at=f"{self._file}:{event.start_mark.line + 1}", fix=fix)


class _Builder:
    """Turns nodes into plain values, aliases and `<<` expanded, counting as it goes."""

    def __init__(self, file: str, lines: dict[Key, int]) -> None:
        self._file = file
        self._lines = lines
        self._values = 0

    def build(self, node: _Node, key: Key, depth: int) -> Any:
        self._values += 1
        if self._values > MAX_VALUES:
            raise self._wrong(f"more than {MAX_VALUES:,} values once its aliases are expanded", node)
        if depth > MAX_DEPTH:
            raise self._wrong(f"nested deeper than {MAX_DEPTH} levels once its aliases are expanded", node)
        self._lines.setdefault(key, node.line)
        if node.kind == "scalar":
            return node.value
        if node.kind == "sequence":
            return [self.build(item, (*key, index), depth + 1) for index, item in enumerate(node.items)]
        value: dict[str, Any] = {}
        for name, line, item in self._merged(node, depth):
            if name not in value:
                self._lines.setdefault((*key, name), line)
                value[name] = self.build(item, (*key, name), depth + 1)
        return value

    def _merged(self, node: _Node, depth: int) -> Iterator[tuple[str, int, _Node]]:
        if depth > MAX_DEPTH:
            raise self._wrong(f"nested deeper than {MAX_DEPTH} levels once its aliases are expanded", node)
        yield from (item for item in node.items if item[0] != "<<")
        for name, _, base in node.items:
            if name != "<<":
                continue
            for mapping in base.items if base.kind == "sequence" else [base]:
                if mapping.kind != "mapping":
                    raise self._wrong("`<<` merges mappings only", mapping)
                for item in self._merged(mapping, depth + 1):
                    self._values += 1
                    if self._values > MAX_VALUES:
                        raise self._wrong(f"more than {MAX_VALUES:,} values once its aliases are expanded", node)
                    yield item

    def _wrong(self, message: str, node: _Node) -> ConfigError:
        return ConfigError(message, at=f"{self._file}:{node.line}", fix="write fewer aliases")


def _scalar(event: Any, tag: str | None) -> object:
    text = str(event.value)
    if tag is not None:
        return text if tag in {"!", "tag:yaml.org,2002:str"} else _plain(text)
    # `style` is None or "" for a plain scalar; a quoted or block one is text, whatever it looks like.
    return text if event.style else _plain(text)


def _plain(text: str) -> object:
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _HEX_OR_OCTAL.fullmatch(text):
        return int(text, 0)
    return float(text) if _FLOAT.fullmatch(text) else text
