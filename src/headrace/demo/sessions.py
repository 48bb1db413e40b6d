"""One visit to the shop: what is clicked, what is bought, and what is asked of customer support afterwards."""

from __future__ import annotations

import datetime as dt
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.demo.people import pick, weighed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from random import Random

    from headrace.demo.catalogue import Product

Event = dict[str, Any]

DEVICES = (
    ({"type": "mobile", "os": "iOS", "browser": "Safari"}, 0.31),
    ({"type": "mobile", "os": "Android", "browser": "Chrome"}, 0.27),
    ({"type": "desktop", "os": "Windows", "browser": "Edge"}, 0.16),
    ({"type": "desktop", "os": "macOS", "browser": "Safari"}, 0.14),
    ({"type": "desktop", "os": "Linux", "browser": "Firefox"}, 0.05),
    ({"type": "tablet", "os": "iPadOS", "browser": "Safari"}, 0.07),
)
REFERRERS = ((None, 0.45), ("https://search.example/", 0.3), ("https://social.example/", 0.15), ("newsletter", 0.1))
PAYMENTS = (("card", 0.6), ("paypal", 0.3), ("invoice", 0.1))
SUBJECTS = {
    "delivery": ("Where is my parcel?", "The parcel arrived damaged"),
    "refund": ("I would like to return an item", "My refund has not arrived"),
    "product": ("Does this come in another colour?", "A part is missing"),
    "account": ("I cannot sign in", "Please change my address"),
}
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
CLOSING_MS = 15_000  # what is sent twice has come by then, too


class Pace(NamedTuple):
    """How fast things follow each other: as in life, or fast enough to watch."""

    click_ms: int
    payment_ms: int
    support_ms: int


AS_IN_LIFE = Pace(click_ms=75_000, payment_ms=10 * MINUTE_MS, support_ms=20 * HOUR_MS)
TO_WATCH = Pace(click_ms=4_000, payment_ms=15_000, support_ms=40_000)


class Step(NamedTuple):
    """An event on its way: when it happens, and on which source."""

    at: int
    source: str
    event: Event


