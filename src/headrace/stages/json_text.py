"""The exact reader and writer of JSON text: every digit kept, every fault named.

Numbers with a fraction or exponent become `Decimal`, so nothing is rounded between the producer and the contract.
"""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal, InvalidOperation
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

VALUE_CHARACTERS = 200
"""How much of an offending value a rejection shows."""

_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))

HUGE = 400
"""A decimal exponent past every double's, and past every bound that a schema can state."""


class Unreadable(Exception):  # noqa: N818 - a verdict about a message, caught at the stage's own border
    """A text that is no JSON object: what a rejection says of it."""

    def __init__(self, code: str, reason: str, path: str | None = None, value: str | None = None) -> None:
        super().__init__(reason)
        self.code, self.reason, self.path, self.value = code, reason, path, value


class _Doubled(dict[str, Any]):
    """An object that had a key twice."""

    key: str


class _Vast(Decimal):
    """A number whose exponent no `Decimal` has room for: to arithmetic beyond 10^±HUGE, or zero; its text is kept."""

    digits: str

    @classmethod
    def of(cls, digits: str) -> _Vast:
        mantissa, _, exponent = digits.lower().partition("e")
        is_zero = not mantissa.strip("-0.")
        number = cls(0 if is_zero else f"{'-' * digits.startswith('-')}1e{'-' * exponent.startswith('-')}{2 * HUGE}")
        number.digits = digits
        return number

    def __str__(self) -> str:
        return self.digits


class Wild(dict[str, Any]):
    """A document with a number beyond 10^±HUGE, which no arithmetic should expand into its digits."""


def read(text: str, max_depth: int = 100) -> dict[str, Any]:
    """Return the object that a JSON text holds, numbers exact.

    Raises:
        Unreadable: with a code: empty_message, too_deep, nan_or_infinity, multiple_documents, invalid_json,
            not_an_object, duplicate_key or lone_surrogate.
    """
    if not text.strip(" \t\r\n"):
        raise Unreadable("empty_message", "the message is empty")
    doubled: list[str] = []
    wild: list[str] = []

    def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) == len(pairs):
            return found
        seen: set[str] = set()
        twice = _Doubled(found)
        twice.key = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        doubled.append(twice.key)
        return twice

    def fraction(digits: str) -> Decimal:
        try:
            number = Decimal(digits)
        except InvalidOperation:
            number = _Vast.of(digits)
        if isinstance(number, _Vast) or abs(number.adjusted()) > HUGE:
            wild.append(digits)
        return number

    def integer(digits: str) -> int | Decimal:
        return int(digits) if len(digits) <= HUGE else fraction(digits)

    many = text.count("{") + text.count("[") > max_depth
    try:
        value = json.loads(
            text, object_pairs_hook=object_of, parse_float=fraction, parse_int=integer, parse_constant=_constant
        )
    except json.JSONDecodeError as error:
        if many and _depth_of_text(text, max_depth) > max_depth:
            raise _too_deep(max_depth) from error
        raise _fault(text, error) from error
    except RecursionError as error:
        raise _too_deep(max_depth) from error
    if many and _depth_of_value(value) > max_depth:
        raise _too_deep(max_depth)
    if not isinstance(value, dict):
        raise Unreadable("not_an_object", f"the message is {_a(value)}, not an object", "$", excerpt(value))
    if doubled:
        path, key = next(_doubled(value, "$"), ("$", doubled[0]))
        raise Unreadable("duplicate_key", f"key {quote(key)} appears twice in one object", child(path, key))
    if "\\u" in text and _SURROGATE.search(text):
        for path, string in _strings(value, "$"):
            if any("\ud800" <= character <= "\udfff" for character in string):
                raise Unreadable("lone_surrogate", "a string holds half of a surrogate pair, which is no text", path)
    return Wild(value) if wild else value


def _constant(word: str) -> Any:
    raise Unreadable("nan_or_infinity", f"{word} is no JSON number", value=word)


def _fault(text: str, error: json.JSONDecodeError) -> Unreadable:
    rest = text[error.pos :]
    if error.msg == "Extra data":
        try:
            json.JSONDecoder().raw_decode(rest)
        except ValueError:
            pass
        else:
            return Unreadable(
                "multiple_documents", f"a second document begins at character {error.pos}", None, cut(rest)
            )
    where = f"line {error.lineno} column {error.colno}"
    said = error.msg[:1].lower() + error.msg[1:]
    return Unreadable("invalid_json", f"not JSON at {where}: {said}", None, cut(rest) or None)


def _too_deep(max_depth: int) -> Unreadable:
    return Unreadable("too_deep", f"objects and arrays are nested deeper than {max_depth}")


def _depth_of_text(text: str, enough: int) -> int:
    """Return how deep a text nests, whether or not it is JSON; no more than just past `enough`."""
    depth = deepest = 0
    for token in _TOKENS.finditer(text):
        first = text[token.start()]
        if first in "[{":
            depth += 1
            deepest = max(deepest, depth)
            if deepest > enough:
                break
        elif first in "]}":
            depth -= 1
    return deepest


def _depth_of_value(value: Any) -> int:
    depth, level = 0, [value]
    while level := [each for each in level if isinstance(each, dict | list)]:
        depth += 1
        level = [item for each in level for item in (each.values() if isinstance(each, dict) else each)]
    return depth


def _doubled(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, _Doubled):
        yield path, value.key
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _doubled(item, child(path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _doubled(item, child(path, index))


def _strings(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield path, key
            yield from _strings(item, child(path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _strings(item, child(path, index))


def _a(value: Any) -> str:
    names = {str: "a string", bool: "a boolean", type(None): "null", list: "an array", dict: "an object"}
    return names.get(type(value), "a number")


def quote(text: str) -> str:
    """Return a string as JSON text; half of a surrogate pair stays escaped."""
    return _storable(encode_basestring(text), text)  # as dumps does it, which makes an encoder for each text


def _storable(written: str, value: Any) -> str:
    if written.isascii():
        return written
    try:
        written.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
    return written


def write(value: Any) -> str:
    """Return the compact JSON text of what `read` returned, with the digits of its numbers."""
    try:
        return _storable(_PLAIN.encode(value), value)
    except TypeError:  # a Decimal, which the fast encoder does not know
        return _write(value)


def _write(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{quote(key)}:{_write(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_write, value)) + "]"
    return str(value) if isinstance(value, Decimal) else write(value)


def shown(text: str) -> Any:
    """Return what stored JSON text holds, to be shown; a number that Python's have no room for is shown as its text.

    Raises `ValueError` where it is no JSON, or nests too deep to be shown.
    """
    try:
        return json.loads(text, parse_int=_whole, parse_float=_double)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _whole(digits: str) -> int | str:
    return int(digits) if len(digits) <= HUGE else digits


def _double(digits: str) -> float | str:
    number = float(digits)
    return number if math.isfinite(number) else digits


def excerpt(value: Any) -> str:
    """Return a value's JSON text, cut to what a rejection shows."""
    return cut(write(value))


def cut(text: str) -> str:
    """Return the beginning of a text, as a rejection shows it: never half of a surrogate pair."""
    return text[:VALUE_CHARACTERS].encode("utf-8", "replace").decode()


def child(path: str, step: str | int) -> str:
    """Return the JSON path of a member or element, such as `$.items[3].sku` or `$["a.b"]`."""
    if isinstance(step, int):
        return f"{path}[{step}]"
    return f"{path}.{step}" if _PLAIN_KEY.fullmatch(step) else f"{path}[{json.dumps(step)}]"
