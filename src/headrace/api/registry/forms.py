"""The three types of schemas: whether a text is one, and what changed between two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.api.registry import avro_names, json_references
from headrace.api.registry.refusal import invalid_schema
from headrace.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.api.registry.schema import Reference, Schema
    from headrace.contracts.compatibility import Change, ContentModel

Resolve = "Callable[[Reference], Schema]"
MAX_NESTED = 32  # references of references


class Form(NamedTuple):
    """A schema that is valid: its type, and what is compared. Of Protobuf that is its text, and those it imports."""

    type: str
    whole: Any
    imports: dict[str, str]


def valid(schema: Schema, resolve: Callable[[Reference], Schema]) -> Form:
    """Return a schema whole by itself; `resolve` finds what it refers to. Raises `Refusal` (422) where it is none."""
    try:
        if schema.type == "PROTOBUF":
            imports = _imports(schema, resolve)
            _check_protobuf(schema.text, imports)
            return Form(schema.type, schema.text, imports)
        found = _whole(schema, resolve, 0)
        if schema.type == "JSON":
            _check_json(found)
    except ContractError as error:
        raise invalid_schema(f"{error.message}; {error.fix}" if error.fix else error.message) from error
    except RecursionError:
        raise invalid_schema("it nests too deep") from None
    return Form(schema.type, found, {})


def compared(old: Form, new: Form, model: ContentModel) -> tuple[Change, ...]:
    """Return what changed between two of one type. Raises `Refusal` (422) where that cannot be said."""
    from headrace.contracts import compatibility

    try:
        if new.type == "JSON":
            return compatibility.compare(old.whole, new.whole, model=model)
        if new.type == "AVRO":
            return compatibility.compare_avro(old.whole, new.whole)
        imports = {**old.imports, **new.imports}
        # What both import is compared by itself: of a path, one text only is known to the schemas that name it.
        both = [(old.imports[path], new.imports[path]) for path in old.imports.keys() & new.imports.keys()]
        texts = [(old.whole, new.whole), *(pair for pair in both if pair[0] != pair[1])]
        return tuple(change for pair in texts for change in compatibility.compare_protobuf(*pair, imports=imports))
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
    if schema.type == "AVRO":
        return avro_names.whole(schema.document, others)
    return json_references.whole(schema.document, others)


def _imports(schema: Schema, resolve: Callable[[Reference], Schema]) -> dict[str, str]:
    """Return the texts of all that a Protobuf schema imports, however indirectly, by their paths."""
    found: dict[str, str] = {}
    waiting = list(schema.references)
    while waiting:
        each = waiting.pop()
        if each.name not in found:
            other = resolve(each)
            if other.type != "PROTOBUF":
                raise invalid_schema(f"the reference {each.name!r} is of type {other.type}")
            found[each.name] = other.text
            waiting += other.references
    return found


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