class Visit:
    """Tells a visit event by event, in order of time. All that is drawn comes from `rng`."""

    def __init__(
        self,
        rng: Random,
        products: Sequence[Product],
        user_id: str | None,
        session_id: str,
        number: Callable[[str], str],
        pace: Pace,
        before: float = inf,
    ) -> None:
        """`number` makes the next id of a kind: `evt`, `txn`, `tkt`. What follows from a visit happens `before`."""
        self._before = before
        self._rng, self._products, self._pace, self._number = rng, products, pace, number
        self._session = {"session_id": session_id, "user_id": user_id}
        self._device = weighed(rng, DEVICES)
        self._at = 0

    def clicks(self, start: int, referrer: str | None) -> Iterator[Step]:
        """Yield the clicks of somebody who only looks around."""
        self._at = start
        yield self._click("page_view", "/", "Home", referrer=referrer)
        for _ in range(int(self._rng.random() ** 2 * 9)):
            yield from self._look(pick(self._rng, self._products))

    def whole(self, start: int) -> Iterator[Step]:
        """Yield the clicks, and what follows from them: an order, its payment, a question to support."""
        rng = self._rng
        referrer = weighed(rng, REFERRERS)
        self._at = start
        yield self._click("page_view", "/", "Home", referrer=referrer)
        basket: list[tuple[Product, int]] = []
        for _ in range(1 + int(rng.random() ** 2 * 9)):
            product = pick(rng, self._products)
            yield from self._look(product)
            if rng.random() < 0.18:
                quantity = 1 + int(rng.random() ** 3 * 4)
                basket.append((product, quantity))
                yield self._click("add_to_cart", product.url, product.name, product_id=product.id, quantity=quantity)
        if not basket or rng.random() > 0.58:
            return
        yield self._click("checkout_started", "/checkout", "Checkout")
        if rng.random() > 0.76:
            return
        yield self._click("purchase", "/thank-you", "Thank you")
        yield from self._order(basket)

    def _look(self, product: Product) -> Iterator[Step]:
        if self._rng.random() < 0.18:
            search = {"query": product.name.split()[-1].lower(), "results": 1 + int(self._rng.random() * 12)}
            yield self._click("search", "/search", "Search", search=search)
        elif self._rng.random() < 0.4:
            yield self._click("page_view", f"/{product.category}", product.category.title())
        yield self._click("product_view", product.url, product.name, product_id=product.id)

    def _click(self, kind: str, url: str, title: str, referrer: str | None = None, **more: Any) -> Step:
        at = self._at
        self._at += 1 + int(self._rng.random() * self._pace.click_ms)
        event = {"event_id": self._number("evt"), **self._session, "event_type": kind, "event_timestamp": iso(at)}
        page = {"url": url, "title": title, "referrer": referrer}
        return Step(at, "clickstream", {**event, "page": page, "device": self._device, **more})

    def _order(self, basket: list[tuple[Product, int]]) -> Iterator[Step]:
        rng, at = self._rng, self._at
        items = [
            {
                "product_id": product.id,
                "quantity": quantity,
                "unit_price": product.cents / 100,
                "item_amount": product.cents * quantity / 100,
            }
            for product, quantity in basket
        ]
        method = weighed(rng, PAYMENTS)
        card = f"{int(rng.random() * 10_000):04d}" if method == "card" else None
        order = {
            "transaction_id": self._number("txn"),
            **self._session,
            "transaction_timestamp": iso(at),
            "updated_at": iso(at),
            "status": "pending",
            "currency": "EUR",
            "total_amount": sum(product.cents * quantity for product, quantity in basket) / 100,
            "payment": {"method": method, "card_last4": card},
            "items": items,
        }
        yield Step(at, "transactions", order)
        outcome = weighed(rng, (("completed", 0.94), ("failed", 0.04), ("suspicious", 0.02)))
        paid = self._after(at, self._pace.payment_ms)
        order = {**order, "updated_at": iso(paid), "status": outcome}
        yield Step(paid, "transactions", order)
        if outcome == "completed" and rng.random() < 0.18:
            yield from self._ticket(self._after(paid, self._pace.support_ms), order)

    def _ticket(self, at: int, order: Event) -> Iterator[Step]:
        rng, wait_ms = self._rng, self._pace.support_ms
        category = weighed(rng, (("delivery", 0.4), ("refund", 0.3), ("product", 0.2), ("account", 0.1)))
        subject = pick(rng, SUBJECTS[category])
        ticket: Event = {
            "ticket_id": self._number("tkt"),
            "user_id": order["user_id"],
            "transaction_id": order["transaction_id"] if category != "account" else None,
            "opened_at": iso(at),
            "updated_at": iso(at),
            "channel": weighed(rng, (("chat", 0.45), ("email", 0.4), ("phone", 0.15))),
            "category": category,
            "priority": weighed(rng, (("low", 0.3), ("normal", 0.55), ("high", 0.15))),
            "status": "open",
            "subject": subject,
            "messages": [{"author": "customer", "sent_at": iso(at), "body": subject}],
            "satisfaction": None,
        }
        yield Step(at, "customer_support", ticket)
        answered = self._after(at, wait_ms)
        answer = {"author": "agent", "sent_at": iso(answered), "body": "Thank you for writing. We are looking into it."}
        messages = [*ticket["messages"], answer]
        yield Step(
            answered,
            "customer_support",
            {**ticket, "updated_at": iso(answered), "status": "pending", "messages": messages},
        )
        solved = self._after(answered, wait_ms)
        stars = weighed(rng, ((None, 0.4), (5, 0.3), (4, 0.15), (3, 0.08), (2, 0.04), (1, 0.03)))
        yield Step(
            solved,
            "customer_support",
            {
                **ticket,
                "updated_at": iso(solved),
                "status": "solved",
                "messages": [*messages, {"author": "agent", "sent_at": iso(solved), "body": "This is solved now."}],
                "satisfaction": stars,
            },
        )
        if category == "refund":
            yield Step(solved, "transactions", {**order, "updated_at": iso(solved), "status": "refunded"})

    def _after(self, at: int, most_ms: int) -> int:
        """Return some time later; sooner where there is little time left."""
        return at + 1 + int(self._rng.random() * max(0, min(most_ms, self._before - CLOSING_MS - at)))


def iso(at_ms: int) -> str:
    """Return an instant as producers write it: UTC, to the millisecond."""
    seconds, rest = divmod(at_ms, 1000)
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"
