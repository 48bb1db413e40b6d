"""Which way the shop's messages go."""

import socket

from headrace.demo.doors import is_taken


def test_a_port_on_which_somebody_listens_is_taken():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert is_taken("127.0.0.1", port)
    assert not is_taken("127.0.0.1", port)
