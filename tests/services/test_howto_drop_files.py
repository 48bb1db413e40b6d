"""docs/howto/drop-files.md, typed as it stands."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/howto/drop-files.md"


def test_every_command_of_the_page_does_what_it_says(tmp_path: Path):
    page = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    source = next(text for kind, text in blocks if kind == "yaml" and "pattern: batch_file" in text)
    commands = [line for kind, text in blocks if not kind for line in text.splitlines()]
    assert len(commands) >= 5
    for folder in ("connectors", "schemas", "bin"):
        (tmp_path / folder).mkdir()
    (tmp_path / "headrace.yaml").write_text("name: shop\n")
    (tmp_path / "connectors/orders.yaml").write_text(source)
    schema = {"type": "object", "properties": {"order_id": {"type": "string"}, "amount": {"type": "number"}}}
    (tmp_path / "schemas/orders.json").write_text(json.dumps(schema))
    (tmp_path / "orders-2026-11-20.csv.gz").write_bytes(gzip.compress(b"order_id,amount\no-1,2.50\no-2,3.75\n"))
    shim = tmp_path / "bin/headrace"
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m headrace "$@"\n')
    shim.chmod(0o755)
    environ = os.environ | {
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    said = {}
    for command in commands:
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        said[command] = done.stdout
    assert "2 rows taken, durable" in said["headrace files scan"]
    assert "orders-2026-11-20.csv.gz" in said["headrace files list"]
