"""A project that takes the shop's orders, and `headrace up` over it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import shop_events

if TYPE_CHECKING:
    from pathlib import Path

SEED = 7


def make_project(root: Path, names: list[str]) -> Path:
    """Write a project with these sources."""
    (root / "connectors").mkdir(parents=True)
    (root / "schemas").mkdir()
    (root / "headrace.yaml").write_text("name: bench\n")
    (root / "schemas" / "orders.json").write_text(json.dumps(shop_events.SCHEMA))
    for name in names:
        (root / "connectors" / f"{name}.yaml").write_text(
            f"source_id: {name}\n"
            "ingestion: {pattern: event_streaming, message_format: json}\n"
            "schema: {file: schemas/orders.json, validation: strict}\n"
            "event_time: ordered_at\n"
            "processing:\n"
            "  bronze_to_silver:\n"
            "    - deduplication: {key: [order_id], version_by: ordered_at}\n"
            "    - data_quality: {rules: [{field: amount, check: positive_number}]}\n"
        )
    return root


def start(root: Path, *, collector: bool = True, workers: int = 1) -> tuple[subprocess.Popen[str], str]:
    """Start `up`; return it and its collector's address, once all workers listen."""
    environment = {
        **os.environ,
        "HEADRACE_COLLECTOR_PORT": "0",
        "HEADRACE_COLLECTOR_ENABLED": str(collector),
        "HEADRACE_COLLECTOR_WORKERS": str(workers),
    }
    up = subprocess.Popen(
        [sys.executable, "-m", "headrace", "up", "--json", "--no-build", "--project", str(root)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert up.stdout is not None
    for line in up.stdout:
        children = json.loads(line).get("children")
        if children is not None and not collector:
            return up, ""
        said = (children or {}).get("collector", {})
        if said.get("listening") and None not in said.get("workers", {}).values():
            return up, str(said["listening"])
    raise SystemExit(f"up ended with {up.wait()}")


def check(root: Path, acknowledged: int) -> dict[str, int]:
    """Stop where an acknowledged event is missing, or the ledger does not balance."""
    from headrace.config.project import load_project
    from headrace.runtime.views.status import status

    found = status(load_project(root))["orders"]
    if not found.balanced:
        raise SystemExit(f"not balanced: {found.unbalanced}")
    if found.lag:
        raise SystemExit(f"{found.lag} messages were not drained")
    if found.ledger["accepted"] < acknowledged:
        raise SystemExit(f"{acknowledged} were acknowledged, {found.ledger['accepted']} accepted")
    return dict(found.ledger)
