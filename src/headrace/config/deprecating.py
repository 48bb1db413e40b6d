"""Editing a source's file to say that a version of its contract is deprecated; comments and order stay."""

from __future__ import annotations

import difflib
import io
import itertools
import os
from typing import TYPE_CHECKING, Any

from headrace.config.faults import did_you_mean
from headrace.config.files import parse_yaml, read_text
from headrace.config.said_versions import said_of
from headrace.config.source_file import FLAT_SCHEMA, full_form, is_flat
from headrace.config.validation import dotted
from headrace.contracts.versions import number_of
from headrace.errors import ConfigError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from headrace.config.files import Key
    from headrace.config.source import Source
    from headrace.contracts.versions import Version

WIDTH = 4096  # lines are never folded


def deprecate(
    source: Source, version: str, until: dt.date | None, *, table: str | None = None, dry_run: bool
) -> dict[str, Any]:
    """Write it into the source's file, and return the documented shape of `contract deprecate --json`.

    Raises `ConfigError` where there is no such version, where it cannot be told of which table it is, or the file
    cannot be edited so that it says just that.
    """
    dataset, found = _version(source, version, table)
    file = f"connectors/{source.file.name}"
    key = said_of(source.spec, dataset).key
    at = key[-1] if isinstance(key[-1], int) else None
    text = read_text(source.file, file)
    after = deprecated(text, source.raw, found.name, until, file, at)
    changed = (found.lifecycle, found.until) != ("deprecated", until)
    diff = difflib.unified_diff(text.splitlines(), after.splitlines(), file, file, n=1, lineterm="") if changed else ()
    if changed and not dry_run:
        beside = source.file.with_name(f".{source.file.name}.new")
        beside.write_text(after, encoding="utf-8")
        beside.chmod(source.file.stat().st_mode)
        os.replace(beside, source.file.resolve())  # noqa: PTH105 - a link to the file stays a link
    return {
        "source": source.id,
        "dataset": dataset,
        "version": found.name,
        "until": None if until is None else until.isoformat(),
        "file": file,
        "changed": changed,
        "diff": "\n".join(diff),
        "dry_run": dry_run,
    }


def _version(source: Source, name: str, table: str | None) -> tuple[str, Version]:
    datasets = source.datasets if table is None else (source.dataset(table),)
    found = [
        (dataset.name, version)
        for dataset in datasets
        for version in dataset.versions
        if version.name == name or version.number == number_of(name)
    ]
    if len(found) > 1:
        tables = ", ".join(each.removeprefix(f"{source.id}__") for each, _ in found)
        message = f"{len(found)} tables of {source.id} have a version {name}"
        raise ConfigError(message, at="--dataset", fix=f"one of: {tables}")
    if found:
        return found[0]
    names = sorted({version.name for dataset in datasets for version in dataset.versions})
    raise ConfigError(
        f"no version {name} of {source.id}", at=f"connectors/{source.file.name}", fix=did_you_mean(name, names)
    )


