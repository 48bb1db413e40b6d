"""The key that an environment signs with: ed25519, made on first use, readable by its owner only."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headrace.disk import is_full, make_folder, sync
from headrace.errors import ConfigError, SpaceError
from headrace.file_lock import hold

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

PRIVATE, PUBLIC = "signing-key.pem", "signing-key.pub"
_MAX_BYTES = 1 << 16
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class ProjectKey:
    """A private key, which nothing shows, and its public half as text: 64 hexadecimal digits."""

    public: str
    _private: Any = field(repr=False)

    @classmethod
    def of_pem(cls, pem: str, at: str) -> ProjectKey:
        """Read a private key (PKCS 8, not encrypted). Raises `ConfigError`, which never quotes it."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            private = load_pem_private_key(pem.encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            private = None
        if not isinstance(private, Ed25519PrivateKey):
            raise ConfigError(
                "this is no private ed25519 key in PEM", at=at, fix="make one: openssl genpkey -algorithm ed25519"
            )
        return cls(private.public_key().public_bytes_raw().hex(), private)

    def sign(self, message: bytes) -> str:
        """Return the signature of a message: 128 hexadecimal digits."""
        signature: bytes = self._private.sign(message)
        return signature.hex()


def signed(message: bytes, signature: str, public: str) -> bool:
    """Say whether a signature is that of this message by this key. What is no signature or no key is not."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        if (bytes.fromhex(signature).hex(), bytes.fromhex(public).hex()) != (signature, public):
            return False  # the same bytes, written in another way
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(bytes.fromhex(signature), message)
    except (ValueError, InvalidSignature):
        return False
    return True


def fingerprint(public: str) -> str:
    """Return the name of a public key, short enough to compare by eye."""
    return hashlib.sha256(public.encode()).hexdigest()[:16]


def project_key(state: Path) -> ProjectKey:
    """Return the key of an environment; where there is none yet, make it, durably.

    Raises `ConfigError` where others may read it, where it is no plain file, and where it cannot be made.
    """
    path = state / PRIVATE
    try:
        make_folder(state)
        with hold(state / "signing-key.lock"):
            if not os.path.lexists(path):
                _make(path)
            key = ProjectKey.of_pem(_read(path), str(path))
            if public_key(state) != key.public:  # a key of one's own was put there, or the first use was cut short
                _write(state / PUBLIC, key.public + "\n", 0o644)
    except OSError as problem:
        if is_full(problem):
            raise SpaceError("the disk is full", at=str(path), fix="free some space") from problem
        raise ConfigError(
            f"the project's key cannot be used: {problem.strerror}", at=str(path), fix=f"check: ls -ld {state} {path}"
        ) from problem
    else:
        return key


def public_key(state: Path) -> str | None:
    """Return the public half of an environment's key; None where none was ever made."""
    try:
        return (state / PUBLIC).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _make(path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write(path, pem.decode(), 0o600)


def _read(path: Path) -> str:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError("the project's key is no file", at=str(path), fix="remove it: a new one is made")
        if found.st_mode & _OTHERS:
            raise ConfigError("others may read the project's key", at=str(path), fix=f"chmod 600 {path}")
        return file.read(_MAX_BYTES).decode("utf-8", "replace")


def _write(path: Path, text: str, mode: int) -> None:
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    # Never readable by others, not for an instant.
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)
    sync(draft)
    draft.replace(path)
    sync(path.parent)
