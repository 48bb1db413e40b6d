"""Tools for tests of plans: files that change, events that come, models beside them."""

import json

from headrace.config.project import load_project
from living import KEYED, ORDERS, messages, run_out, sqlite_bus, ticking, write_source

MART = "select _event_date as day, sum(amount) as revenue from {{ source('silver', 'orders') }} group by all"
TOTAL = "select sum(revenue) + 1 as total from {{ ref('daily') }}"


def with_amount(**schema):
    """Return the schema of orders with another amount."""
    return {**ORDERS, "properties": {**ORDERS["properties"], "amount": schema}}


def change(project, schema=None, more=KEYED, source="orders"):
    """Write other files of a source, and load the project."""
    write_source(project.root, source, schema=schema, more=more)
    return load_project(project.root)


def publish(project, *events, source="orders", limit=0):
    """Send events and take them, at most so many a batch."""
    with sqlite_bus(project) as bus:
        bus.publish(source, messages(events))
        with ticking(project, bus) as (tick, _):
            run_out(tick, project.sources, limit)


def write_models(project, **models):
    (project.root / "dbt_project.yml").write_text("name: lab\nversion: '1.0'\n")
    (project.root / "models").mkdir(exist_ok=True)
    for name, sql in models.items():
        (project.root / f"models/{name}.sql").write_text(sql)


def dumped(document):
    return json.loads(json.dumps(document, default=str))
