"""One tree of errors, grouped by who must act.

HeadraceError
├── UserError          the user must act; never retried; exit code 2
│   ├── ConfigError    a project file is wrong
│   ├── ContractError  a contract cannot be used
│   ├── InputError     a file or request to publish cannot be read
│   ├── QueryError     a query is not allowed, or not valid
│   ├── BuildError     models do not build, or their tests fail
│   └── BusyError      another process holds what this one needs
├── ExternalError      the world must heal; retried
│   ├── BusError       the bus cannot be reached or written
│   ├── LakeError      the lake cannot be read or committed
│   │   └── InDoubtError   whether a commit took place cannot be told now
│   ├── EnrichError    reference data cannot be had now
│   └── SpaceError     a disk is full
└── InternalError      our bug; stop, and report it
"""

from __future__ import annotations


class HeadraceError(Exception):
    """The root. Says what happened, where (`file:line` or a place in the system), and what to type next."""

    def __init__(self, message: str, *, at: str = "", fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.at = at
        self.fix = fix

    def __str__(self) -> str:
        """One paragraph: `at: message (fix)`, leaving out what is unknown."""
        text = f"{self.at}: {self.message}" if self.at else self.message
        return f"{text}. {self.fix}" if self.fix else text


class UserError(HeadraceError):
    """The user must act; never retried."""


class ConfigError(UserError):
    """A project file is wrong."""


class ContractError(UserError):
    """A contract cannot be used."""


class InputError(UserError):
    """A file or request to publish cannot be read."""


class QueryError(UserError):
    """A query is not allowed, or not valid."""


class BuildError(UserError):
    """Models do not build, or their tests fail."""


class BusyError(UserError):
    """Another process holds what this one needs."""


class ExternalError(HeadraceError):
    """The world must heal; retried with backoff."""


class BusError(ExternalError):
    """The bus cannot be reached or written."""


class LakeError(ExternalError):
    """The lake cannot be read or committed."""


class InDoubtError(LakeError):
    """A commit failed, and whether it took place cannot be told now: its files stay, and positions will say."""


class EnrichError(ExternalError):
    """Reference data cannot be had now: a lookup is missing or too large; its source waits, and loses nothing."""


class SpaceError(ExternalError):
    """A disk is full: nothing was acknowledged, and work goes on when space returns."""


class InternalError(HeadraceError):
    """A promise of our own code is broken; stop, and report it."""
