"""What the shop sells: the project's own seed, which the generator and the marts share."""

from __future__ import annotations

import csv
from importlib.resources import files
from typing import NamedTuple


class Product(NamedTuple):
    """One product; prices are whole cents, so that totals are exact."""

    id: str
    name: str
    category: str
    cents: int

    @property
    def url(self) -> str:
        """The product's page."""
        return f"/products/{self.id}"


def products() -> list[Product]:
    """Return the products, in the order of the catalogue."""
    text = (files("headrace.demo") / "project" / "seeds" / "product_catalog.csv").read_text(encoding="utf-8")
    return [
        Product(row["product_id"], row["product_name"], row["category"], round(float(row["unit_price"]) * 100))
        for row in csv.DictReader(text.splitlines())
    ]
