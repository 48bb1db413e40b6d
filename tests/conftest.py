"""What all tests share: hypothesis profiles, where the shared material is, and a look at what SQLite opens."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import one_sqlite
from headrace.lake import threads

settings.register_profile("default", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("nightly", parent=settings.get_profile("default"), max_examples=1000)
# `up` starts a collector only in tests that are about it: others must not meet on its port.
os.environ.setdefault("HEADRACE_COLLECTOR_ENABLED", "false")
# What processes that a test starts find first, and do not find: see there.
_FIRST = str(Path(__file__).parent / "as_users_have_it")
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (_FIRST, os.environ.get("PYTHONPATH"))))
# The cores are taken by tests beside each other. Pages of docs, and tests/realdata, run as users do.
os.environ.setdefault(threads.VARIABLE, "1")
# Hundreds of processes would each compile the package anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
one_sqlite.watch()


@pytest.fixture(autouse=True)
def each_file_in_one_sqlite():
    """Fail a test that opened a file in two copies of SQLite, also where a thread of its own did."""
    yield
    twice = one_sqlite.opened_twice.copy()
    one_sqlite.opened_twice.clear()
    assert not twice, "DuckDB had these open when Python's SQLite opened them"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of shared material beside the checkout; tests that use it are skipped where it is absent."""
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("../shared is not there")
    return folder
