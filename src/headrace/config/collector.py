"""The `collector:` section of headrace.yaml: where events come in over HTTP, and what a request may ask of the machine.

built in  <  `collector:` of headrace.yaml  <  `collector:` of the environment  <  HEADRACE_COLLECTOR_<NAME>
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, ValidationError

from headrace.errors import ConfigError
from headrace.spec import Spec

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "HEADRACE_COLLECTOR_"
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-]+(:\d+)?|https?://\[[0-9a-fA-F:]+\](:\d+)?")


def _host(text: str) -> str:
    if text == "localhost":
        return text
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is no address to listen on: write 127.0.0.1, 0.0.0.0, ::1, :: or another of this machine"
        ) from None
    return text


def _origin(text: str) -> str:
    if text != "*" and not _ORIGIN.fullmatch(text):
        raise ValueError(f"{text!r} is no origin: write such as https://shop.example.com, without a path, or '*'")
    return text


class CollectorSpec(Spec):
    """Where events come in over HTTP, and how much of it; as a layer, only what is set counts."""

    enabled: bool = Field(default=True, description="Whether `headrace up` starts the collector.")
    host: Annotated[str, AfterValidator(_host)] = Field(
        default="127.0.0.1", description="The address to listen on; any but a loopback address needs tokens."
    )
    port: int = Field(default=8080, ge=0, le=65535, description="The port to listen on; 0 takes a free one.")
    workers: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description="How many processes take events in (default: one for every two cores, four at most).",
    )
    allowed_origins: tuple[Annotated[str, AfterValidator(_origin)], ...] = Field(
        default=(), description="The origins whose pages may send events from a browser; '*' is all of them."
    )
    max_body_bytes: int = Field(
        default=10 << 20, ge=1, le=1 << 30, description="How large a request's body may be, decompressed."
    )
    max_event_bytes: int = Field(default=1 << 20, ge=1, le=64 << 20, description="How large one event may be.")
    max_events: int = Field(default=100_000, ge=1, description="How many events one request may hold.")
    max_depth: int = Field(
        default=100, ge=1, le=1000, description="How deep the objects and arrays of an event may nest."
    )
    header_secs: float = Field(
        default=10.0, gt=0, le=600, description="How long a client may take to send a request's head."
    )
    body_secs: float = Field(default=30.0, gt=0, le=600, description="How long a client may take to send a body.")
    max_connections: int = Field(default=10_000, ge=1, le=1_000_000, description="How many connections may be open.")
    max_waiting_bytes: int = Field(
        default=64 << 20, ge=1, description="How many bytes of all sources may wait for their acknowledgement."
    )
    max_waiting_bytes_per_source: int = Field(
        default=32 << 20, ge=1, description="How many bytes of one source may wait for their acknowledgement."
    )
    bus_secs: float = Field(
        default=2.0,
        gt=0,
        le=600,
        description="How long events wait for a bus that others keep busy before they go to the spool.",
    )
    spool_folder: str | None = Field(
        default=None,
        description="Where events are kept while the bus cannot take them, best on another disk (default: beside it).",
    )
    spool_max_bytes: int = Field(
        default=256 << 20, ge=0, description="How large the spool may grow; 0 is no spool at all."
    )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback

    def said(self) -> dict[str, Any]:
        """Return what this layer says, and nothing that it leaves to the layers below."""
        return {name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set}


def collector_settings(*layers: CollectorSpec, environ: Mapping[str, str]) -> CollectorSpec:
    """Return the settings of several layers, the later over the earlier, and the environment's variables over all.

    Raises `ConfigError` naming the variable whose value is wrong.
    """
    said: dict[str, Any] = {}
    for layer in layers:
        said |= layer.said()
    given: dict[str, Any] = {
        name: environ[f"{VARIABLE}{name.upper()}"]
        for name in CollectorSpec.model_fields
        if f"{VARIABLE}{name.upper()}" in environ
    }
    if "allowed_origins" in given:
        given["allowed_origins"] = [each.strip() for each in given["allowed_origins"].split(",") if each.strip()]
    try:
        above = CollectorSpec.model_validate(given)
    except ValidationError as error:
        fault = error.errors()[0]
        variable = f"{VARIABLE}{str(fault['loc'][0]).upper()}"
        raise ConfigError(
            fault["msg"].removeprefix("Value error, "), at=f"${variable}", fix=f"unset {variable}, or correct it"
        ) from None
    return CollectorSpec(**{**said, **above.said()})
