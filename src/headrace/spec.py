"""The base of every component's configuration model."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict


class Spec(BaseModel):
    """Configuration as a value: frozen, and an unknown key is an error.

    A component's Spec stands at the head of its own file; `config/` only assembles them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


def _named_once(names: tuple[str, ...]) -> tuple[str, ...]:
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"{twice!r} is named twice: give each cell a name of its own")
    return names


CellNames = Annotated[tuple[str, ...], AfterValidator(_named_once)]
"""The names of a record's cells in their order, each of its own."""