def deprecated(
    text: str, raw: Mapping[str, Any], version: str, until: dt.date | None, file: str, table: int | None = None
) -> str:
    """Return the text of a source's file in which `versions` says that a version is deprecated.

    `raw` is the file's value; the key stands in its `schema:`, or at one of its tables. Raises `ConfigError` where the
    text cannot be edited so that it says just that.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap
    from ruamel.yaml.error import YAMLError

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = WIDTH
    yaml.indent(**_indentation(text))
    tables = ("tables",) if is_flat(raw) else ("ingestion", "tables")
    path: Key = ("schema",) if table is None else (*tables, table)
    by_hand = f"write `versions: {{{version}: {_flow(until)}}}` at {dotted(path)}"
    try:
        document = yaml.load(text)
        section = _section(document, raw, path)
    except (YAMLError, LookupError, TypeError) as error:
        raise ConfigError("the file cannot be edited", at=f"{file}:1", fix=by_hand) from error
    at_the_end = _appended(text, path, f"{version}: {_flow(until)}") if section.get("versions", ...) is ... else None
    if at_the_end is not None and _says(at_the_end, raw, version, until, file, table):
        return at_the_end
    said = CommentedMap({"status": "deprecated"})
    if until is not None:
        said["until"] = until
    said.fa.set_flow_style()
    versions = section.setdefault("versions", CommentedMap())
    if versions is None:
        versions = section["versions"] = CommentedMap()
    name = next((name for name in versions if number_of(str(name)) == number_of(version)), version)
    had = versions.get(name)
    if isinstance(had, dict):
        had["status"] = "deprecated"
        had.pop("until", None)
        if until is not None:
            had["until"] = until
    else:
        versions[name] = said
    written = io.StringIO()
    yaml.dump(document, written)
    after = written.getvalue()
    if not _says(after, raw, str(name), until, file, table):
        raise ConfigError("the file cannot be edited without changing it elsewhere", at=f"{file}:1", fix=by_hand)
    return after


def _section(document: Any, raw: Mapping[str, Any], path: Key) -> Any:
    """Return the mapping that `versions` stands in, made where there is none. Raises `LookupError`, `TypeError`."""
    from ruamel.yaml.comments import CommentedMap

    if path == ("schema",):
        if document.get("schema") is None:
            document["schema"] = CommentedMap()
            if is_flat(raw) and FLAT_SCHEMA in document:
                document["schema"]["file"] = document.pop(FLAT_SCHEMA)
        return document["schema"]
    *above, last = path
    for part in above:
        document = document[part]
    if isinstance(document[last], str):  # a table by its name alone
        document[last] = CommentedMap({"name": document[last]})
        document[last].fa.set_flow_style()
    return document[last]


def _appended(text: str, path: Key, entry: str) -> str | None:
    """Return the text with `versions:` as the last key of a mapping in block style; None where there is none.

    It stands before the blank lines and comments that lead to what follows, to which an editor of YAML would glue it.
    """
    import yaml  # type: ignore[import-untyped]

    text = text if text.endswith("\n") else f"{text}\n"
    block = yaml.compose(text, Loader=yaml.SafeLoader)
    for part in path:
        if isinstance(block, yaml.MappingNode):
            block = next((value for key, value in block.value if key.value == part), None)
        else:
            block = block.value[part] if isinstance(block, yaml.SequenceNode) else None
    if not isinstance(block, yaml.MappingNode) or block.flow_style or not block.value:
        return None
    indent = block.start_mark.column
    lines = text.splitlines(keepends=True)
    end = min(len(lines), block.end_mark.line)
    while _leads_on(lines[end - 1], indent):
        end -= 1
    newline = "\r\n" if lines[end - 1].endswith("\r\n") else "\n"
    lines.insert(end, f"{' ' * indent}versions:{newline}{' ' * (indent + 2)}{entry}{newline}")
    return "".join(lines)


def _leads_on(line: str, indent: int) -> bool:
    bare = line.strip()
    return not bare or (bare.startswith("#") and len(line) - len(line.lstrip()) < indent)


def _flow(until: dt.date | None) -> str:
    return "{status: deprecated}" if until is None else f"{{status: deprecated, until: {until.isoformat()}}}"


def _says(text: str, raw: Mapping[str, Any], version: str, until: dt.date | None, file: str, table: int | None) -> bool:
    """Whether a text says what the file said, and of a version that it is deprecated."""
    try:
        value = parse_yaml(text, file).value
    except ConfigError:
        return False
    wanted = {"status": "deprecated"} | ({} if until is None else {"until": until.isoformat()})
    said, rest = _parted(value, table)
    return said.get(version) == wanted and rest == _parted(raw, table)[1]


def _parted(raw: Mapping[str, Any], table: int | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a file's value says of versions, of the schema or a table, and all else that it says."""
    full = full_form(raw)
    if table is None:
        rest = dict(full["schema"])
        versions = rest.pop("versions", None)
        return versions or {}, full | {"schema": rest}
    said: list[Any] = full["ingestion"]["tables"]
    tables = [dict[str, Any](name=each) if isinstance(each, str) else dict[str, Any](each) for each in said]
    versions = tables[table].pop("versions", None)
    return versions or {}, full | {"ingestion": full["ingestion"] | {"tables": tables}}


def _indentation(text: str) -> dict[str, int]:
    """Return how the file indents the items of its lists, so that lines that do not change stay as they are."""
    lines = text.splitlines()
    for above, line in itertools.pairwise(lines):
        item = len(line) - len(line.lstrip())
        key = len(above) - len(above.lstrip())
        if line.lstrip().startswith("- ") and above.rstrip().endswith(":") and not above.lstrip().startswith("- "):
            offset = item - key
            return {"mapping": 2, "sequence": offset + 2, "offset": offset}
    return {"mapping": 2, "sequence": 4, "offset": 2}
