"""Signatures of requests by Standard Webhooks 1.0: HMAC-SHA256 over id, time and body."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
from typing import TYPE_CHECKING

from headrace.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.secrets.reference import Secret

PREFIX = "whsec_"


def signing_key(secret: Secret, name: str) -> bytes:
    """Return the bytes that a secret stands for: base64, after `whsec_` or without. Raises `ConfigError`, naming it."""
    key = b""
    with contextlib.suppress(binascii.Error, ValueError):  # nothing is raised while the secret is at hand
        key = base64.b64decode(secret.reveal().removeprefix(PREFIX), validate=True)
    if not key:
        raise ConfigError(
            f"{name} is not a key to sign with", at=name, fix='make one: echo "whsec_$(openssl rand -base64 32)"'
        )
    return key


def signed(message_id: str, timestamp: int, body: bytes, keys: Sequence[bytes]) -> dict[str, str]:
    """Return the headers of a request: who it is, when it was sent (Unix seconds), a signature for each key.

    A receiver that knows one of the keys accepts it. The id stays the same when the request is repeated.
    """
    content = f"{message_id}.{timestamp}.".encode() + body
    signatures = [base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode() for key in keys]
    headers = {"webhook-id": message_id, "webhook-timestamp": str(timestamp)}
    if signatures:
        headers["webhook-signature"] = " ".join(f"v1,{each}" for each in signatures)
    return headers
