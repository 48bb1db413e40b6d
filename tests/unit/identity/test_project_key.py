"""A key of the project's own: made once, for its owner's eyes, and no other signature passes for its."""

import stat
import threading

import pytest

from headrace.errors import ConfigError
from headrace.identity.project_key import PRIVATE, PUBLIC, ProjectKey, project_key, public_key, signed


def test_the_first_use_makes_it_once_for_its_owner_alone(tmp_path):
    state = tmp_path / "state"
    assert public_key(state) is None
    made = []
    threads = [threading.Thread(target=lambda: made.append(project_key(state))) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert {each.public for each in made} == {public_key(state)}
    assert stat.S_IMODE((state / PRIVATE).stat().st_mode) == 0o600
    assert "PRIVATE" not in (state / PUBLIC).read_text()
    assert "PRIVATE" not in repr(made[0]), str(made[0])
    (state / PUBLIC).unlink()  # the first use was cut short
    assert project_key(state).public == made[0].public == public_key(state)


def test_only_the_same_message_by_the_same_key_is_signed(tmp_path):
    key, other = project_key(tmp_path / "one"), project_key(tmp_path / "other")
    signature = key.sign(b"message")
    assert signed(b"message", signature, key.public)
    forged = [
        (b"massage", signature, key.public),
        (b"message", other.sign(b"message"), key.public),
        (b"message", signature, other.public),
        (b"message", signature.upper(), key.public),
        (b"message", signature[:-2], key.public),
        (b"message", "", key.public),
        (b"message", "not hexadecimal", key.public),
        (b"message", signature, "00"),
        (b"message", signature, "é"),
    ]
    assert not [each for each in forged if signed(*each)]


def test_a_key_that_is_none_or_that_others_read_is_refused(tmp_path):
    made = project_key(tmp_path / "made")
    pem = (tmp_path / "made" / PRIVATE).read_text()
    assert ProjectKey.of_pem(pem, "here").public == made.public
    for wrong in ("", "secret-canary", pem[: len(pem) // 2], pem.replace("PRIVATE", "PUBLIC")):
        with pytest.raises(ConfigError, match="no private ed25519 key") as refused:
            ProjectKey.of_pem(wrong, "secret://env/KEY")
        assert "secret-canary" not in str(refused.value)
    (tmp_path / "made" / PRIVATE).chmod(0o640)
    with pytest.raises(ConfigError, match="others may read"):
        project_key(tmp_path / "made")
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / PRIVATE).symlink_to(tmp_path / "made" / PRIVATE)
    with pytest.raises(ConfigError, match="cannot be used"):
        project_key(linked)
    folder = tmp_path / "folder"
    (folder / PRIVATE).mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"no file|cannot be used"):
        project_key(folder)
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ConfigError, match="cannot be used"):
        project_key(blocked)
