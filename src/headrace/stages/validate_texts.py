"""Formats and patterns of strings, as conditions in SQL that are true only for what every validator takes.

Each is narrower than its format: a rare but valid form is left to the exact path.
"""

from __future__ import annotations

import re

from headrace.contracts import types

_DATE = r"[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?"
_ZONE = r"(Z|[+-](0[0-9]|1[0-3]):[0-5][0-9])"
_OCTET = r"(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_HOST = r"[a-z][a-z0-9]*(\.[a-z][a-z0-9]*)*"
_SHAPES = {
    "date-time": _DATE + "T" + _TIME + _ZONE,
    "datetime": _DATE + "[T ]" + _TIME,
    "date": _DATE,
    "time": _TIME + _ZONE,
    "time-of-day": _TIME,
    "email": r"[A-Za-z0-9]+([._+-][A-Za-z0-9]+)*@" + _HOST,
    "uuid": r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
    "ipv4": _OCTET + r"(\." + _OCTET + "){3}",
    "uri": r"https?://" + _HOST + r"(/[A-Za-z0-9_.~/-]*)?(\?[A-Za-z0-9_.~=&-]*)?",
}
_CALENDAR = {"date-time": "TIMESTAMPTZ", "datetime": "TIMESTAMP", "date": "DATE", "time-of-day": "TIME"}
_SHORT = {"email": 60}
OF_NUMBERS = {"decimal", "int32", "int64", "float", "double"}
"""Formats that say something of numbers and nothing of a text."""

_IN_CLASS = r"[A-Za-z0-9\ _.,:;@\#/+=!%]*"
_ATOMS = re.compile(
    rf"""(?:
        [A-Za-z0-9 _,:;@\#/=!%&~<>'"-]                                    # itself
        | \\[.\-/d$+*?()|]                                                # escaped
        | \[\^?{_IN_CLASS}(?:[A-Za-z0-9_]-[A-Za-z0-9_]{_IN_CLASS})*-?\]    # a class
        | \((?!\?) | [)|^$]                                               # a plain group
        | (?<![*+?}}])(?:[*+?]|\{{[0-9]{{1,3}}(?:,[0-9]{{0,3}})?\}})(?![*+?{{])  # one quantifier
    )*""",
    re.VERBOSE,
)


class NotCompiled(Exception):  # noqa: N818 - not a fault: this schema takes the exact path
    """A schema says what the fast path cannot decide."""


def literal(text: str) -> str:
    """Return a text as an SQL string, where SQL can hold it."""
    if "\0" in text:
        raise NotCompiled
    return types.literal(text)


def format_rule(name: object, at: str) -> str:
    """Return the condition under which a string certainly is of a format."""
    if name in OF_NUMBERS:
        return "true"
    if not isinstance(name, str) or name not in _SHAPES:
        raise NotCompiled
    check = f"regexp_full_match({at}, {literal(_SHAPES[name])})"
    if name in _CALENDAR:
        check += f" AND TRY_CAST({at} AS {_CALENDAR[name]}) IS NOT NULL"
    if name in _SHORT:
        check += f" AND length({at}) <= {_SHORT[name]}"
    return f"({check})"


def pattern_rule(pattern: object, at: str) -> str:
    """Return the condition of a pattern, where every dialect of regular expressions reads it alike."""
    if not isinstance(pattern, str) or not _ATOMS.fullmatch(pattern) or "){" in pattern:  # RE2 bounds what nests
        raise NotCompiled
    try:
        re.compile(pattern)
    except re.error as error:
        raise NotCompiled from error
    return f"regexp_matches({at}, {literal(pattern)})"
