"""The base of every component's configuration model."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Spec(BaseModel):
    """Configuration as a value: frozen, and an unknown key is an error.

    A component's Spec stands at the head of its own file; `config/` only assembles them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
