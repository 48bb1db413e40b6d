"""Where a new source comes from: a sample or a schema, a file or a URL; and the addition that it makes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from headrace.config.documents import is_url, loader, parsed, proto_imports, text_at
from headrace.config.files import MAX_FILE_BYTES
from headrace.connectors.byte_stream import COMPRESSIONS
from headrace.connectors.files import FORMATS, format_of
from headrace.contracts.formats import known
from headrace.contracts.inference.infer import Guess
from headrace.errors import ContractError, InputError
from headrace.runtime.adding.add import Addition, addition, places
from headrace.runtime.adding.draft import schema_text, source_text
from headrace.runtime.adding.proof import drafted
from headrace.runtime.adding.sample import Sample

if TYPE_CHECKING:
    import datetime as dt

    from headrace.contracts.formats.known import Read

_LOOK_BYTES = 64 << 10


def added(
    root: Path, source: str, origin: str, form: str | None, *,
    rows: int, fetch: bool, environment: str | None, now: dt.datetime,
) -> Addition:  # fmt: skip
    """Return the source that a sample or a schema makes; `origin` is a path or a URL, with `#Name` or without.

    Nothing is fetched unless `fetch` says so. Raises `UserError` for what cannot be used, with what to type.
    """
    place, choice = _parted(origin)
    try:
        read = _schema(place, choice, form, fetch=fetch)
        if read is not None:
            return _of_schema(root, source, place, read, environment)
    except RecursionError as error:
        raise ContractError(
            "the schema is nested too deep", at=place, fix="flatten it, or choose a part of it"
        ) from error
    except UnicodeEncodeError as error:
        raise ContractError(
            "the schema holds half of a surrogate pair, which is no text", at=place, fix="write the character whole"
        ) from error
    if is_url(place):
        raise InputError("samples are read from files", at=place, fix="download it, and give the file")
    sample = Sample(Path(place), form, rows)
    found = addition(root, source, sample, environment, now)
    return replace(found, form=sample.kind, read=sample.read, more=sample.more, unreadable=dict(sample.unreadable))


def _parted(origin: str) -> tuple[str, str | None]:
    if "#" not in origin or (not is_url(origin) and Path(origin).exists()):
        return origin, None
    place, _, choice = origin.rpartition("#")
    return place, choice or None


def _schema(place: str, choice: str | None, form: str | None, *, fetch: bool) -> Read | None:
    """Return the schema that a file holds; None where it is a sample."""
    if form is not None and form.lower().removeprefix(".") in {*FORMATS, "jsonl"}:
        return None
    if form is not None and form not in known.FORMS:
        names = (*FORMATS, *known.FORMS)
        raise InputError(f"there is no form {form!r}", at="--format", fix=f"use one of {', '.join(names)}")
    suffix = _suffix(place)
    samples = {each for suffixes in FORMATS.values() for each in suffixes} - {".json"}
    if form is None and suffix in samples and not is_url(place):
        if choice is not None:
            raise InputError("a sample has no parts to choose from", at=place, fix="leave the # out")
        return None
    # The files of an Iglu repository, such as 1-0-0, have no suffix: what is in them tells.
    untold = form is None and suffix not in known.SUFFIXES and not is_url(place)
    if untold and not _may_be_schema(place):
        return None
    text = text_at(place, fetch=fetch)
    if form == "protobuf" or (form is None and suffix == ".proto"):
        return known.read_protobuf(text, choice, place, proto_imports(text, place, fetch=fetch))
    document = _document(text, place, untold=untold)
    meant = form or known.SUFFIXES.get(suffix) or known.form_of(document)
    if meant is None and untold:
        return None
    return known.read_document(document, meant, choice, place, loader(place, fetch=fetch))


def _document(text: str, place: str, *, untold: bool) -> Any:
    try:
        return parsed(text, place)
    except InputError:
        if untold:
            return None  # several documents, or broken ones: a sample, and its reader says what is wrong with it
        raise


def _suffix(place: str) -> str:
    suffixes = [each.lower() for each in PurePosixPath(urlsplit(place).path if is_url(place) else place).suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _may_be_schema(place: str) -> bool:
    """Say whether a file whose name does not tell can be a schema: it starts with an object that has its words."""
    from headrace.connectors.byte_stream import ByteStream

    if not Path(place).is_file():
        format_of(Path(place))
        return True  # what opens it says that it is not there
    first = next(iter(ByteStream(Path(place)).blocks()), b"")[:_LOOK_BYTES]
    words = (b'"$schema"', b'"openapi"', b'"swagger"', b'"asyncapi"', b'"properties"', b'"fields"', b'"DataContract"',
             b'"$defs"', b'"definitions"', b'"$id"')  # fmt: skip
    return first.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") and any(word in first for word in words)


def _of_schema(root: Path, source: str, place: str, read: Read, environment: str | None) -> Addition:
    connector, schema_file, _ = places(source)
    found = read.found
    schema = found.schema
    text = schema_text(schema)
    if len(text.encode()) > MAX_FILE_BYTES:
        raise ContractError(
            f"the schema has {len(text.encode()):,} bytes, and a contract at most {MAX_FILE_BYTES:,}",
            at=place,
            fix=_parts(schema, place),
        )
    properties = schema.get("properties", {})
    keys = found.key if all(each in properties for each in found.key) else ()
    key = Guess(keys[0], f"{read.form} says that it is the key") if keys else None
    time = Guess(found.event_time, f"{read.form} says that it is the event time") if found.event_time else None
    notes = list(found.notes)
    name = place.rpartition("/")[2]
    times = _event_times(schema)
    if times and time is None:
        notes.append(f"event time: none is taken without rows to look at; it could be {', '.join(times[:4])}")
    files = {
        connector: source_text(
            source, f"{name} ({read.form})", message_format="json", validation="strict", event_time=time, key=key,
            more_of_the_key=keys[1:], owner=found.owner, guessed=False,
            editor=(root / "connectors/source.schema.json").exists(),
        ),
        schema_file: text,
    }  # fmt: skip
    made = drafted(root, source, files, environment)
    if not made.datasets or not made.datasets[0].contract.columns:
        raise ContractError("the schema names no fields of its own, so silver would have no columns", at=place,
                            fix=_parts(schema, place))  # fmt: skip
    columns = len(made.datasets[0].contract.columns)
    notes.insert(0, f"{source}: {read.form}, {columns} columns; {made.datasets[0].contract.version} is its version")
    return Addition(source, files, notes=tuple(notes), form=read.form, said=(key if len(keys) == 1 else None, time))


def _event_times(schema: dict[str, Any]) -> list[str]:
    required = schema.get("required", ())
    return [name for name, part in schema.get("properties", {}).items()
            if name in required and isinstance(part, dict) and part.get("format") == "date-time"]  # fmt: skip


def _parts(schema: dict[str, Any], place: str) -> str:
    names = [name for word in ("$defs", "definitions") for name in schema.get(word, {})]
    if not names:
        return "give a schema of type object with properties"
    some = ", ".join(names[:6]) + (", …" if len(names) > 6 else "")
    return f"choose one of its definitions: --from {json.dumps(f'{place}#{names[0]}')} (there are {some})"
