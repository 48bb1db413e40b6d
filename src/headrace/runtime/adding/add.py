"""From a sample to the files of a source: what would be written, proven, as a value; and writing it, all or nothing."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headrace.config.files import MAX_FILE_BYTES, inside
from headrace.config.json_lines import lines_of
from headrace.contracts.inference.infer import FIELDS
from headrace.contracts.refs import escaped
from headrace.errors import InputError, UserError
from headrace.runtime.adding.cases import three_cases
from headrace.runtime.adding.draft import schema_text, source_text
from headrace.runtime.adding.proof import Proof, drafted, prove
from headrace.runtime.contract_cases import cases_file, cases_text
from headrace.words import IDENTIFIER

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from headrace.contracts.inference.infer import Guess, Inferred
    from headrace.runtime.adding.sample import Sample


@dataclass(frozen=True)
class Addition:
    """A source that is ready to be written: its files by their paths in the project, and what speaks for it.

    `form` is what it came from. Of a sample, `read` rows were looked at, and there are `more` of them; `unreadable`
    counts those that decode would refuse. `said` has the key, where it is one field, and the event time of a schema.
    """

    source: str
    files: Mapping[str, str]
    inferred: Inferred | None = None
    proof: Proof | None = None
    cases: int = 0
    notes: tuple[str, ...] = ()
    form: str = ""
    read: int = 0
    more: bool = False
    unreadable: Mapping[str, int] = field(default_factory=dict)
    said: tuple[Guess | None, Guess | None] = (None, None)


def places(source: str) -> tuple[str, str, str]:
    """Return where the file, the schema and the cases of a source stand."""
    return f"connectors/{source}.yaml", f"schemas/{source}.json", cases_file(source)


def check_free(root: Path, source: str) -> None:
    """Raise `UserError` where a source cannot be added under this name."""
    if not IDENTIFIER.fullmatch(source):
        raise UserError(
            f"{source!r} cannot name a source",
            at="SOURCE",
            fix="a lower-case letter, then letters, digits and _, at most 63",
        )
    for file in (*places(source), f"connectors/{source}.yml"):
        path = root / file
        if path.exists() or path.is_symlink():
            raise UserError(
                f"{file} is there already, and nothing is overwritten",
                at=file,
                fix=f"add it under another name, or see what is there: headrace check; headrace test {source}",
            )
        if not inside(path.parent, (root,)):
            raise UserError(f"{file} would leave the project", at=file, fix="see where its folder leads")


def addition(root: Path, source: str, sample: Sample, environment: str | None, now: dt.datetime) -> Addition:
    """Return what a sample says of a source, held against every row of it that was looked at.

    Raises `InputError` for a sample that cannot be used, and `ConfigError` for a project that cannot take it.
    """
    inferred = sample.inferred(source)
    connector, schema, cases = places(source)
    text = schema_text(inferred.schema)
    if len(text.encode()) > MAX_FILE_BYTES:
        raise InputError(
            f"the schema of these events is larger than {MAX_FILE_BYTES:,} bytes",
            at=str(sample.path),
            fix="where names of fields are data, put them into one field as a map; else add a source for each kind",
        )
    files = {
        connector: source_text(
            source,
            f"{sample.path.name}: {sample.read:,} row{'' if sample.read == 1 else 's'}",
            message_format="csv" if sample.is_csv else "json",
            validation="lenient",
            event_time=inferred.event_time,
            zone_note=_zone_note(inferred, inferred.event_time.field) if inferred.event_time else "",
            key=inferred.key,
            version_by=inferred.version_by,
            dialect=inferred.dialect if sample.is_csv else None,
            editor=(root / "connectors/source.schema.json").exists(),
        ),
        schema: text,
    }
    made = drafted(root, source, files, environment)
    proof, stages = prove(made, sample.messages(), now)
    if not proof.kept:
        what, _ = proof.refused.most_common(1)[0]
        raise InputError(
            f"none of the {proof.rows:,} rows would pass: {what}, {proof.reasons[what]}",
            at=str(sample.path),
            fix="mend the events where they are written, or write the source by hand: docs/howto/add-a-source.md",
        )
    three = three_cases(proof.some, inferred.schema, stages, now)
    if three:
        files[cases] = cases_text(three)
    return Addition(source, files, inferred, proof, len(three), (*sample.notes, *_kept_as_text(inferred, schema, text)))


def _kept_as_text(inferred: Inferred, file: str, text: str) -> list[str]:
    """Return what to do where the sample has more fields than become columns."""
    if not inferred.too_many:
        return []
    first, others = inferred.too_many[0], len(inferred.too_many) - 1
    pointer = dict(_objects(inferred.schema, "", "#"))[first]
    line = lines_of(text, [pointer])[pointer]
    what = first if not others else f"{first} and {others:,} more field{'' if others == 1 else 's'}"
    return [
        f"a contract gets {FIELDS} fields from a sample, and what is deeper, within {what}, is JSON text: where you "
        f'need some of it as columns, write it at {file}:{line} beside "type", as "properties": '
        '{"name": {"type": "string"}}; once the source runs, headrace plan shows such a change and headrace apply '
        "makes it"
    ]


def _objects(schema: Any, path: str, pointer: str) -> Iterator[tuple[str, str]]:
    """Yield the path of each field of an inferred schema, as its evidence names it, and where its objects are said."""
    if not isinstance(schema, dict):
        return
    for name, below in schema.get("properties", {}).items():
        here, step = f"{path}.{name}" if path else name, escaped(name)
        part, deeper = below, f"{pointer}/properties/{step}"
        while isinstance(part.get("items"), dict):
            part, deeper = part["items"], f"{deeper}/items"
        yield here, deeper
        yield from _objects(below, here, f"{pointer}/properties/{step}")
    yield from _objects(schema.get("items"), f"{path}[]", f"{pointer}/items")
    yield from _objects(schema.get("additionalProperties"), f"{path}.*", f"{pointer}/additionalProperties")


def _zone_note(inferred: Inferred, name: str) -> str:
    part = inferred.schema["properties"].get(name, {})
    if part.get("x-type") == "datetime" and "pattern" not in part:
        return "Times with a zone are kept as UTC, and those without are read as UTC, so `timezone` is to stay out."
    if part.get("x-type") == "datetime" or part.get("format") == "date":
        return "It has no zone, and is read as UTC; `timezone: Europe/Berlin`, say, reads it as there."
    if part.get("type") == "string" and "format" not in part:
        return "Where it has no zone, it is read as UTC; `timezone: Europe/Berlin`, say, reads it as there."
    return ""


def write(root: Path, files: Mapping[str, str]) -> None:
    """Write new files: all of them, or none. Raises `UserError` where one is there already, or cannot be written."""
    written: list[Path] = []
    made: list[Path] = []
    at = root
    try:
        for file, text in files.items():
            at = root / file
            missing = [folder for folder in reversed(at.parents) if not folder.exists()]
            for folder in missing:
                folder.mkdir()
                made.append(folder)
            with at.open("x", encoding="utf-8", newline="\n") as stream:
                written.append(at)
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        for folder in reversed(made):
            with contextlib.suppress(OSError):
                folder.rmdir()
        if isinstance(error, FileExistsError):
            raise UserError("the file is there already", at=str(at), fix="add the source under another name") from error
        raise UserError(
            f"the source cannot be written: {error.strerror}", at=str(at), fix="check the folder's rights and space"
        ) from error
