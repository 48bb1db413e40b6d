"""What a source may leave unsaid: every default in one place, and the order in which layers override each other.

    built in  <  `defaults:` of headrace.yaml  <  the source file  <  the environment's `overrides:`  <  its changes to
    the one source in `sources:`  <  HEADRACE_<NAME>

A layer overrides with whatever it says, 0 and "" included; it leaves alone what it does not mention.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError

from headrace.errors import ConfigError
from headrace.spec import Spec

if TYPE_CHECKING:
    from collections.abc import Mapping

Evolution = Literal[
    "backward_compatible",
    "forward_compatible",
    "full_compatible",
    "backward",
    "forward",
    "full",
    "backward_transitive",
    "forward_transitive",
    "full_transitive",
    "none",
]


def _zone(name: str) -> str:
    from zoneinfo import ZoneInfo, available_timezones

    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # an unknown zone is a KeyError, a folder of zones an OSError
        from headrace.config.faults import did_you_mean

        hint = did_you_mean(name, available_timezones()) or "write an IANA name such as Europe/Berlin"
        raise ValueError(f"{name!r} is not a time zone: {hint}") from None
    return name


TimeZone = Annotated[str, AfterValidator(_zone)]
Validation = Literal["strict", "lenient"]
SlaMinutes = Annotated[int, Field(ge=0)]
FreshnessSecs = Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)]
BatchRows = Annotated[int, Field(ge=1, le=1_000_000)]


class Settings(Spec):
    """The settings that every source has, with the values built in; as a layer, only what is set counts."""

    timezone: TimeZone = Field("UTC", description="The IANA zone of times that carry none.")
    validation: Validation = Field(
        "strict", description="strict quarantines an event with unknown fields; lenient keeps them in _extra."
    )
    evolution: Evolution = Field("backward_compatible", description="Which changes of the schema are allowed.")
    sla_minutes: SlaMinutes | None = Field(None, description="How old the newest data may be before an alert.")
    freshness_secs: FreshnessSecs = Field(1.0, description="How soon after an event arrives a commit is due.")
    batch_rows: BatchRows = Field(100_000, description="How many messages one batch holds at most.")

    def said(self) -> dict[str, Any]:
        """Return what this layer says, and nothing that it leaves to the layers below."""
        return {name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set}


SOURCE_KEYS: Mapping[str, tuple[str, ...]] = {
    "timezone": ("timezone",),
    "validation": ("schema", "validation"),
    "evolution": ("schema", "evolution"),
    "sla_minutes": ("monitoring", "sla_minutes"),
    "freshness_secs": ("processing", "freshness_secs"),
    "batch_rows": ("processing", "batch_rows"),
}
"""Where a source file says each setting."""


def layered(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Return one mapping of several, the later over the earlier; mappings merge, all else replaces."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            below = merged.get(key)
            both = isinstance(below, dict) and isinstance(value, dict)
            merged[key] = layered(below, value) if both else value  # type: ignore[arg-type]
    return merged


def said_by_source(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a source, in its full form, says itself."""
    said: dict[str, Any] = {}
    for name, path in SOURCE_KEYS.items():
        value: Any = source
        for key in path:
            if not isinstance(value, dict) or key not in value:
                break
            value = value[key]
        else:
            # `batch_rows:` with nothing after it says nothing; where nobody need say a value, it says nobody does.
            if value is not None or Settings.model_fields[name].default is None:
                said[name] = value
    return said


def said_by_environ(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings that HEADRACE_<NAME> variables give, validated. Raises ConfigError naming the variable."""
    given = {variable.removeprefix("HEADRACE_").lower(): value for variable, value in variables(environ).items()}
    try:
        parsed = Settings.model_validate(given)
    except ValidationError as error:
        fault = error.errors()[0]
        variable = f"HEADRACE_{str(fault['loc'][0]).upper()}" if fault["loc"] else "HEADRACE_…"
        raise ConfigError(
            fault["msg"].removeprefix("Value error, "), at=f"${variable}", fix=f"unset {variable}, or correct it"
        ) from None
    return {name: getattr(parsed, name) for name in given}


def variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return those of the environment's variables that are settings: what `said_by_environ` looks at."""
    names = (f"HEADRACE_{name.upper()}" for name in Settings.model_fields)
    return {name: environ[name] for name in names if name in environ}
