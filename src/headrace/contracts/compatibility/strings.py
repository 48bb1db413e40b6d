"""Patterns and formats: asked of the validator itself, whose expressions cannot run away, and sampled."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMATS: dict[str, tuple[str, ...]] = {
    "date-time": ("2024-02-29T12:30:45Z", "1985-04-12T23:20:50.52+02:00"),
    "date": ("2024-02-29", "1985-04-12"),
    "time": ("12:30:45Z", "23:20:50.52+02:00"),
    "duration": ("P1DT12H", "PT5M"),
    "email": ("ada@example.com", "b@example.org"),
    "idn-email": ("ada@example.com", "b@example.org"),
    "hostname": ("example.com", "a.example.org"),
    "idn-hostname": ("example.com", "a.example.org"),
    "ipv4": ("192.0.2.1", "198.51.100.7"),
    "ipv6": ("2001:db8::1", "::1"),
    "uri": ("https://example.com/a", "urn:isbn:0451450523"),
    "uri-reference": ("/a/b", "https://example.com/a"),
    "iri": ("https://example.com/a", "urn:isbn:0451450523"),
    "iri-reference": ("/a/b", "https://example.com/a"),
    "uri-template": ("/a/{b}", "/c"),
    "uuid": ("2eb8aa08-aa98-11ea-b4aa-73b441d16380", "123e4567-e89b-42d3-a456-426614174000"),
    "json-pointer": ("/a/b", ""),
    "relative-json-pointer": ("1/a", "0"),
    "regex": ("^a+$", "b"),
}
_HEX = "[0-9A-Fa-f]"
_ANY = r"[\s\S]"
SHAPES = {
    "date-time": f"^{_ANY}{{4}}-{_ANY}{{2}}-{_ANY}{{12,}}$",  # the validator takes 1+85-04-12T23:20:50Z
    "date": f"^{_ANY}{{4}}-{_ANY}{{2}}-{_ANY}{{2}}$",
    "time": f"^{_ANY}{{2}}:{_ANY}{{2}}:{_ANY}{{3,}}$",
    "uuid": f"^{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}$",
    "email": r"^[\s\S]+@[\s\S]+$",
    "ipv4": r"^[0-9]{1,3}(\.[0-9]{1,3}){3}$",
    "ipv6": "^[0-9A-Fa-f:.]{2,45}$",
    "uri": r"^[A-Za-z][A-Za-z0-9+.-]*:[\s\S]*$",
}
"""A pattern that every text of a format matches, and others may."""

_WORD = "abcdefghijklmnopqrstuvwxyz"
_LONGEST = 2000


def forget() -> None:
    """Let go of the patterns that were asked for: a short one may take megabytes where it is compiled."""
    _pattern.cache_clear()


@lru_cache(4096)
def _pattern(pattern: str) -> Any:
    return _validator("pattern", pattern, 2020)


@lru_cache(256)
def _other(word: str, value: str, draft: int) -> Any:
    return _validator(word, value, draft)


def _validator(word: str, value: str, draft: int) -> Any:
    import jsonschema_rs

    drafts = {4: "Draft4", 6: "Draft6", 7: "Draft7", 2019: "Draft201909", 2020: "Draft202012"}
    try:
        return getattr(jsonschema_rs, f"{drafts[draft]}Validator")({word: value}, validate_formats=True)
    except (jsonschema_rs.ValidationError, ValueError):
        return None


def matches(pattern: str, text: str) -> bool | None:
    """Whether a text matches a pattern somewhere, as the validator says; None where it cannot be said."""
    return _said(_pattern(pattern), text)


def has_format(name: str, text: str, draft: int) -> bool | None:
    """Whether a text has a format; what the validator does not know every text has."""
    return _said(_other("format", name, draft), text)


def has_content(word: str, value: str, text: str, draft: int) -> bool | None:
    """Whether a text is of a `contentEncoding` or `contentMediaType`, where the draft asserts them."""
    return True if word == "x-type" else _said(_other(word, value, draft), text)


@lru_cache(1024)
def asserted(name: str, draft: int) -> bool:
    """Whether the validator refuses some text for a format."""
    return any(has_format(name, text, draft) is not True for text in ("", " \\ {", "zz z!", "%"))


def _said(validator: Any, text: str) -> bool | None:
    if validator is None:
        return None
    try:
        return bool(validator.is_valid(text))
    except (ValueError, UnicodeError):
        return None


def of_format(name: str, length: int) -> Iterator[str]:
    """Yield texts of a length that may have a format; which do is to be asked of `has_format`."""
    zeros = "0" * (length - 21)
    yield from {
        "date-time": (f"2024-02-29T12:30:45.{zeros}Z",),
        "time": (f"12:30:45.{zeros}00000000000Z",),
        "email": (f"{'a' * (length - 12)}@example.com", f"{'a' * 60}@{_host(length - 61)}"),
        "idn-email": (f"{'a' * (length - 12)}@example.com", f"{'a' * 60}@{_host(length - 61)}"),
        "hostname": (_host(length),),
        "idn-hostname": (_host(length),),
        "uri": (f"https://example.com/{zeros}0", f"a:{'b' * (length - 2)}"),
        "iri": (f"https://example.com/{zeros}0", f"a:{'b' * (length - 2)}"),
        "json-pointer": (f"/{'a' * (length - 1)}",),
    }.get(name, (of_length(length),))


def _host(length: int) -> str:
    """Return a name of so many characters: labels of 60 each."""
    labels = f"{'a' * 60}." * (length // 61 + 1)
    return labels[: max(length, 0)].rstrip(".")


def of_length(length: int, alphabet: str = _WORD) -> str:
    """Return a text of so many characters."""
    return (alphabet * (length // len(alphabet) + 1))[:length]


def like(pattern: str, limit: int = 8) -> Iterator[str]:
    """Yield a few texts that a pattern may match; which do is to be asked of `matches`."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from re import _parser  # type: ignore[attr-defined]

            tree = _parser.parse(pattern.replace("\\p{L}", "[a-zA-Z]").replace("\\p{Lu}", "[A-Z]"))
        except (re.error, OverflowError, RecursionError, ValueError):
            return
    for seed in range(limit):
        try:
            found = "".join(_written(tree, seed, 0))
        except (ValueError, RecursionError):
            return
        if len(found) <= _LONGEST:
            yield found


