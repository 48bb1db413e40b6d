"""Who is let in: what a request shows, held against the tokens of the environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.errors import ConfigError
from headrace.http.problems import Refused
from headrace.identity.tokens import Role, Tokens

if TYPE_CHECKING:
    from headrace.identity.tokens import Token, TokenFile

_CHALLENGE = (("www-authenticate", 'Bearer realm="headrace"'),)


class Access:
    """Decides for one server; `refresh` takes up what changed in the file of tokens."""

    def __init__(self, file: TokenFile, *, is_loopback: bool) -> None:
        self._file = file
        self._is_loopback = is_loopback
        self._version = file.version()
        self._problem = ""
        self._tokens = Tokens()
        self._read()

    @property
    def problem(self) -> str:
        """Why nobody is let in, if the tokens cannot be read."""
        return self._problem

    def refresh(self) -> None:
        """Read the tokens again if their file has changed."""
        version = self._file.version()
        if version != self._version:
            self._version = version
            self._read()

    def has_live_tokens(self) -> bool:
        """Whether anybody could come in from another machine."""
        return any(token.is_live for token in self._tokens.all)

    def is_open(self, role: Role, source: str | None = None) -> bool:
        """Whether this is let through without a token: on a loopback address, until there is a token for it."""
        return self._is_loopback and not self._problem and not self._tokens.guards(role, source)

    def check(self, authorization: str | None, role: Role, source: str | None = None) -> bool:
        """Let a request through, and return whether as an admin. Raises `Refused`: 401 who are you, 403 not you."""
        holder = self._holder(authorization, is_open=self.is_open(role, source))
        if holder is None:
            return False
        if not holder.covers(role, source):
            meant = f"sends events to {holder.source or 'any source'}"
            raise Refused(
                403,
                "wrong_token",
                f"the token {holder.id} {meant}, and this is something else",
                at="header Authorization",
                fix="use the token of this source"
                if role is Role.WRITE
                else "use an admin's token: headrace token create --admin",
            )
        return holder.role is Role.ADMIN

    def check_any(self, authorization: str | None) -> None:
        """Let through whoever holds any live token; on a loopback address everybody, until there is one."""
        self._holder(authorization, is_open=self._is_loopback and not self._tokens.all)

    def _holder(self, authorization: str | None, *, is_open: bool) -> Token | None:
        """Return whose token a request shows; None where it shows none, and needs none."""
        if self._problem:
            raise Refused(503, "tokens_unreadable", self._problem, fix="the operator must mend the file of tokens")
        if not authorization:
            if is_open:
                return None
            raise Refused(
                401,
                "no_token",
                "this needs a token",
                at="header Authorization",
                fix="send `Authorization: Bearer TOKEN`; `headrace token create` makes one",
                headers=_CHALLENGE,
            )
        scheme, _, text = authorization.partition(" ")
        holder = self._tokens.holder(text.strip()) if scheme.lower() == "bearer" else None
        if holder is None:
            raise Refused(
                401,
                "bad_token",
                "the token is unknown or was revoked",
                at="header Authorization",
                fix="send `Authorization: Bearer TOKEN` with a token that `headrace token list` shows as live",
                headers=_CHALLENGE,
            )
        return holder

    def _read(self) -> None:
        try:
            self._tokens, self._problem = self._file.read(), ""
        except ConfigError as problem:
            self._tokens, self._problem = Tokens(), problem.message
