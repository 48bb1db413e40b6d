"""Two schema files compared, whatever form they are of; no project is needed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.config.documents import is_url, loader, parsed, proto_imports, text_at
from headrace.config.json_lines import lines_of
from headrace.contracts.compatibility import OPEN, Change, ContentModel, compare
from headrace.contracts.compatibility.judgement import directions
from headrace.errors import ContractError, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

_AS_WRITTEN = frozenset({"jsonschema", "iglu", "fields"})
_ELSEWHERE = re.compile(r'"\$ref"\s*:\s*"[^#"]')
_CALLED = {"avsc": "Avro", "protobuf": "Protobuf"}


@dataclass(frozen=True)
class FileChanges:
    """What changed from one schema file to another; `breaking` is what the mode does not allow.

    `lines` has the line in the new file of each change, or of what is around it; None where what was compared is made
    of the file.
    """

    old: str
    new: str
    form: str
    mode: str
    changes: tuple[Change, ...]
    breaking: tuple[Change, ...]
    lines: tuple[int | None, ...]


@dataclass(frozen=True)
class _File:
    place: str
    choice: str | None
    form: str
    text: str
    schema: Any
    imports: Mapping[str, str] = field(default_factory=dict)


def changes_between(old: str, new: str, mode: str = "backward", *, model: ContentModel = OPEN) -> FileChanges:
    """Return what changed between two files: JSON Schema, Avro, Protobuf, or any form that `headrace add` reads.

    A name after `#` chooses a part: `api.yaml#Order`, `shop.proto#Order`. What a schema refers to is read from beside
    and below it, and never fetched.

    Raises:
        UserError: a file cannot be read, is no schema, or the two are not of one kind; `directions` knows no such mode.
    """
    backward, forward, _ = directions(mode)
    before, after = _read(old), _read(new)
    kinds = [_CALLED.get(each.form, "JSON Schema") for each in (before, after)]
    if kinds[0] != kinds[1]:
        raise InputError(
            f"{old} is {kinds[0]} and {new} is {kinds[1]}: nobody reads what is written as one with the other",
            at=new,
            fix="give two files of one kind",
        )
    try:
        changes = _compared(before, after, model)
    except ContractError as error:
        raise ContractError(error.message, at=error.at or f"{old}, {new}", fix=error.fix) from error
    except RecursionError as error:
        raise ContractError("they nest too deep to be compared", at=new, fix="flatten them") from error
    breaking = tuple(change for change in changes if change.breaks(backward=backward, forward=forward))
    return FileChanges(old, new, after.form, mode, changes, breaking, _lines(after, changes))


def _read(origin: str) -> _File:
    from headrace.contracts.formats import known

    place, choice = origin, None
    if "#" in origin and not Path(origin).exists():
        place, _, choice = origin.rpartition("#")
    if is_url(place):
        raise InputError("files are compared, and nothing is fetched", at=place, fix="download it, and give the file")
    text = text_at(place, fetch=False)
    suffixes = [each.lower() for each in Path(place).suffixes if each.lower() != ".gz"]
    meant = known.SUFFIXES.get(suffixes[-1] if suffixes else "") or None
    if meant == "protobuf":
        return _File(place, choice, meant, text, None, proto_imports(text, place, fetch=False))
    document = parsed(text, place)
    _refuse_others(document, place)
    form = meant or known.form_of(document) or ("jsonschema" if isinstance(document, dict | bool) else None)
    if form == "avsc":
        if choice is not None:
            raise InputError("an Avro schema is compared whole", at=place, fix=f"leave #{choice} out")
        return _File(place, None, form, text, document)
    if form in _AS_WRITTEN and not choice and (isinstance(document, bool) or not _ELSEWHERE.search(text)):
        return _File(place, None, form, text, document)
    read = known.read_document(document, form, choice, place, loader(place, fetch=False, instead=""))
    return _File(place, choice or "", read.form, text, read.found.schema)


def _refuse_others(document: Any, place: str) -> None:
    """Raise `InputError` for what is no schema, and would be compared as one that allows anything."""
    if not isinstance(document, dict):
        return
    if {"ingestion", "pattern"} & document.keys() and "source_id" in document:
        said = document.get("schema")
        file = said.get("file") if isinstance(said, dict) else document.get("schema_file")
        fix = f"give its schema: {file}" if isinstance(file, str) else f"headrace contract diff {document['source_id']}"
        raise InputError("this is the file of a source, not a schema", at=place, fix=fix)


def _compared(old: _File, new: _File, model: ContentModel) -> tuple[Change, ...]:
    if new.form == "avsc":
        from headrace.contracts.compatibility.avro import compare_avro

        return compare_avro(old.schema, new.schema)
    if new.form != "protobuf":
        return compare(old.schema, new.schema, model=model)
    from headrace.contracts.compatibility.protobuf import compare_protobuf

    return compare_protobuf(
        old.text, new.text, message=_message(old, new), imports=new.imports, old_imports=old.imports
    )


def _message(old: _File, new: _File) -> str | None:
    """Return the full name of the message that is chosen, the same in both."""
    from headrace.contracts.formats.form import chosen
    from headrace.contracts.formats.protobuf import parse

    names = {
        chosen(parse(each.text, at=each.place, imports=each.imports).messages, each.choice, "message")
        for each in (old, new)
        if each.choice
    }
    if len(names) > 1:
        one, other = sorted(names)
        raise InputError(f"{one} and {other} are two messages", at=new.place, fix="choose the same one in both")
    return next(iter(names), None)


def _lines(new: _File, changes: tuple[Change, ...]) -> tuple[int | None, ...]:
    if new.form == "protobuf":
        return tuple(_line(new, change.pointer) for change in changes)
    if new.choice is not None or new.text.lstrip()[:1] not in {"{", "["}:
        return (None,) * len(changes)
    # An Avro field that is gone has its place in the old file: in the new one, its record is what there is to look at.
    pointers = [
        each.pointer.rpartition("/")[0] if new.form == "avsc" and each.rule == "field-removed" else each.pointer
        for each in changes
    ]
    found = lines_of(new.text, pointers)
    return tuple(found[pointer] for pointer in pointers)


def _line(new: _File, pointer: str) -> int | None:
    """Return the line of a message, an enum or a field of a .proto text; None where an import has it."""
    from headrace.contracts.formats.protobuf_reader import Reader

    schema = Reader(new.text, new.place)
    schema.file()
    _, name, *rest = pointer.split("/")
    message, enum = schema.messages.get(name), schema.enums.get(name)
    if message is not None:
        return next((each.line for each in message.fields if each.name in rest), message.line)
    return None if enum is None else enum.line
