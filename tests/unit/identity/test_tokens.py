"""Tokens: shown once, kept as digests, ended for good."""

import json
import stat
import threading

import pytest

from headrace.errors import ConfigError, UserError
from headrace.identity.tokens import Role, TokenFile, Tokens


def test_only_its_own_text_finds_a_token(tmp_path):
    file = TokenFile(tmp_path)
    made = [file.create(Role.WRITE, "orders").text for _ in range(3)]
    tokens = file.read()
    assert [tokens.holder(text).id for text in made] == [text.split("_")[1] for text in made]
    first, second = made[:2]
    swapped = f"hr_{first.split('_')[1]}_{second.split('_', 2)[2]}"
    for wrong in ("", "hr_", first[:-1], first + "a", swapped, first.upper(), tokens.all[0].digest):
        assert tokens.holder(wrong) is None
    assert not [text for text in made if text.split("_", 2)[2] in file.path.read_text()]


def test_the_file_is_its_owners_from_the_first_moment(tmp_path):
    file = TokenFile(tmp_path / "state")
    file.create(Role.ADMIN)
    file.path.chmod(0o644)
    file.create(Role.ADMIN)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert not list(file.path.parent.glob("*.draft"))


def test_roles_cover_what_they_are_for(tmp_path):
    file = TokenFile(tmp_path)
    orders, every, admin = (
        file.create(Role.WRITE, "orders").token, file.create(Role.WRITE).token, file.create(Role.ADMIN).token,
    )  # fmt: skip
    assert orders.covers(Role.WRITE, "orders")
    assert not orders.covers(Role.WRITE, "users")
    assert every.covers(Role.WRITE, "users")
    assert not every.covers(Role.ADMIN)
    assert admin.covers(Role.ADMIN)
    assert admin.covers(Role.WRITE, "users")


def test_a_door_that_had_a_lock_stays_locked(tmp_path):
    file = TokenFile(tmp_path)
    assert not file.read().guards(Role.WRITE, "orders")
    token = file.create(Role.WRITE, "orders").token
    file.revoke(token.id)
    assert file.read().guards(Role.WRITE, "orders")
    assert not file.read().guards(Role.WRITE, "users")
    assert not file.read().guards(Role.ADMIN)
    again = file.revoke(token.id)
    assert again.revoked_at == file.read().all[0].revoked_at
    with pytest.raises(UserError, match="token list"):
        file.revoke("nobody")


def test_many_who_change_the_file_at_once_lose_nothing(tmp_path):
    threads = [threading.Thread(target=TokenFile(tmp_path).create, args=(Role.WRITE,)) for _ in range(16)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(TokenFile(tmp_path).read().all) == 16


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 2, "tokens": []}', '{"format": 1, "tokens": [{}]}'])
def test_a_file_that_cannot_be_understood_lets_nobody_in(tmp_path, text):
    file = TokenFile(tmp_path)
    file.path.write_text(text)
    with pytest.raises(ConfigError, match="tokens"):
        file.read()
    with pytest.raises(ConfigError):
        file.create(Role.WRITE)
    assert file.path.read_text() == text


def test_no_file_is_no_tokens(tmp_path):
    assert TokenFile(tmp_path).read() == Tokens()
    assert json.dumps(TokenFile(tmp_path).version()) == "null"
