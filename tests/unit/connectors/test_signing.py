"""Signatures: the published example of Standard Webhooks, and secrets that stay unseen."""

import base64

import pytest

from headrace.connectors.signing import signed, signing_key
from headrace.errors import ConfigError
from headrace.secrets.reference import Secret


def test_the_example_of_the_standard():
    key = signing_key(Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "secret://env/KEY")
    headers = signed("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', [key])
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert headers["webhook-id"] == "msg_p5jXN8AQM9LWM0D4loKWxJek"
    assert headers["webhook-timestamp"] == "1614265330"


def test_while_a_secret_is_rotated_there_is_a_signature_for_each():
    keys = [b"new", b"old"]
    both = signed("m", 1, b"{}", keys)["webhook-signature"].split()
    assert both == [signed("m", 1, b"{}", [key])["webhook-signature"] for key in keys]
    assert "webhook-signature" not in signed("m", 1, b"{}", [])


def test_a_key_may_come_without_its_prefix():
    plain = base64.b64encode(b"k" * 32).decode()
    assert signing_key(Secret(plain), "x") == signing_key(Secret(f"whsec_{plain}"), "x") == b"k" * 32


@pytest.mark.parametrize("text", ["c4n4ry!", "whsec_c4n4ry!", "", "whsec_"])
def test_what_is_no_key_is_named_and_never_shown(text):
    with pytest.raises(ConfigError) as problem:
        signing_key(Secret(text), "secret://env/KEY")
    assert "secret://env/KEY" in str(problem.value)
    assert "c4n4ry" not in repr(problem.value)
    assert problem.value.__context__ is None
