"""How one kind of event is treated: all that the stages and silver need to know of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace.contracts.contract import Contract
    from headrace.stages.late import LateSpec
    from headrace.stages.quality import RuleSpec


@dataclass(frozen=True)
class Dataset:
    """A contract, and what makes its rows themselves.

    `name` is the silver table. `key` is empty where every message is an event of its own. `event_time` is None where
    the time of ingestion stands for it. `timezone` (IANA) gives naive times their zone.
    """

    name: str
    contract: Contract
    key: tuple[str, ...] = ()
    version_by: str | None = None
    event_time: str | None = None
    timezone: str = "UTC"
    late: LateSpec | None = None
    rules: tuple[RuleSpec, ...] = field(default=())
