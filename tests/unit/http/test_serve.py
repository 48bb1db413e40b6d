"""Sockets of several workers on one port, and nobody else's."""

import contextlib
import socket
from collections import Counter

import pytest

from headrace.collector.share import SERVER
from headrace.errors import ConfigError
from headrace.http.serve import EACH_ITS_OWN, listen, listeners, refuse
from machine import free_port, wait_until


def connections(address, count):
    with contextlib.ExitStack() as opened:
        return [opened.enter_context(socket.create_connection(address, timeout=10)) for _ in range(count)]


def accepted(count, *listeners):
    """Accept so many connections, and return how many each got: one may come a moment after its client has it."""
    found = Counter()

    def look():
        for number, each in enumerate(listeners):
            with contextlib.suppress(OSError):  # nobody waits, or it does not listen
                while True:
                    each.accept()[0].close()
                    found[number] += 1
        return found.total() >= count

    wait_until(look)
    return [found[number] for number in range(len(listeners))]


@pytest.mark.skipif(not EACH_ITS_OWN, reason="here all workers share one socket")
def test_connections_are_dealt_out_among_the_workers_that_listen():
    first, second = listeners("127.0.0.1", 0, SERVER, 2)
    with first, second:
        address = first.getsockname()
        connections(address, 20)
        assert accepted(20, first, second) == [20, 0], "the other worker has not come so far"
        for _ in range(2):
            listen(second, SERVER)
            connections(address, 100)
            dealt = accepted(100, first, second)
            assert sum(dealt) == 100
            assert min(dealt) > 10
            refuse(second)  # it has died
            connections(address, 20)
            assert accepted(20, first, second) == [20, 0]


@pytest.mark.parametrize("count", [1, 2])
def test_a_port_is_shared_with_nobody_else(count):
    port = free_port()
    ours = listeners("127.0.0.1", port, SERVER, count)
    for others in (1, 2):
        with pytest.raises(ConfigError, match=f"port {port}"):
            listeners("127.0.0.1", port, SERVER, others)
    for each in ours:
        each.close()
    again = listeners("127.0.0.1", port, SERVER, count)
    for each in again:
        each.close()
