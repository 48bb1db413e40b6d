"""What a source's file says of the versions of a contract: of its schema, or of one of its tables."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from headrace.contracts.versions import VersionSpec, same_version
from headrace.spec import Spec
from headrace.stages.upcast import UpcastStep
from headrace.stages.versioned import VersionFrom


class VersioningSpec(Spec):
    """How far each version is in its life, which one an event has, and how it becomes one of the newest."""

    versions: dict[str, VersionSpec] = Field(
        default={},
        description="How far each version is in its life (default: stable); older ones are files beside the newest.",
        examples=[{"v1": {"status": "deprecated", "until": "2027-03-01"}}],
    )
    version_from: VersionFrom | None = Field(
        default=None,
        description="Where an event names its version (default: it has the newest that it satisfies).",
        examples=[{"attribute": "schema_version"}],
    )
    upcast: dict[str, tuple[UpcastStep, ...]] = Field(
        default={},
        description="The steps that bring an event of a version to the next one, by the version's name.",
        examples=[{"v1": [{"rename": {"cust": "customer_id"}}]}],
    )
    downcast: dict[str, tuple[UpcastStep, ...]] = Field(
        default={},
        description="The steps that bring an event of the next version back to this one, for pushes with a `version`; "
        "needed where `upcast` cannot be turned around.",
        examples=[{"v1": [{"set": {"amount": "cents / 100"}}]}],
    )

    @field_validator("versions", "upcast", "downcast")
    @classmethod
    def _said_once(cls, said: dict[str, Any]) -> dict[str, Any]:
        if same := same_version(said):
            raise ValueError(f"{same[0]!r} and {same[1]!r} are the same version: write what is said of it once")
        return said
