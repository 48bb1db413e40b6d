"""A real HTTP server that a test is pushed to: it notes every request, and answers as the test wants."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass
class Request:
    """One request as it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    status: int = 0

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def events(self) -> list[dict[str, Any]]:
        document = json.loads(self.body)
        return document if isinstance(document, list) else [document]


@dataclass
class Receiver:
    """Answers 204, or what `answer(request, nth of its id)` returns: a status, or (status, headers)."""

    answer: Callable[[Request, int], Any] = lambda *_: 204
    port: int = 0
    requests: list[Request] = field(default_factory=list)

    def __enter__(self) -> Receiver:
        seen: dict[str, int] = {}
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if len(body) < int(self.headers["content-length"]):
                    return  # the sender was killed amid it
                request = Request(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                nth = seen[request.id] = seen.get(request.id, 0) + 1
                answer = receiver.answer(request, nth)
                status, headers = answer if isinstance(answer, tuple) else (answer, {})
                request.status = status
                receiver.requests.append(request)
                try:
                    self.send_response(status)
                    for name, value in {"content-length": "0", **headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                except OSError:
                    return  # the sender gave up, or was killed

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True
            request_queue_size = 64

            def handle_error(self, *_: Any) -> None:
                pass

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def taken(self) -> list[Request]:
        """Return the requests that were answered with success."""
        return [each for each in list(self.requests) if 200 <= each.status < 300]

    def ids(self) -> list[str]:
        """Return the `data.id` of every event that was taken, in the order of arrival."""
        return [event["data"]["id"] for each in self.taken() for event in each.events]


def is_signed(request: Request, secret: str) -> bool:
    """Say whether a request is signed with a secret: the standard's text, followed without our code."""
    key = base64.b64decode(secret.split("_", 1)[1])
    text = b".".join([request.id.encode(), request.headers["webhook-timestamp"].encode(), request.body])
    mine = "v1," + base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
    return mine in request.headers["webhook-signature"].split(" ")
