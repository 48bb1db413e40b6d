"""Which way the shop's messages go."""

import socket

from headrace.demo.doors import FolderDoor, is_taken


def test_a_port_on_which_somebody_listens_is_taken():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert is_taken("127.0.0.1", port)
    assert not is_taken("127.0.0.1", port)


def test_a_file_lands_whole_and_each_under_a_name_of_its_own(tmp_path):
    door = FolderDoor(tmp_path / "landing")
    for payload in (b'{"a": 1}', b'{"b": 2'):
        door.send("tickets", [payload, payload])
    files = sorted((tmp_path / "landing").iterdir())
    assert [each.suffix for each in files] == [".ndjson", ".ndjson"]
    assert [each.read_bytes() for each in files] == [b'{"a": 1}\n' * 2, b'{"b": 2\n' * 2]
