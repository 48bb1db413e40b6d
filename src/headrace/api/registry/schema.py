"""A schema as clients send it, and what makes two of them the same: their normalised text, not their bytes."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from headrace.api.registry.refusal import Refusal, invalid_schema
from headrace.contracts.formats import protobuf_descriptor
from headrace.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Mapping

TYPES = ("JSON", "AVRO", "PROTOBUF")
MAX_TEXT = 8 << 20
MAX_DEPTH = 100  # how deep the JSON of a schema nests: what reads it goes down by a call for each
MAX_REFERENCES = 1000

_TOKEN = re.compile(r"""\s+|//[^\n]*|/\*.*?\*/|(?P<kept>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[\w.+-]+|.)""", re.DOTALL)


class Reference(NamedTuple):
    """What a schema calls another: `name` in its text, which is a version of a subject."""

    name: str
    subject: str
    version: int


@dataclass(frozen=True)
class Schema:
    """A schema of a type, with what it refers to; `metadata` and `rules` are kept for clients, and mean nothing here.

    `serialized` is the base64 of its descriptor, of a Protobuf schema that came as one: `text` is what it says.

    Raises `Refusal` from `document` and `digest` where a text that should be JSON is not.
    """

    type: str
    text: str
    references: tuple[Reference, ...] = ()
    metadata: Any = None
    rules: Any = None
    serialized: str = ""

    @cached_property
    def document(self) -> Any:
        """The text of a JSON or Avro schema as a document; of Protobuf the text itself."""
        return self.text if self.type == "PROTOBUF" else parsed(self.text, self.type)

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of what makes it this schema: neither spaces nor the order of keys."""
        normal = " ".join(_tokens(self.text)) if self.type == "PROTOBUF" else self.document
        if self.type == "AVRO":
            normal = _bare(normal)
        whole = [self.type, normal, sorted(self.references), self.metadata, self.rules]
        text = json.dumps(whole, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def guid(self) -> str:
        """The digest as a UUID, which is what newer clients can name a schema by."""
        return str(UUID(hex=self.digest[:32]))

    def shown(self, form: str = "") -> dict[str, Any]:
        """Return what answers say of it; the type of an Avro schema is left out, as Confluent does.

        Of Protobuf, `serialized` is a form that Python's clients ask for. Raises `Refusal` where it is not kept.
        """
        found: dict[str, Any] = {} if self.type == "AVRO" else {"schemaType": self.type}
        if self.references:
            found["references"] = [each._asdict() for each in self.references]
        if self.metadata is not None:
            found["metadata"] = self.metadata
        if self.rules is not None:
            found["ruleSet"] = self.rules
        return {**found, "schema": self.written(form)}

    def written(self, form: str = "") -> str:
        """Return its text in a form; see `shown`."""
        if form != "serialized" or self.type != "PROTOBUF":
            return self.text
        if not self.serialized:
            why = "it was registered as text, and no descriptor is made of that: ask without format=serialized"
            raise Refusal(42201, f"Invalid schema: {why}; or register its descriptor in a subject first")
        return self.serialized


def read_schema(body: Any) -> Schema:
    """Return the schema of a request's body. Raises `Refusal` (422)."""
    if not isinstance(body, dict) or not isinstance(body.get("schema"), str) or not body["schema"].strip():
        raise Refusal(42201, "Empty schema: the body is an object, and its `schema` the text of one")
    kind = body.get("schemaType") or "AVRO"
    if not isinstance(kind, str) or kind.upper() not in TYPES:
        raise Refusal(42201, f"Invalid schema type {str(kind)[:40]}: one of {', '.join(TYPES)}")
    if len(body["schema"]) > MAX_TEXT:
        raise Refusal(42209, f"Schema is too large: {len(body['schema']):,} characters, and {MAX_TEXT:,} are taken")
    text, serialized = body["schema"], ""
    if kind.upper() == "PROTOBUF" and protobuf_descriptor.is_descriptor(text):
        text, serialized = _described(text), text.strip()
    return Schema(
        kind.upper(),
        text,
        tuple(_reference(each) for each in _listed(body.get("references"))),
        _object(body.get("metadata"), "metadata"),
        _object(body.get("ruleSet"), "ruleSet"),
        serialized,
    )


def _described(encoded: str) -> str:
    try:
        return protobuf_descriptor.text_of(encoded)
    except ContractError as error:
        raise invalid_schema(f"{error.message}; {error.fix}" if error.fix else error.message) from error


def parsed(text: str, kind: str) -> Any:
    """Return the document of a text. Raises `Refusal` where it is no JSON, or nests too deep to be looked at."""
    try:
        found = json.loads(text, parse_constant=_no_number)
        text.encode()
    except RecursionError:
        raise invalid_schema(f"it nests deeper than {MAX_DEPTH}") from None
    except ValueError as problem:
        if kind == "AVRO" and re.fullmatch(r"\s*[A-Za-z]+\s*", text):
            return text.strip()  # Avro's own tools write a primitive type bare
        raise invalid_schema(f"it is not JSON: {problem}") from None
    if _is_deeper(found, MAX_DEPTH):
        raise invalid_schema(f"it nests deeper than {MAX_DEPTH}")
    return found


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")


def _is_deeper(document: Any, depth: int) -> bool:
    level = [document]
    for _ in range(depth + 1):
        level = [
            child
            for each in level
            if isinstance(each, (dict, list))
            for child in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return False
    return True


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > MAX_REFERENCES:
        raise invalid_schema(f"references are a list, of {MAX_REFERENCES:,} at most")
    return value


def _reference(value: Any) -> Reference:
    if isinstance(value, dict):
        name, subject, version = value.get("name"), value.get("subject"), value.get("version")
        if isinstance(name, str) and name and isinstance(subject, str) and isinstance(version, int):
            return Reference(name, subject, version)
    raise invalid_schema('a reference is {"name": text, "subject": text, "version": number}')


def _object(value: Any, name: str) -> Mapping[str, Any] | None:
    if value is None or isinstance(value, dict):
        return value or None
    raise invalid_schema(f"{name} is an object")


def _tokens(text: str) -> list[str]:
    return [found["kept"] for found in _TOKEN.finditer(text) if found["kept"]]


def _bare(part: Any) -> Any:
    """Return an Avro schema with `{"type": "string"}` written as `"string"`."""
    if isinstance(part, list):
        return [_bare(each) for each in part]
    if not isinstance(part, dict):
        return part
    if part.keys() == {"type"}:
        return _bare(part["type"])
    words = ("type", "items", "values", "fields")
    return {word: _bare(value) if word in words else value for word, value in part.items()}
