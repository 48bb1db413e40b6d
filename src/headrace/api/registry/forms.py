"""The three types of schemas: whether a text is one, and what changed between two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.api.registry import json_references
from headrace.api.registry.refusal import invalid_schema
from headrace.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headrace.api.registry.schema import Reference, Schema
    from headrace.contracts.compatibility import Change, ContentModel

Resolve = "Callable[[Reference], Schema]"
MAX_NESTED = 32  # references of references


class Form(NamedTuple):
    """A schema that is valid: its type, and what is compared: a JSON Schema whole by itself, a parsed Avro schema.

    Of Protobuf it is the text, and those that it imports.
    """

    type: str
    whole: Any
    imports: dict[str, str]


def valid(schema: Schema, resolve: Callable[[Reference], Schema]) -> Form:
    """Return a schema whole by itself; `resolve` finds what it refers to. Raises `Refusal` (422) where it is none."""
    try:
        if schema.type == "PROTOBUF":
            imports = {name: other.text for name, other in _referred(schema, resolve).items()}
            _check_protobuf(schema.text, imports)
            return Form(schema.type, schema.text, imports)
        if schema.type == "AVRO":
            return Form(schema.type, _avro(schema, _referred(schema, resolve)), {})
        found = _whole(schema, resolve, 0)
        _check_json(found)
    except ContractError as error:
        raise invalid_schema(f"{error.message}; {error.fix}" if error.fix else error.message) from error
    except RecursionError:
        raise invalid_schema("it nests too deep") from None
    return Form(schema.type, found, {})


def compared(old: Form, new: Form, model: ContentModel) -> tuple[Change, ...]:
    """Return what changed between two of one type. Raises `Refusal` (422) where that cannot be said."""
    from headrace.contracts.compatibility import compare
    from headrace.contracts.compatibility.avro import compare_avro
    from headrace.contracts.compatibility.protobuf import compare_protobuf

    try:
        if new.type == "JSON":
            return compare(old.whole, new.whole, model=model)
        if new.type == "AVRO":
            return compare_avro(old.whole, new.whole)
        # What names its schema by an id is in the binary form: names of fields are not in it.
        return compare_protobuf(old.whole, new.whole, imports=new.imports, old_imports=old.imports, wire_only=True)
    except ContractError as error:
        raise invalid_schema(f"it cannot be compared: {error.message}") from error
    except RecursionError:
        raise invalid_schema("it nests too deep to be compared") from None


def _whole(schema: Schema, resolve: Callable[[Reference], Schema], depth: int) -> Any:
    if depth > MAX_NESTED:
        raise invalid_schema(f"its references go deeper than {MAX_NESTED}")
    others: dict[str, Any] = {}
    for each in schema.references:
        other = resolve(each)
        if other.type != schema.type:
            raise invalid_schema(f"the reference {each.name!r} is of type {other.type}")
        others[each.name] = _whole(other, resolve, depth + 1)
    return json_references.whole(schema.document, others)


def _referred(schema: Schema, resolve: Callable[[Reference], Schema]) -> dict[str, Schema]:
    """Return all that a schema refers to, however indirectly, by the names that they are referred to by."""
    found: dict[str, Schema] = {}
    waiting = list(schema.references)
    while waiting:
        each = waiting.pop()
        if each.name not in found:
            other = resolve(each)
            if other.type != schema.type:
                raise invalid_schema(f"the reference {each.name!r} is of type {other.type}")
            found[each.name] = other
            waiting += other.references
    return found


def _avro(schema: Schema, others: Mapping[str, Schema]) -> Any:
    from headrace.contracts.compatibility.avro import parse_avro

    return parse_avro(schema.document, {name: other.document for name, other in others.items()})


def _check_protobuf(text: str, imports: dict[str, str]) -> None:
    from headrace.contracts.formats import protobuf

    protobuf.parse(text, imports=imports)


def _check_json(document: Any) -> None:
    from headrace.contracts.load import compiled, plain_schema

    if isinstance(document, bool):
        return
    if not isinstance(document, dict):
        raise ContractError("a JSON Schema is an object, or true or false")
    compiled(plain_schema(document))
