"""Tokens: what a client shows to be let in. Only their digests are kept.

A token is 256 bits of randomness, so no guess finds one and no rainbow table lists it: one SHA-256 of it at rest is as
good as a slow password hash, and costs a microsecond where that would cost a tenth of a second per request.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import hmac
import json
import os
import secrets
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.disk import make_folder, sync
from headrace.errors import ConfigError, UserError
from headrace.file_lock import hold

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE = "tokens.json"
FORMAT = 1
PREFIX = "hr_"


class Role(StrEnum):
    """What a token lets its holder do."""

    WRITE = "write"  # send events to one source, or to all
    ADMIN = "admin"  # that, for every source, and look at what came in and at the metrics


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is kept. `source` is the one source that a write token is for; None is all of them."""

    id: str
    role: Role
    source: str | None
    note: str
    created_at: str
    revoked_at: str | None
    digest: str

    @property
    def is_live(self) -> bool:
        """Whether it lets anybody in."""
        return self.revoked_at is None

    def covers(self, role: Role, source: str | None = None) -> bool:
        """Whether it is meant for this: an admin's is for everything."""
        if self.role is Role.ADMIN:
            return True
        return role is Role.WRITE and self.source in {None, source}


class Issued(NamedTuple):
    """A new token, and its text: the only time that anybody sees that."""

    token: Token
    text: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of an environment at one moment."""

    all: tuple[Token, ...] = ()

    def holder(self, text: str) -> Token | None:
        """Return the live token whose text this is; how long it takes says nothing of a token's secret."""
        token_id = text.removeprefix(PREFIX).partition("_")[0]
        digest = _digest(text)
        for token in self.all:
            if token.id == token_id and hmac.compare_digest(token.digest, digest):
                return token if token.is_live else None
        return None

    def guards(self, role: Role, source: str | None = None) -> bool:
        """Whether there ever was a token for this: a door that once had a lock stays locked when keys are revoked."""
        if role is Role.ADMIN:
            return any(token.role is Role.ADMIN for token in self.all)
        return any(token.role is Role.WRITE and token.source in {None, source} for token in self.all)


class TokenFile:
    """The tokens of one environment, in a file that only its owner reads; any number of processes may use it."""

    def __init__(self, state: Path) -> None:
        self.path = state / FILE

    def version(self) -> tuple[int, int, int] | None:
        """Return what changes whenever the file does; None where there is none. Cheap enough to ask all the time."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def read(self) -> Tokens:
        """Return the tokens. Raises `ConfigError` where the file cannot be understood: nobody is let in by a guess."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return Tokens()
        except (OSError, UnicodeDecodeError) as problem:
            raise self._unusable(str(problem)) from problem
        try:
            document = json.loads(text)
            if document["format"] != FORMAT:
                raise self._unusable(f"it has format {document['format']}, and this headrace knows {FORMAT}")
            return Tokens(tuple(_token(each) for each in document["tokens"]))
        except (ValueError, KeyError, TypeError) as problem:
            raise self._unusable(f"{type(problem).__name__}: {problem}") from problem

    def create(self, role: Role, source: str | None = None, note: str = "") -> Issued:
        """Make a token, durably. Its text is not kept anywhere."""
        token_id = secrets.token_hex(6)
        text = f"{PREFIX}{token_id}_{secrets.token_urlsafe(32)}"
        token = Token(token_id, role, source, note, _now(), None, _digest(text))
        with self._changing() as tokens:
            self._write((*tokens.all, token))
        return Issued(token, text)

    def revoke(self, token_id: str) -> Token:
        """End a token, durably; once more does nothing. Raises `UserError` where there is none with this id."""
        with self._changing() as tokens:
            found = next((token for token in tokens.all if token.id == token_id), None)
            if found is None:
                raise UserError(f"no token {token_id!r}", at=str(self.path), fix="see the ids: headrace token list")
            ended = found if found.revoked_at else replace(found, revoked_at=_now())
            self._write(tuple(ended if token.id == token_id else token for token in tokens.all))
        return ended

    @contextlib.contextmanager
    def _changing(self) -> Iterator[Tokens]:
        """Read and write under a lock, so that two who change the file at once lose nothing."""
        try:
            make_folder(self.path.parent)
            with hold(self.path.with_suffix(".lock")):
                yield self.read()
        except OSError as problem:
            raise UserError(
                f"the tokens cannot be written: {problem.strerror}",
                at=str(self.path),
                fix=f"see that you may write there: ls -ld {self.path.parent}",
            ) from problem

    def _write(self, tokens: tuple[Token, ...]) -> None:
        draft = self.path.with_suffix(".draft")
        draft.unlink(missing_ok=True)
        document = {"format": FORMAT, "tokens": [asdict(token) for token in tokens]}
        # Never readable by others, not for an instant.
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=1)
        sync(draft)
        draft.replace(self.path)
        sync(self.path.parent)

    def _unusable(self, why: str) -> ConfigError:
        return ConfigError(
            f"the tokens cannot be read: {why}",
            at=str(self.path),
            fix="restore the file, or remove it and create new tokens: headrace token create",
        )


def _token(found: dict[str, Any]) -> Token:
    return Token(**{**found, "role": Role(found["role"])})


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
