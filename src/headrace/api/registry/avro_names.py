"""Avro schemas: whether one is valid, and whole by itself where it names types of others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from headrace.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Mapping

PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
_NAMED = frozenset({"record", "error", "enum", "fixed"})
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FULL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")


def whole(schema: Any, others: Mapping[str, Any]) -> Any:
    """Return a schema in which each named type of `others` stands where it is first used; full names everywhere.

    `others` are the schemas that it refers to, whole by themselves, by the name that each is referred to by.

    Raises:
        ContractError: it is no valid Avro schema; the place is in the message.
    """
    return _Reader(others).read(schema, "", "#")


class _Reader:
    """Goes through a schema in the order of its text: a name is known once its definition was met."""

    def __init__(self, others: Mapping[str, Any]) -> None:
        self._others = dict(others)
        self._known: set[str] = set()

    def read(self, part: Any, namespace: str, at: str) -> Any:
        if isinstance(part, str):
            return self._named(part, namespace, at)
        if isinstance(part, list):
            return self._union(part, namespace, at)
        if not isinstance(part, dict) or "type" not in part:
            raise ContractError(f"{at}: a schema is a name, a list, or an object with a type")
        kind = part["type"]
        if not isinstance(kind, str):
            return self.read(kind, namespace, f"{at}/type")
        if kind in _NAMED:
            return self._definition(part, kind, namespace, at)
        if kind == "array":
            return {**part, "items": self._inner(part, "items", namespace, at)}
        if kind == "map":
            return {**part, "values": self._inner(part, "values", namespace, at)}
        if kind in PRIMITIVES:
            return dict(part)
        return self._named(kind, namespace, f"{at}/type")

    def _inner(self, part: Mapping[str, Any], word: str, namespace: str, at: str) -> Any:
        if word not in part:
            raise ContractError(f"{at}: a schema of type {part['type']} says its {word}")
        return self.read(part[word], namespace, f"{at}/{word}")

    def _named(self, name: str, namespace: str, at: str) -> Any:
        if name in PRIMITIVES:
            return name
        for full in (f"{namespace}.{name}" if namespace and "." not in name else name, name):
            if full in self._known:
                return full
            if full in self._others:
                return self.read(self._others.pop(full), "", at)
        raise ContractError(f"{at}: no type {name!r} is defined before it, nor referred to")

    def _union(self, branches: list[Any], namespace: str, at: str) -> list[Any]:
        read = [self.read(each, namespace, f"{at}/{index}") for index, each in enumerate(branches)]
        kinds = [_kind(each) for each in read]
        for index, kind in enumerate(kinds):
            if kind == "union":
                raise ContractError(f"{at}/{index}: a union holds no other union")
            if kind in kinds[:index]:
                raise ContractError(f"{at}/{index}: the union has {kind} twice")
        return read

    def _definition(self, part: Mapping[str, Any], kind: str, namespace: str, at: str) -> dict[str, Any]:
        name, own = part.get("name"), part.get("namespace", namespace)
        if not isinstance(name, str) or not isinstance(own, str) or not _FULL_NAME.fullmatch(name):
            raise ContractError(f"{at}: a type {kind} has a name of letters, digits and _")
        full = name if "." in name or not own else f"{own}.{name}"
        if not _FULL_NAME.fullmatch(full) or full in PRIMITIVES:
            raise ContractError(f"{at}: {full!r} is no name for a type")
        if full in self._known:
            raise ContractError(f"{at}: {full} is defined twice")
        self._known.add(full)
        found = {word: value for word, value in part.items() if word != "namespace"} | {"name": full}
        if kind == "enum":
            _check_symbols(part, at)
        elif kind == "fixed":
            if not isinstance(part.get("size"), int) or isinstance(part["size"], bool) or part["size"] < 0:
                raise ContractError(f"{at}: a type fixed says its size in bytes")
        else:
            found["fields"] = self._fields(part, full.rpartition(".")[0], at)
        return found

    def _fields(self, part: Mapping[str, Any], namespace: str, at: str) -> list[Any]:
        fields = part.get("fields")
        if not isinstance(fields, list):
            raise ContractError(f"{at}: a record has a list of fields")
        found: list[Any] = []
        names: set[str] = set()
        for index, field in enumerate(fields):
            place = f"{at}/fields/{index}"
            if not isinstance(field, dict) or not isinstance(field.get("name"), str) or "type" not in field:
                raise ContractError(f"{place}: a field has a name and a type")
            if not _NAME.fullmatch(field["name"]) or field["name"] in names:
                raise ContractError(f"{place}: {field['name']!r} is no name for a field, or is there twice")
            names.add(field["name"])
            found.append({**field, "type": self.read(field["type"], namespace, f"{place}/type")})
        return found


def _check_symbols(part: Mapping[str, Any], at: str) -> None:
    symbols = part.get("symbols")
    if not isinstance(symbols, list) or not all(isinstance(each, str) and _NAME.fullmatch(each) for each in symbols):
        raise ContractError(f"{at}: an enum has a list of symbols, each of letters, digits and _")
    if len(set(symbols)) != len(symbols):
        raise ContractError(f"{at}: an enum has a symbol twice")
    if "default" in part and part["default"] not in symbols:
        raise ContractError(f"{at}: the default of an enum is one of its symbols")


def _kind(part: Any) -> str:
    if isinstance(part, list):
        return "union"
    if isinstance(part, dict):
        return str(part.get("name", part["type"])) if part["type"] in _NAMED else str(part["type"])
    return str(part)
