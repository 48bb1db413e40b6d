"""What a field's name tells of its values: an identity, money, a time, a person. A hint, never the only evidence."""

from __future__ import annotations

import re
from itertools import pairwise

_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_IDENTITY = {"id", "uuid", "guid", "uid", "key", "ref", "number", "no", "nr", "num", "hash", "sku", "code", "token"}
_MONEY = {
    "amount", "balance", "bill", "budget", "charge", "commission", "cost", "credit", "debit", "deposit", "discount",
    "due", "fare", "fee", "fees", "fine", "gross", "income", "margin", "net", "paid", "payment", "payout", "premium",
    "price", "profit", "proceeds", "refund", "rent", "revenue", "salary", "sales", "spend", "spent", "subtotal", "sum",
    "surcharge", "tax", "tip", "toll", "tolls", "total", "turnover", "value", "vat", "wage",
}  # fmt: skip
_NO_MONEY = {"count", "quantity", "qty", "ratio", "rate", "percent", "pct", "share", "score", "lat", "lon", "index"}
_OPEN = {
    "address", "brand", "browser", "carrier", "city", "comment", "company", "country", "currency", "description",
    "device", "email", "host", "hostname", "ip", "lang", "language", "locale", "location", "login", "message", "model",
    "name", "origin", "os", "page", "path", "postcode", "product", "query", "reason", "referrer", "region", "sha",
    "state", "subject", "tag", "tags", "text", "timezone", "title", "url", "user", "username", "vendor", "version",
    "zip", "dest", "destination", "tailnum", "genre", "director", "distributor",
}  # fmt: skip
_TIMES = (
    "event_time", "event_timestamp", "occurred_at", "event_date", "timestamp", "ts", "time", "datetime", "dt",
    "date_time", "created_at", "created", "created_time", "creation_date", "date",
)  # fmt: skip
_OF_TIME = {"time", "timestamp", "tstamp", "ts", "datetime", "at", "dt", "date", "day", "on", "epoch", "millis",
            "created"}  # fmt: skip
_UNITS = {"s", "sec", "secs", "seconds", "ms", "millis", "us", "micros", "ns", "nanos", "utc", "gmt"}
"""What a name of a time may end in, to say how it counts or of which zone it is: `ts_ms`, `created_at_utc`."""
_LATER = {"update", "updated", "modified", "changed", "deleted", "ended", "end", "closed", "expires", "expiry", "valid",
          "until", "arrival", "received", "birth", "due", "scheduled"}  # fmt: skip
_CARRIED = {"ingested", "ingestion", "load", "loaded", "exported", "extracted", "etl", "processed", "synced",
            "imported", "inserted", "fivetran", "airbyte"}  # fmt: skip
"""Times of what carries the events, and not of what they are about."""
_VERSIONS = (
    "updated_at", "modified_at", "last_modified", "last_updated", "last_update", "changed_at", "updated", "modified",
    "lsn", "version", "revision", "sequence", "seq", "updated_on", "last_modified_at", "modification_date",
)  # fmt: skip
_PERSONAL = {
    "email": {"email", "mail"}, "phone": {"phone", "telephone", "tel", "mobile", "fax", "msisdn"},
    "name": {"firstname", "lastname", "fullname", "surname", "forename", "givenname", "familyname", "middlename"},
    "address": {"street", "postcode", "zipcode", "postalcode"},
    "birth": {"birthday", "birthdate", "dob", "dateofbirth"},
    "government_id": {"ssn", "passport", "nin", "taxid", "vatid", "nationalid", "socialsecurity"},
    "bank_account": {"iban", "bic", "accountnumber"}, "card": {"cardnumber", "creditcard", "pan", "cvv", "cvc"},
    "ip": {"ip", "ipaddress", "ipv4", "ipv6", "remoteaddr", "clientip"}, "password": {"password", "passwd", "secret"},
    "gender": {"gender"},
}  # fmt: skip
_LABELS = {"zip", "zipcode", "postcode", "postal", "phone", "telephone", "mobile", "fax", "isbn", "ean", "gtin", "iban",
           "barcode", "upc", "ssn", "card"}  # fmt: skip
