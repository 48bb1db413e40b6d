"""What a subject may have of its own, and has of all otherwise: its compatibility level, and its mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.api.registry.refusal import Refusal
from headrace.api.registry.subjects import Registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.api.registry.asked import Asked


class Setting(NamedTuple):
    """A setting: its `name` in a sentence, its `key` in answers, the `code` where a subject has none of its own."""

    name: str
    key: str
    code: int
    holds: Callable[[Registry, str], str]
    own: Callable[[Registry, str], str | None]
    drop: Callable[[Registry, str, None], str]

    def shown(self, asked: Asked) -> dict[str, str]:
        """Answer what holds for a subject where it has its own, or the default is asked for; or for all."""
        if asked.names and not asked.flag("defaultToGlobal"):
            self._check_own(asked)
        return {self.key: self.holds(asked.registry, asked.subject)}

    def dropped(self, asked: Asked) -> dict[str, str]:
        """Take back what a subject has of its own, or what all have; answer what it was."""
        if asked.names:
            self._check_own(asked)
        return {self.key: self.drop(asked.registry, asked.subject, None)}

    def _check_own(self, asked: Asked) -> None:
        if self.own(asked.registry, asked.subject) is None:
            message = f"Subject '{asked.subject}' does not have subject-level {self.name} configured"
            raise Refusal(self.code, message)


LEVEL = Setting("compatibility", "compatibilityLevel", 40408, Registry.level, Registry.own_level, Registry.set_level)
MODE = Setting("mode", "mode", 40409, Registry.mode, Registry.own_mode, Registry.set_mode)


def set_level(asked: Asked) -> dict[str, Any]:
    """Set a level; answer what was said. Refuses the settings that Confluent has beside it."""
    said = asked.body if isinstance(asked.body, dict) else {}
    more = {name for name, value in said.items() if value is not None} - {"compatibility", "normalize"}
    if more:
        raise Refusal(42205, f"Not offered here: {', '.join(sorted(more))[:200]}")
    asked.registry.set_level(asked.subject, _word(said.get("compatibility")))
    return {name: value.upper() if isinstance(value, str) else value for name, value in said.items()}


def set_mode(asked: Asked) -> dict[str, str]:
    """Set a mode; answer it."""
    mode = _word(asked.said("mode"))
    asked.registry.set_mode(asked.subject, mode, force=asked.flag("force"))
    return {"mode": mode}


def _word(value: object) -> str:
    return value.upper() if isinstance(value, str) else ""
