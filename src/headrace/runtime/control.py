"""The control socket of a running `up`: one line of JSON in, one line of JSON out.

The socket is `control.sock` in the environment's state folder, readable by its owner only. Where that path is longer
than a socket's name may be, the socket lies in the temporary folder and `control.sock` is a link to it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.errors import BusyError, HeadraceError

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "control.sock"
LONGEST_PATH = 100  # bytes; systems take 104 to 108
MAX_REQUEST_BYTES = 1 << 20
ANSWER_SECS = 600.0


def ask(state: Path, request: dict[str, Any]) -> Any | None:
    """Send a request to the running `up`; return its answer, or None where none is running."""
    path = state / NAME
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(ANSWER_SECS)
        try:
            client.connect(str(path.resolve()))
        except OSError:
            return None
        try:
            client.sendall(json.dumps(request).encode() + b"\n")
            with client.makefile("rb") as lines:
                answer = lines.readline()
        except TimeoutError as problem:
            raise BusyError(
                "the running headrace does not answer",
                at=str(path),
                fix="look at its terminal; Ctrl-C there drains it",
            ) from problem
        except OSError:
            return None  # it was killed while we asked
    if not answer.endswith(b"\n"):
        return None  # it stopped while we asked, or amid its answer
    document = json.loads(answer)
    if "error" in document:
        raise HeadraceError(document["error"], at=str(path))
    return document["answer"]


class ControlServer:
    """Answers requests in threads of its own until closed."""

    def __init__(self, state: Path, answer: Callable[[dict[str, Any]], Any]) -> None:
        """Listen. The caller holds the environment's lock, so a socket that is there already is a dead one's."""
        self._link = state / NAME
        self._path = self._link
        self._link.unlink(missing_ok=True)
        if len(os.fsencode(self._link)) > LONGEST_PATH:
            self._path = Path(tempfile.mkdtemp(prefix="headrace-")) / NAME
            self._link.symlink_to(self._path)
        self._answer = answer
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(self._path))
        self._path.chmod(0o600)
        self._socket.listen(16)
        threading.Thread(target=self._serve, name="control", daemon=True).start()

    def close(self) -> None:
        """Stop listening, and remove the socket."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._link.unlink(missing_ok=True)
        if self._path != self._link:
            self._path.unlink(missing_ok=True)
            self._path.parent.rmdir()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(client,), name="control-client", daemon=True).start()

    def _talk(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), client.makefile("rb") as lines:
            client.settimeout(ANSWER_SECS)
            line = lines.readline(MAX_REQUEST_BYTES)
            try:
                document = {"answer": self._answer(json.loads(line))}
            except (ValueError, KeyError, TypeError) as problem:
                document = {"error": f"that is not a request: {problem}"}
            except HeadraceError as problem:
                document = {"error": str(problem)}
            client.sendall(json.dumps(document, default=str).encode() + b"\n")
