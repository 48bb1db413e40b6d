"""What a set of texts has in common: the one form that all of them have, as the validator and the columns read it."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from headrace.contracts import fields
from headrace.contracts.flat import TYPE_WORD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

FINE = "fine"
"""Times without a zone, of which a second has more digits than six: as `datetime`, but for the pattern of that."""
ZONED = ("zoned", "partly-zoned")
"""Times of which all have a zone, but not as `date-time` writes it; and times of which some have one."""
TEXT = "time-as-text"
"""What only the stage of event times reads: times to the minute, with an offset of hours alone (PostgreSQL's `+00`), or
with a comma before the fraction."""
_NAIVE: Mapping[str, Mapping[str, Any]] = {"datetime": fields.TYPES["DATETIME"], "time-of-day": fields.TYPES["TIME"]}
_CLOCK = r"\d{4}-\d\d-\d\d[Tt ]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,12})?"
_READ: Mapping[str, Mapping[str, Any]] = {
    **{form: {"type": "string", TYPE_WORD: "datetime"} for form in ZONED},
    FINE: {"type": "string", TYPE_WORD: "datetime", "pattern": f"^{_CLOCK}$"},
    TEXT: {"type": "string"},
}
"""What the columns read, and JSON Schema has no format for."""
FORMS = ("date-time", "datetime", FINE, *ZONED, "date", TEXT, "time-of-day", "uuid", "email", "ipv4", "ipv6", "uri")
"""The forms, the one that says most first."""

TIMES = frozenset({"date-time", "datetime", "date"})
_ZONE = r"( ?([Zz]|[+-]([01]\d|2[0-3]):?[0-5]\d))"
_SHOWN = {TEXT: "string", FINE: "datetime", "time-of-day": "time", "zoned": "datetime", "partly-zoned": "datetime"}
_HINTS = {
    FINE: _CLOCK,
    "zoned": _CLOCK + _ZONE,
    "partly-zoned": _CLOCK + _ZONE + "?",
    TEXT: r"\d{4}-\d\d-\d\d[Tt ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d([.,]\d{1,12})?)?"
    r"( ?([Zz]|[+-]([01]\d|2[0-3])(:?[0-5]\d)?))?",
    "date-time": r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,12})?([Zz]|[+-]\d\d:\d\d)",
    "date": r"\d{4}-\d\d-\d\d",
    "uuid": r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}",
    "email": r"[^@\s]+@[^@\s]+\.[^@\s]+",
    "ipv4": r"\d{1,3}(\.\d{1,3}){3}",
    "ipv6": r"[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*",
    "uri": r"[A-Za-z][A-Za-z0-9+.-]*://\S+",
}
_OTHER_TIMES = re.compile(
    r"\d{1,2}[/.]\d{1,2}[/.]\d{2,4}([ T].*)?|\d{4}[/.]\d{1,2}[/.]\d{1,2}([ T].*)?"
    r"|\d{1,2}[ /-][A-Z][a-z]{2}[ /-]\d{2,4}.*|\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d.*)?|[A-Z][a-z]{2} \d{1,2},? \d{4}.*"
)


@cache
def matcher(form: str) -> Callable[[str], bool]:
    """Return what says whether a text has a form: as the columns can take it, and as the validator asserts it."""
    if form in _NAIVE:
        return _calendar(re.compile(_NAIVE[form]["pattern"]), date=form == "datetime")
    if form in {*ZONED, TEXT, FINE}:
        return _calendar(re.compile(_HINTS[form], re.ASCII), date=True)
    import jsonschema_rs

    asserted = jsonschema_rs.Draft202012Validator({"format": form}, validate_formats=True).is_valid
    hint = re.compile(_HINTS[form])
    if form in {"date-time", "date"}:
        known = _calendar(hint, date=True)
        return lambda text: known(text) and asserted(text)
    return lambda text: hint.fullmatch(text) is not None and asserted(text)


def _calendar(pattern: re.Pattern[str], *, date: bool) -> Callable[[str], bool]:
    """Return what says whether a text has a pattern, and a year that a column can hold and a day that there is."""
    import datetime as dt

    def is_one(text: str) -> bool:
        if pattern.fullmatch(text) is None:
            return False
        if not date:
            return True
        try:
            day = dt.date.fromisoformat(text[:10])
        except ValueError:
            return False
        return 1 < day.year < 9999

    return is_one


def common_forms(texts: Iterable[str], among: Iterable[str] = FORMS) -> tuple[str, ...]:
    """Return which of some forms all of these texts have."""
    values = list(texts)
    return tuple(form for form in among if all(map(matcher(form), values)))


def looks_like_time(text: str) -> bool:
    """Say whether a text is a time in a form that is not read as one."""
    return _OTHER_TIMES.fullmatch(text.strip()) is not None


def shown(form: str) -> str:
    """Return the word for a form in the evidence."""
    return _SHOWN.get(form, form)


def schema_of(form: str) -> dict[str, Any]:
    """Return what JSON Schema says of texts of a form."""
    if own := _NAIVE.get(form) or _READ.get(form):
        return dict(own)
    return {"type": "string", "format": form}


__all__ = [
    "FORMS",
    "TEXT",
    "TIMES",
    "TYPE_WORD",
    "ZONED",
    "common_forms",
    "looks_like_time",
    "matcher",
    "schema_of",
    "shown",
]
