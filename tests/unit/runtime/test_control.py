"""The control socket: whoever is killed while he answers is taken as gone."""

from __future__ import annotations

import socket
import threading

import pytest

from headrace.runtime import control
from headrace.runtime.views.glance import Glances
from living import project_of


@pytest.mark.parametrize("reply", [b'{"answer": {"fail', b"", None])
def test_an_up_that_dies_amid_its_answer_is_not_running(tmp_path, reply):
    project = project_of(tmp_path)
    project.state.mkdir(parents=True)

    def answer():
        client, _ = listener.accept()
        with client:
            if reply is not None:  # else what was asked is left unread, and the connection is reset
                client.recv(1 << 16)
                client.sendall(reply)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(project.state / control.NAME))
        listener.listen()
        for look in (lambda: control.ask(project.state, {"verb": "ping"}), lambda: glanced(project)):
            thread = threading.Thread(target=answer)
            thread.start()
            assert not look()
            thread.join()


def glanced(project):
    with Glances(project) as glances:
        return glances.glance()["running"]
