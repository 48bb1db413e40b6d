"""The table of foreign forms, and how one is told from what a file holds."""

from __future__ import annotations

import json
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.contracts.fields import is_fields_form
from headrace.contracts.formats.form import Imported
from headrace.errors import ContractError

if TYPE_CHECKING:
    from headrace.contracts.formats.bundle import Loader

FORMS = {  # form -> its module, in the order in which a document is asked
    "odcs": "odcs",
    "iglu": "iglu",
    "openapi": "openapi",
    "asyncapi": "asyncapi",
    "avsc": "avro",
    "fields": "",
    "jsonschema": "json_schema",
    "protobuf": "protobuf_schema",
}
SUFFIXES = {".avsc": "avsc", ".proto": "protobuf", ".yaml": "", ".yml": ""}
"""What only schemas are called; empty: which form, the document says."""


class Read(NamedTuple):
    """A foreign document: its form, and what it says."""

    form: str
    found: Imported


def form_of(document: Any) -> str | None:
    """Return the form of a parsed document; None where it is none of them."""
    for form, module in FORMS.items():
        if form == "fields":
            if isinstance(document, dict) and is_fields_form(document) and document.get("type") != "record":
                return form
        elif form != "protobuf" and import_module(f"headrace.contracts.formats.{module}").is_one(document):
            return form
    return None


def read_document(document: Any, form: str | None, choice: str | None, place: str, load: Loader) -> Read:
    """Return what a parsed document says. Raises `ContractError` where it is of no known form, or not of this one."""
    meant = form or form_of(document)
    if meant is None or meant not in FORMS or meant == "protobuf":
        raise ContractError(
            "it is a schema of no form that is known", at=place, fix=f"say it: --format {' or '.join(FORMS)}"
        )
    if meant == "fields":
        return Read(meant, Imported(document))
    try:
        found = import_module(f"headrace.contracts.formats.{FORMS[meant]}").read(document, choice, place, load)
    except ContractError as error:
        raise ContractError(error.message, at=error.at or place, fix=error.fix) from error
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        raise ContractError(
            f"it is no {meant} as its specification has it: {type(error).__name__} {error}", at=place, fix="correct it"
        ) from error
    except RecursionError as error:
        raise ContractError("it is nested too deep", at=place, fix="flatten it") from error
    return Read(meant, found)


def read_protobuf(text: str, choice: str | None, place: str, imports: dict[str, str]) -> Read:
    """Return what a .proto text says."""
    from headrace.contracts.formats import protobuf_schema

    try:
        return Read("protobuf", protobuf_schema.read(text, choice, place, imports))
    except ContractError as error:
        raise ContractError(error.message, at=error.at or place, fix=error.fix) from error


def as_text(document: Any) -> str:
    """Return a written document as text: a .proto as it is, all others as JSON."""
    return document if isinstance(document, str) else json.dumps(document, indent=2, ensure_ascii=False) + "\n"
