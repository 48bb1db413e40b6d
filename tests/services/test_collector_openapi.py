"""The OpenAPI document is exact: what it allows is taken, what it forbids is refused, as it says; by schemathesis."""

from __future__ import annotations

import os
import subprocess
import sys

from collecting import collecting
from living import project_of

CONFIG = """
[phases.stateful]
enabled = false

[parameters]
source = "orders"
"""


def test_schemathesis_finds_nothing(tmp_path):
    project = project_of(tmp_path / "project")
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    with collecting(project) as door:
        assert door.post("orders", '[{"id": "a"}, {"id": 5}]').status_code == 202
        ran = subprocess.run(
            [
                sys.executable, "-m", "schemathesis.cli", "run", f"{door.url}/openapi.json",
                "--max-examples", "20", "--seed", "7", "--suppress-health-check", "all", "--no-color",
            ],
            cwd=tmp_path, env={**os.environ, "NO_PROXY": "*"}, capture_output=True, text=True, timeout=280, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
        assert door.client.get("/health").status_code == 200
