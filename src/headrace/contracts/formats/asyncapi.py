"""AsyncAPI 2 and 3: the payload of a message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.contracts.formats import avro
from headrace.contracts.formats.bundle import bundled
from headrace.contracts.formats.form import Imported, chosen
from headrace.contracts.refs import followed
from headrace.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from headrace.contracts.formats.bundle import Loader


def is_one(document: Any) -> bool:
    """Say whether a document describes an API of messages."""
    return isinstance(document, dict) and "asyncapi" in document


def read(document: Mapping[str, Any], choice: str | None, place: str, load: Loader) -> Imported:
    """Return the schema of the payload of the message `choice`, or of the only one."""
    named: dict[str, str] = {}
    for name, pointer in _messages(document):
        named.setdefault(name, pointer)
    name = chosen(named, choice, "message")
    pointer = named[name]
    message = followed(document, pointer)
    kind = str(message.get("schemaFormat", ""))
    payload = message["payload"]
    inner = "/payload"
    if isinstance(payload, dict) and {"schemaFormat", "schema"} <= payload.keys():  # AsyncAPI 3
        kind, payload, inner = str(payload["schemaFormat"]), payload["schema"], "/payload/schema"
    if "avro" in kind:
        return avro.read(payload, None, place, load)
    if kind and not any(word in kind for word in ("json", "asyncapi", "openapi")):
        raise ContractError(
            f"the payload of {name} is {kind}, which is not read", fix="give its schema in a file of its own"
        )
    return Imported(bundled(document, pointer + inner, place, load, draft="draft-07"))


def _messages(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    components = document.get("components") or {}
    for name, message in (components.get("messages") or {}).items():
        if isinstance(message, dict) and "payload" in message:
            yield name, f"/components/messages/{_escaped(name)}"
    for channel, item in (document.get("channels") or {}).items():
        at = f"/channels/{_escaped(channel)}"
        for name, message in (item.get("messages") or {}).items():  # AsyncAPI 3
            if isinstance(message, dict) and "payload" in message:
                yield name, f"{at}/messages/{_escaped(name)}"
        for operation in ("publish", "subscribe"):
            message = (item.get(operation) or {}).get("message") or {}
            if "payload" in message:
                yield str(message.get("name") or channel), f"{at}/{operation}/message"
            for index, each in enumerate(message.get("oneOf", ())):
                if "payload" in each:
                    name = str(each.get("name") or f"{channel}[{index}]")
                    yield name, f"{at}/{operation}/message/oneOf/{index}"


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
