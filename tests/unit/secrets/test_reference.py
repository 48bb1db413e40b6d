"""References to secrets: read early, resolved late, never shown."""

import copy
import json
import logging
import pickle
import traceback

import orjson
import pytest
from pydantic import BaseModel, ConfigDict

from headrace.errors import ConfigError
from headrace.secrets.reference import Secret, SecretReference, is_reference

CANARY = "canary-4a1f9c"


def test_a_reference_reads_and_prints_the_same():
    for text in [
        "secret://env/STRIPE_KEY",
        "secret://file/secrets/key",
        "secret://file//run/secrets/key",
        "secret://gcp/a-b",
    ]:
        assert str(SecretReference.parse(text)) == text
        assert is_reference(text)
    assert not is_reference("stripe-api-key")
    assert not is_reference(7)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("secret://vault/x", "names no store"),
        ("secret://", "names no store"),
        ("secret://env/", "needs a name"),
        ("secret://env/A-B", "needs a name"),
        ("secret://file/a\0b", "needs a name"),
        ("stripe-api-key", "names no store"),
    ],
)
def test_what_is_no_reference_says_what_is(text, said):
    with pytest.raises(ConfigError) as raised:
        SecretReference.parse(text)
    assert said in raised.value.message
    assert "secret://" in raised.value.fix


def test_from_the_environment(tmp_path):
    reference = SecretReference.parse("secret://env/KEY")
    assert reference.resolve(tmp_path, {"KEY": CANARY}).reveal() == CANARY
    with pytest.raises(ConfigError, match="is not set") as raised:
        reference.resolve(tmp_path, {"OTHER": CANARY})
    assert CANARY not in str(raised.value)


def test_from_a_file(tmp_path):
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/key").write_text(f"{CANARY}\n")
    assert SecretReference.parse("secret://file/secrets/key").resolve(tmp_path).reveal() == CANARY
    absolute = SecretReference.parse(f"secret://file/{tmp_path}/secrets/key")
    assert absolute.resolve(tmp_path / "elsewhere").reveal() == CANARY
    with pytest.raises(ConfigError, match="cannot be read"):
        SecretReference.parse("secret://file/secrets/none").resolve(tmp_path)
    with pytest.raises(ConfigError, match="cannot be read"):
        SecretReference.parse("secret://file/secrets").resolve(tmp_path)


def test_a_relative_file_stays_in_the_project(tmp_path):
    (tmp_path / "key").write_text(CANARY)
    project = tmp_path / "project"
    project.mkdir()
    (project / "link").symlink_to(tmp_path / "key")
    for text in ("secret://file/../key", "secret://file/link"):
        with pytest.raises(ConfigError, match="leaves the project"):
            SecretReference.parse(text).resolve(project)


def test_gcp_says_which_extra(tmp_path):
    with pytest.raises(ConfigError) as raised:
        SecretReference.parse("secret://gcp/key").resolve(tmp_path)
    assert "headrace[gcp]" in raised.value.fix


@pytest.mark.parametrize("data", [CANARY.encode() + b"\xff", CANARY.encode() * 10_000])
def test_no_error_shows_a_value_not_even_in_its_traceback(tmp_path, data):
    (tmp_path / "key").write_bytes(data)
    with pytest.raises(ConfigError) as raised:
        SecretReference.parse("secret://file/key").resolve(tmp_path)
    assert CANARY not in "".join(traceback.format_exception(raised.value))
    assert raised.value.__context__ is None


class Holder(BaseModel):
    model_config = ConfigDict(frozen=True)
    secret: Secret


def test_nothing_but_reveal_shows_the_value(caplog):
    secret = Secret(CANARY)
    holder = Holder(secret=secret)
    logging.getLogger("t").warning("got %s %r", secret, holder)
    shown = [
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret!r:>40}",
        f"{secret:x}",
        repr([secret]),
        repr({"a": secret}),
        repr(holder),
        str(holder.model_dump()),
        holder.model_dump_json(),
        json.dumps({"a": secret}, default=str),
        orjson.dumps({"a": secret}, default=str).decode(),
        caplog.text,
        str(vars(holder)),
    ]
    assert not any(CANARY in text for text in shown)
    assert secret.reveal() == CANARY


def test_a_secret_is_written_nowhere():
    for write in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps, orjson.dumps, hash):
        with pytest.raises(TypeError) as raised:
            write(Secret(CANARY))
        assert CANARY not in str(raised.value)
    with pytest.raises(ValueError, match="Secret") as refused:
        Holder(secret="plain text")
    assert "Secret" in str(refused.value)


def test_equal_secrets_are_equal():
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
