"""Clients of a collector: bytes on a socket, and threads that note what was acknowledged to them."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter

import httpx

from living import rows
from machine import wait_until

EVENT = b'{"id": "a"}'


def head(length, *more):
    lines = ["POST /v1/events/orders HTTP/1.1", "host: localhost", f"content-length: {length}", *more]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def answers(connection, count):
    """Return the status codes of so many answers, or of those before the end of the connection."""
    data = b""
    connection.settimeout(30)
    while data.count(b"HTTP/1.1 ") < count or not data.endswith(b"}"):
        try:
            part = connection.recv(65536)
        except ConnectionResetError:
            break
        if not part:
            break
        data += part
    return [int(each[:3]) for each in data.split(b"HTTP/1.1 ")[1:]]


class Clients:
    """Threads that send events, each once, and note what was acknowledged and what was not."""

    def __init__(self, url, threads=4):
        self.url = url
        self.sent, self.acked = set(), set()
        self._stop = threading.Event()
        self._goes = threading.Event()
        self._goes.set()
        self._resting = set()
        self._threads = [threading.Thread(target=self._send, args=(at,)) for at in range(threads)]

    def __enter__(self):
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._goes.set()
        for each in self._threads:
            each.join()

    def pause(self):
        """Let none of them send, once what is on its way has come back."""
        self._goes.clear()
        wait_until(lambda: len(self._resting) == len(self._threads))

    def go_on(self):
        self._goes.set()

    def _send(self, worker):
        number = 0
        while not self._stop.is_set():
            try:
                # No certificates: to read them takes longer than all that a client does here.
                with httpx.Client(base_url=self.url, timeout=20, trust_env=False, verify=False) as client:
                    while not self._stop.is_set():
                        if not self._goes.is_set():
                            self._resting.add(worker)
                            self._goes.wait()
                            self._resting.discard(worker)
                        ids = [f"{worker}-{number + at}" for at in range(1 + number % 3)]
                        number += len(ids)
                        self.sent.update(ids)
                        body = "\n".join(json.dumps({"id": each}) for each in ids)
                        answer = client.post(
                            "/v1/events/orders", content=body, headers={"content-type": "application/x-ndjson"}
                        )
                        if answer.status_code == 202:
                            assert answer.json()["accepted"] == len(ids)
                            self.acked.update(ids)
            except httpx.TransportError:
                time.sleep(0.05)


def assert_once(project, clients):
    """Every acknowledged event is in bronze once and in silver; what was not acknowledged is there once at most."""
    found = rows(project, "SELECT payload FROM lake.bronze.messages")
    there = Counter(json.loads(bytes(row["payload"]))["id"] for row in found)
    assert there.keys() >= clients.acked, f"{len(clients.acked - there.keys())} acknowledged events are missing"
    assert there.keys() <= clients.sent
    assert set(there.values()) == {1}
    kept = Counter(row["id"] for row in rows(project, "SELECT id FROM lake.silver.orders"))
    assert kept == there


def is_open(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True
