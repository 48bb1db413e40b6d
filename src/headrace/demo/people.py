"""Who shops here: customers, and how what is known of them changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

T = TypeVar("T")

FIRST_NAMES = """Ada Anna Ben Carla Chen Clara Daan Elif Emma Femi Finn Greta Hugo Ines Ivan Jana Jonas Kofi Lara Leila
Liam Lotte Luca Maja Marco Mia Milan Nadia Nils Noor Olga Omar Paul Pia Rosa Sami Sara Sofia Tariq Theo Uma Vera Yuki
Zoe""".split()  # noqa: SIM905 - a name a line would be a page
LAST_NAMES = """Almeida Andersen Bakker Bauer Costa Dubois Eriksen Fischer Garcia Hansen Jansen Kaya Keller Kowalska
Larsen Lopez Martin Meyer Moreau Nowak Okafor Olsen Petrov Rossi Schmidt Silva Tanaka Urban Vogel Weber
Yilmaz""".split()  # noqa: SIM905
PLACES = (
    ("Berlin", "DE", "10115"),
    ("Hamburg", "DE", "20095"),
    ("Graz", "AT", "8010"),
    ("Lyon", "FR", "69001"),
    ("Paris", "FR", "75011"),
    ("Gent", "BE", "9000"),
    ("Utrecht", "NL", "3511"),
    ("Porto", "PT", "4000"),
    ("Milano", "IT", "20121"),
    ("Oslo", "NO", "0150"),
)
TIERS = ("basic", "plus", "premium")


def pick(rng: Random, of: Sequence[T]) -> T:
    """Return one of these, each as likely; stable across versions of Python, as `random()` is."""
    return of[int(rng.random() * len(of))]


def weighed(rng: Random, of: Sequence[tuple[T, float]]) -> T:
    """Return one of these by their weights, which add up to 1."""
    left = rng.random()
    for thing, weight in of:
        left -= weight
        if left < 0:
            return thing
    return of[-1][0]


def newcomer(user_id: str, rng: Random) -> dict[str, Any]:
    """Return the profile of somebody new."""
    first, last = pick(rng, FIRST_NAMES), pick(rng, LAST_NAMES)
    return {
        "user_id": user_id,
        "name": f"{first} {last}",
        "email": f"{first}.{last}{user_id[-4:]}@example.com".lower(),
        "address": _address(rng),
        "loyalty_tier": weighed(rng, (("basic", 0.7), ("plus", 0.22), ("premium", 0.08))),
        "marketing_consent": rng.random() < 0.6,
    }


def change(profile: dict[str, Any], rng: Random) -> dict[str, Any]:
    """Return what changes when somebody moves, climbs a tier, marries, or thinks again about the newsletter."""
    match weighed(rng, (("moves", 0.3), ("tier", 0.4), ("name", 0.1), ("consent", 0.2))):
        case "moves":
            return {"address": _address(rng)}
        case "tier":
            return {"loyalty_tier": pick(rng, [tier for tier in TIERS if tier != profile["loyalty_tier"]])}
        case "name":
            return {"name": f"{profile['name'].split()[0]} {pick(rng, LAST_NAMES)}"}
        case _:
            return {"marketing_consent": not profile["marketing_consent"]}


def _address(rng: Random) -> dict[str, str]:
    city, country, postal_code = pick(rng, PLACES)
    return {"city": city, "country": country, "postal_code": postal_code}