_PEOPLE = {"customer", "user", "client", "person", "contact", "employee", "patient", "member", "passenger", "billing",
           "shipping", "home", "delivery", "recipient", "sender", "author", "owner", "guest"}  # fmt: skip


def parts(name: str) -> list[str]:
    """Return the words of a name in small letters: `orderID`, `order_id` and `Order Id` have the same two."""
    return [part.lower() for part in _PART.findall(name)]


def is_identity(name: str) -> bool:
    """Say whether a name says that the values tell things apart."""
    words = parts(name)
    return bool(words) and (words[-1] in _IDENTITY or words[0] in {"id", "uuid", "guid"})


def is_money(name: str) -> bool:
    """Say whether a name is one of amounts of money."""
    words = parts(name)
    return bool(_MONEY & set(words)) and not _NO_MONEY & set(words)


def is_label(name: str) -> bool:
    """Say whether digits under this name are a label that nobody calculates with, as a phone number is."""
    return bool(_LABELS & set(parts(name)))


def is_open(name: str) -> bool:
    """Say whether new values of what is named so come up all the time, however few a sample has."""
    return is_identity(name) or bool(_OPEN & set(parts(name)))


def is_time(name: str) -> bool:
    """Say whether a name is one of points in time."""
    words = parts(name)
    last = {*words[-1:], *_without_unit(words)[-1:]}
    return bool(last & _OF_TIME) or words[:1] in (["timestamp"], ["date"], ["time"])


def event_time_rank(name: str) -> int:
    """Return how likely a time of this name is when the event happened; the least is the likeliest."""
    words = _without_unit(parts(name))
    plain = "_".join(words)
    if plain in _TIMES:
        return _TIMES.index(plain)
    if _CARRIED & set(words):
        return 95
    if _LATER & set(words):
        return 90
    return 30 if is_time(name) else 60


def _without_unit(words: list[str]) -> list[str]:
    return words[:-1] if len(words) > 1 and words[-1] in _UNITS else words


def version_rank(name: str) -> int | None:
    """Return how likely values of this name order the versions of a thing; None where they hardly do."""
    plain = "_".join(_without_unit(parts(name)))
    return _VERSIONS.index(plain) if plain in _VERSIONS else None


def key_rank(name: str, source: str) -> int | None:
    """Return how likely a field of this name is the key of a source's events, the least first; None: it is none."""
    words = parts(name)
    plain = "_".join(words)
    things = {source, *singulars(source), *singulars(source.rpartition("_")[2])}
    if plain in {f"{thing}_{word}" for thing in things for word in ("id", "uuid", "key", "number", "no", "nr")}:
        return 0
    known = ("id", "event_id", "uuid", "guid", "message_id", "_".join(("event", "uuid")), "record_id", "request_id")
    if plain in known:
        return 1 + known.index(plain)
    if not is_identity(name) or words[-1] in {"code", "token"}:
        return None
    return 20 if words[-1] in {"id", "uuid", "guid"} else 30


def singulars(word: str) -> list[str]:
    """Return what one of many is called: `orders` is of an `order`."""
    found = [word]
    if word.endswith("ies"):
        found.append(word[:-3] + "y")
    if word.endswith("es"):
        found.append(word[:-2])
    if word.endswith("s"):
        found.append(word[:-1])
    return found


def personal_kind(name: str, within: str = "") -> str | None:
    """Return which kind of personal data a name says, or None; `within` is the name of the object around it."""
    words = parts(name)
    joined = {"".join(pair) for pair in pairwise(words)} | {"".join(words)}
    for kind, known in _PERSONAL.items():
        if known & (set(words) | joined):
            return kind
    people = _PEOPLE & {*words, *(parts(within) if len(words) == 1 else ())}
    if people and words[-1] in {"name", "address"}:
        return words[-1]
    return None
