"""A project in a folder, written file by file."""

import json
import textwrap

import pytest

FIELDS = {
    "order_id": {"type": "string"},
    "amount": {"type": "number"},
    "ordered_at": {"type": "string", "format": "date-time"},
    "updated_at": {"type": "string", "format": "date-time"},
    "customer": {"type": "object", "properties": {"email": {"type": "string"}}},
    "items": {"type": "array", "items": {"type": "object", "properties": {"price": {"type": "number"}}}},
}
ORDERS = """\
source_id: orders
ingestion: {pattern: event_streaming}
schema: {file: schemas/orders.json}
event_time: ordered_at
processing:
  bronze_to_silver:
    - deduplication: {key: [order_id], version_by: updated_at}
"""


class Shop:
    """The project's folder, and how to put files into it."""

    def __init__(self, root):
        self.root = root
        self.write("headrace.yaml", "name: shop\n")
        self.write("schemas/orders.json", json.dumps({"type": "object", "properties": FIELDS}))

    def write(self, file, text):
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(text, bytes):
            path.write_bytes(text)
        else:
            path.write_text(textwrap.dedent(text))
        return path

    def source(self, text, source_id="orders"):
        return self.write(f"connectors/{source_id}.yaml", text)


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path / "shop")


@pytest.fixture
def orders():
    return ORDERS
