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
from headrace.contracts.versions import number_of
from headrace.errors import ConfigError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from headrace.config.source import Source
    from headrace.contracts.versions import Version

WIDTH = 4096  # lines are never folded


def deprecate(source: Source, version: str, until: dt.date | None, *, dry_run: bool) -> dict[str, Any]:
    """Write it into the source's file, and return the documented shape of `contract deprecate --json`.

    Raises `ConfigError` where there is no such version, or the file cannot be edited so that it says just that.
    """
    dataset, found = _version(source, version)
    file = f"connectors/{source.file.name}"
    if source.spec.ingestion.tables:
        table = said_of(source.spec, dataset).key[-1]
        said = f"`versions: {{{found.name}: {_flow(until)}}}`"
        raise ConfigError(
            f"{found.name} is of one of several tables, and this edits only what is said of a whole source",
            at=f"{file}:1",
            fix=f"write {said} at ingestion.tables[{table}]",
        )
    text = read_text(source.file, file)
    after = deprecated(text, source.raw, found.name, until, file)
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


def _version(source: Source, name: str) -> tuple[str, Version]:
    for dataset in source.datasets:
        for version in dataset.versions:
            if version.name == name or version.number == number_of(name):
                return dataset.name, version
    names = [version.name for dataset in source.datasets for version in dataset.versions]
    raise ConfigError(
        f"no version {name} of {source.id}", at=f"connectors/{source.file.name}", fix=did_you_mean(name, names)
    )


def deprecated(text: str, raw: Mapping[str, Any], version: str, until: dt.date | None, file: str) -> str:
    """Return the text of a source's file in which `schema.versions` says that a version is deprecated.

    `raw` is the file's value. Raises `ConfigError` where the text cannot be edited so that it says just that.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap
    from ruamel.yaml.error import YAMLError

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = WIDTH
    yaml.indent(**_indentation(text))
    try:
        document = yaml.load(text)
    except YAMLError as error:
        raise ConfigError("the file cannot be edited", at=f"{file}:1", fix="edit it by hand") from error
    said = CommentedMap({"status": "deprecated"})
    if until is not None:
        said["until"] = until
    said.fa.set_flow_style()
    schema = document.get("schema")
    if schema is None:
        schema = CommentedMap()
        if is_flat(raw) and FLAT_SCHEMA in document:
            schema["file"] = document.pop(FLAT_SCHEMA)
        document["schema"] = schema
    at_the_end = _appended(text, f"{version}: {_flow(until)}") if schema.get("versions", ...) is ... else None
    if at_the_end is not None and _says(at_the_end, raw, version, until, file):
        return at_the_end
    versions = schema.setdefault("versions", CommentedMap())
    if versions is None:
        versions = schema["versions"] = CommentedMap()
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
    if not _says(after, raw, str(name), until, file):
        raise ConfigError(
            "the file cannot be edited without changing it elsewhere", at=f"{file}:1", fix="edit it by hand"
        )
    return after


def _appended(text: str, entry: str) -> str | None:
    """Return the text with `versions:` as the last key of a `schema:` in block style; None where there is none.

    It stands before the blank lines and comments that lead to what follows, to which an editor of YAML would glue it.
    """
    import yaml  # type: ignore[import-untyped]

    text = text if text.endswith("\n") else f"{text}\n"
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    block = next((value for key, value in root.value if key.value == "schema"), None)
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


def _says(text: str, raw: Mapping[str, Any], version: str, until: dt.date | None, file: str) -> bool:
    """Whether a text says what the file said, and of a version that it is deprecated."""
    try:
        value = parse_yaml(text, file).value
    except ConfigError:
        return False
    wanted = {"status": "deprecated"} | ({} if until is None else {"until": until.isoformat()})
    said = full_form(value)["schema"].get("versions") or {}
    return said.get(version) == wanted and _but_versions(value) == _but_versions(raw)


def _but_versions(raw: Mapping[str, Any]) -> dict[str, Any]:
    full = full_form(raw)
    return full | {"schema": {name: value for name, value in full["schema"].items() if name != "versions"}}


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
