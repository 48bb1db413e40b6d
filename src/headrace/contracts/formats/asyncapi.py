"""AsyncAPI 2 and 3: the payload of a message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.contracts.formats import avro
from headrace.contracts.formats.bundle import Part, bundled, meant
from headrace.contracts.formats.form import Imported, chosen
from headrace.contracts.refs import escaped
from headrace.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from headrace.contracts.formats.bundle import Loader


def is_one(document: Any) -> bool:
    """Say whether a document describes an API of messages."""
    return isinstance(document, dict) and "asyncapi" in document


def read(document: Mapping[str, Any], choice: str | None, place: str, load: Loader) -> Imported:
    """Return the schema of the payload of the message `choice`, or of the only one."""
    pointers = list(_named(document))
    if any(name == choice for name, _ in pointers):
        pointers = [each for each in pointers if each[0] == choice]
    named: dict[str, Part] = {}
    for name, message in _messages(pointers, document, place, load):
        named.setdefault(name, message)
    name = chosen(named, choice, "message")
    message = named[name]
    kind = str(message.value.get("schemaFormat", ""))
    payload = message._replace(pointer=f"{message.pointer}/payload")
    if isinstance(payload.value, dict) and {"schemaFormat", "schema"} <= payload.value.keys():  # AsyncAPI 3
        kind = str(payload.value["schemaFormat"])
        payload = payload._replace(pointer=f"{payload.pointer}/schema")
    if "avro" in kind:
        written = meant(payload, load)
        return avro.read(written.value, None, written.place, load)
    if kind and not any(word in kind for word in ("json", "asyncapi", "openapi")):
        raise ContractError(
            f"the payload of {name} is {kind}, which is not read", fix="give its schema in a file of its own"
        )
    return Imported(bundled(payload.document, payload.pointer, payload.place, load, draft="draft-07"))


def _messages(
    pointers: Iterable[tuple[str, str]], document: Mapping[str, Any], place: str, load: Loader
) -> Iterator[tuple[str, Part]]:
    """Yield the messages that have a payload, by their names; one that is used in several places comes once."""
    found: set[tuple[str, str]] = set()
    for name, pointer in pointers:
        message = meant(Part(document, place, pointer), load)
        value = message.value
        if not isinstance(value, dict) or "payload" not in value or (message.place, message.pointer) in found:
            continue
        found.add((message.place, message.pointer))
        yield name, message


def _named(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield where messages may be, those of the components first; one without a name is called as its channel is."""
    for name in (document.get("components") or {}).get("messages") or {}:
        yield name, f"/components/messages/{escaped(name)}"
    for channel, item in (document.get("channels") or {}).items():
        at = f"/channels/{escaped(channel)}"
        for name in item.get("messages") or {}:  # AsyncAPI 3
            yield name, f"{at}/messages/{escaped(name)}"
        for operation in ("publish", "subscribe"):
            message = (item.get(operation) or {}).get("message") or {}
            yield str(message.get("name") or channel), f"{at}/{operation}/message"
            for index, each in enumerate(message.get("oneOf", ())):
                yield str(each.get("name") or f"{channel}[{index}]"), f"{at}/{operation}/message/oneOf/{index}"
