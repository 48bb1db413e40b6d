"""What came in last: read in threads of its own, whatever else this process does."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from headrace.collector.look import Look
from headrace.http.problems import Refused
from living import project_of


def test_the_lake_is_read_though_all_other_threads_are_busy(tmp_path):
    async def run():
        asyncio.get_running_loop().set_default_executor(others := ThreadPoolExecutor(1))
        goes_on = threading.Event()
        others.submit(goes_on.wait, 30)
        try:
            look = Look(None, project, None, None)
            with pytest.raises(Refused) as caught:
                await asyncio.wait_for(look._recent("good", "nobody", ""), 20)
        finally:
            goes_on.set()
        assert caught.value.reason == "unknown_source"

    project = project_of(tmp_path, "orders")
    asyncio.run(run())