def stretched(pattern: str, length: int) -> Iterator[str]:
    """Yield texts of a length that a pattern may match: samples of it, one character of which is there often."""
    for sample in like(pattern, 3):
        more = length - len(sample)
        for at in range(len(sample) - 1, max(-1, len(sample) - 17), -1) if more >= 0 else ():
            yield sample[:at] + sample[at] * more + sample[at:]


def _written(tree: Any, seed: int, depth: int) -> Iterator[str]:
    """Write what each node of a parsed expression matches: `seed` turns the choices and the counts."""
    if depth > 40:
        raise ValueError
    for operation, argument in tree:
        word = str(operation)
        if word == "LITERAL":
            yield chr(argument)
        elif word == "NOT_LITERAL":
            yield "b" if argument == ord("a") else "a"
        elif word == "ANY":
            yield _WORD[seed % 26]
        elif word == "IN":
            yield _member(argument, seed)
        elif word in {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}:
            least, most, inner = argument
            count = min(
                least + seed % 4 * (1 if seed < 4 else 5), most if isinstance(most, int) else least + 20, least + 40
            )
            for turn in range(max(count, least) if least < 500 else 500):
                yield from _written(inner, seed + turn, depth + 1)
        elif word == "SUBPATTERN":
            yield from _written(argument[-1], seed, depth + 1)
        elif word == "ATOMIC_GROUP":
            yield from _written(argument, seed, depth + 1)
        elif word == "BRANCH":
            branches = argument[1]
            yield from _written(branches[seed % len(branches)], seed, depth + 1)
        elif word not in {"AT", "ASSERT", "ASSERT_NOT"}:
            raise ValueError(word)


def _member(members: Any, seed: int) -> str:
    negated = str(members[0][0]) == "NEGATE"
    if negated:
        pattern = [(str(kind), value) for kind, value in members[1:]]
        return next(
            (c for c in "a0 _A.-~é" if not any(_within(c, kind, value) for kind, value in pattern)),
            "\u2603",
        )
    kind, value = members[seed % len(members)]
    word = str(kind)
    if word == "RANGE":
        first, last = value
        return chr(first + seed % (last - first + 1))
    if word == "CATEGORY":
        return {"CATEGORY_DIGIT": "7", "CATEGORY_SPACE": " ", "CATEGORY_WORD": "w"}.get(str(value), "~")
    return chr(value)


def _within(character: str, kind: str, value: Any) -> bool:
    if kind == "RANGE":
        return bool(value[0] <= ord(character) <= value[1])
    if kind == "CATEGORY":
        tests = {"CATEGORY_DIGIT": str.isdigit, "CATEGORY_SPACE": str.isspace, "CATEGORY_WORD": str.isalnum}
        test = tests.get(str(value))
        return bool(test(character)) if test else True
    return bool(ord(character) == value)
