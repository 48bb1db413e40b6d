"""The JSON Schema of a source file, for editors: completion, descriptions, and red lines while typing.

It is made from the models that load the files, so it cannot disagree with them on keys and types. What only the whole
project can tell (files, fields, names) is `headrace check`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.config.source_file import FLAT_SCHEMA, SourceFile
from headrace.config.validation import models_in
from headrace.connectors.ingestion import IngestionSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def source_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of `connectors/<source_id>.yaml`, in its full and its flat form."""
    schema = SourceFile.model_json_schema(by_alias=True)
    definitions: dict[str, Any] = schema["$defs"]
    for model in _specs(SourceFile):
        _allow_one_for_a_list(model, definitions.get(model.__name__, {}).get("properties", {}))
    ingestion = definitions["IngestionSpec"]
    full = [*schema["properties"], FLAT_SCHEMA]
    flat = {
        **ingestion["properties"],
        FLAT_SCHEMA: {
            "type": "string",
            "description": "The contract; `schema: {file: …}` in the full form.",
        },
    }
    properties = {**flat, **schema["properties"]}
    return {
        "$schema": DIALECT,
        "title": "A Headrace source",
        "description": schema["description"],
        "type": "object",
        "properties": properties,
        "required": ["source_id"],
        "additionalProperties": False,
        "if": {"required": ["ingestion"]},
        "then": {"propertyNames": {"enum": sorted(full)}},
        "else": {"required": [name for name in ingestion["required"] if name in IngestionSpec.model_fields]},
        "$defs": definitions,
    }


def _specs(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for field in model.model_fields.values():
        for below in models_in(field.annotation):
            yield below
            yield from _specs(below)


def _allow_one_for_a_list(model: type[BaseModel], properties: dict[str, Any]) -> None:
    """Let `on: customer_id` stand for `on: [customer_id]` where the model does: where a validator sees it first."""
    for decorator in model.__pydantic_decorators__.field_validators.values():
        for name in decorator.info.fields if decorator.info.mode == "before" else ():
            branches = properties.get(name, {}).get("anyOf", [properties.get(name, {})])
            if any(branch.get("type") == "array" for branch in branches):
                text = {"type": "string", "minLength": 1}
                kept = {key: value for key, value in properties[name].items() if key in {"description", "default"}}
                properties[name] = {"anyOf": [text, *branches], **kept}
