"""A push: what is sent on of a source, where to, and how hard it is tried."""

from __future__ import annotations

import datetime as dt
import ipaddress
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from headrace.connectors.ingestion import Topic
from headrace.durations import Duration
from headrace.secrets.reference import is_reference
from headrace.spec import Spec
from headrace.words import IDENTIFIER

Value = str | bool | int | float | None
"""A scalar of YAML that a field is compared with."""


def _values(value: object) -> object:
    """Turn what YAML reads as a time back into text: only the contract knows what it is compared with."""
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return tuple(_values(each) for each in value)
    return value


def _name(text: str) -> str:
    if not IDENTIFIER.fullmatch(text):
        raise ValueError(f"{text!r} cannot name a push: a lower-case letter, then letters, digits and _, at most 63")
    return text


def _reference(text: str) -> str:
    if not is_reference(text):  # and its text is not repeated: it may be the secret itself
        raise ValueError("a secret is never written in a file: write a reference, such as secret://env/FRAUD_DESK_KEY")
    return text


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def url_fault(url: str) -> str:
    """Return what is wrong with an endpoint's URL, or nothing. Says nothing of the URL itself: it may be a secret."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "it is not a URL: write such as https://example.org/hook"
    if parts.scheme not in {"http", "https"} or not host or port == 0 or any(each.isspace() for each in url):
        return "it is not a URL of http or https: write such as https://example.org/hook"
    if parts.username is not None or parts.password is not None:
        return "a URL does not carry credentials: use `headers: {authorization: secret://env/NAME}`"
    return "it ends in a fragment, which no server sees: write it without the #" if parts.fragment else ""


def is_loopback(host: str) -> bool:
    """Whether a URL's host is this machine by its very name, whatever a resolver says."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _url(text: str) -> str:
    if not is_reference(text) and (wrong := url_fault(text)):
        raise ValueError(wrong)
    return text


def _header(headers: dict[str, str]) -> dict[str, str]:
    taken = {"content-type", "content-length", "host", "traceparent", "transfer-encoding", "connection"}
    for name, value in headers.items():
        lower = name.lower()
        if lower in taken or lower.startswith(("webhook-", "headrace-")):
            raise ValueError(f"the header {name} is ours to set: leave it out")
        if not name.isascii() or not name or not all(each.isalnum() or each in "!#$%&'*+-.^_`|~" for each in name):
            raise ValueError("a header's name is letters, digits and dashes")
        if lower in {"authorization", "proxy-authorization", "x-api-key", "api-key", "cookie"}:
            _reference(value)
        if any(ord(each) < 32 or ord(each) > 126 for each in value):
            raise ValueError(f"the header {name} holds a character that no header may: use plain ASCII")
    return headers


PushName = Annotated[
    str, AfterValidator(_name), WithJsonSchema({"type": "string", "pattern": f"^{IDENTIFIER.pattern}$"})
]
Url = Annotated[str, AfterValidator(_url)]
Reference = Annotated[str, AfterValidator(_reference), WithJsonSchema({"type": "string", "pattern": "^secret://"})]
Secrets = Annotated[
    tuple[Reference, ...],
    BeforeValidator(_several),
    Field(max_length=2),
    WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2}]}
    ),
]
Wanted = Annotated[Value | tuple[Value, ...], BeforeValidator(_values)]


class RetrySpec(Spec):
    """How often and how long an endpoint is tried before an event becomes a dead letter."""

    timeout: Duration = Field(default=dt.timedelta(seconds=10), description="How long one attempt may take.")
    first_delay: Duration = Field(
        default=dt.timedelta(seconds=1), description="The pause after a first failure; it doubles, with jitter."
    )
    longest_delay: Duration = Field(
        default=dt.timedelta(minutes=15), description="The longest pause between two attempts."
    )
    give_up_after: Duration = Field(
        default=dt.timedelta(days=1),
        description="An event that fails for this long since its first attempt becomes a dead letter.",
    )
    max_attempts: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="An event that failed this often becomes a dead letter (default: only time counts)."
    )

    @model_validator(mode="after")
    def _positive(self) -> Self:
        for name in ("timeout", "first_delay"):
            if not getattr(self, name):
                raise ValueError(f"{name} is more than nothing: write such as 1s")
        return self


class TargetSpec(Spec):
    """Where something is sent: an HTTP endpoint, or a topic of the bus."""

    name: PushName = Field(description="The push's name: its position and its dead letters go by it.")
    to: Url | None = Field(
        default=None,
        description="The endpoint: https, or this machine; or a reference to a secret that holds the URL.",
        examples=["https://fraud.example.org/hooks/headrace"],
    )
    secret: Secrets = Field(
        default=(),
        description="What requests are signed with, as a reference; two while a secret is rotated, the new one first.",
        examples=["secret://env/FRAUD_DESK_KEY"],
    )
    headers: Annotated[dict[str, str], AfterValidator(_header)] = Field(
        default={}, description="More headers; a value may be a reference to a secret.", examples=[{"x-team": "risk"}]
    )
    payload: Literal["event", "cloudevent", "data"] | None = Field(
        default=None,
        description="The body: event (id, type, timestamp, data), cloudevent (CloudEvents 1.0), or data alone "
        "(default: event; to a topic: data).",
    )
    retry: RetrySpec = Field(default=RetrySpec(), description="Timeouts, pauses, and when to give up.")


class PushSpec(TargetSpec):
    """One push of a source: which of its events (or failures, or commits), to whom."""

    on: Literal["silver", "quarantined", "batch"] = Field(
        default="silver",
        description="What is sent: events that became silver, messages that were quarantined, or a line per commit.",
    )
    filter: dict[Annotated[str, Field(min_length=1)], Wanted] = Field(
        default={},
        description="Fields and the value, or list of values, that each must have.",
        examples=[{"status": "suspicious"}],
    )
    where: str | None = Field(
        default=None, description="A SQL expression that must be true, as in a quality rule.", examples=["amount > 100"]
    )
    topic: Topic | None = Field(default=None, description="The topic to publish to, in place of an endpoint.")
    version: str | None = Field(
        default=None,
        description="The version of the contract in whose shape events are sent (default: the newest).",
        examples=["v1"],
    )
    max_events: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=1, description="How many events one request holds at most; above 1, the body is a JSON array."
    )
    concurrency: Annotated[int, Field(ge=1, le=32)] = Field(
        default=4, description="How many requests may be under way at once; never two of one key."
    )

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if (self.to is None) == (self.topic is None):
            raise ValueError("a push goes to an endpoint or to a topic: give one of `to:` and `topic:`")
        if self.topic is not None and (self.secret or self.headers):
            raise ValueError("a topic takes neither `secret:` nor `headers:`: leave them out")
        if self.on != "silver" and self.version is not None:
            raise ValueError("only events of silver have a version of the contract: leave out `version:`")
        if self.on == "batch" and (self.filter or self.where is not None):
            raise ValueError("a commit has no fields to filter by: leave out `filter:` and `where:`")
        return self

    @property
    def body(self) -> Literal["event", "cloudevent", "data"]:
        """What the body holds."""
        return self.payload or ("data" if self.topic else "event")


class GoldPushSpec(TargetSpec):
    """A push of what becomes of builds."""

    on: Literal["built", "published", "failed"] = Field(
        default="built", description="Which builds are told of: published ones, failed ones, or both (built)."
    )

    @model_validator(mode="after")
    def _to(self) -> Self:
        if self.to is None:
            raise ValueError("builds are told to an endpoint: give `to:`")
        return self


class PushesSpec(Spec):
    """What holds for all pushes of a project, and who is told of its builds."""

    retention: Duration = Field(
        default=dt.timedelta(days=7),
        description="How long rows stay in ops.outbox once every push has delivered or given up on them.",
    )
    networks: tuple[str, ...] = Field(
        default=(), description="Private networks that endpoints may be in.", examples=[["10.1.0.0/16"]]
    )
    plain_http: tuple[str, ...] = Field(
        default=(), description="Hosts that may be sent to without TLS.", examples=[["alerts.internal"]]
    )
    gold: tuple[GoldPushSpec, ...] = Field(default=(), description="Who is told when a build is published or fails.")

    @model_validator(mode="after")
    def _networks(self) -> Self:
        for each in self.networks:
            try:
                ipaddress.ip_network(each)
            except ValueError:
                raise ValueError(f"{each!r} is not a network: write such as 10.1.0.0/16") from None
        return self


_CARRIES_IPV4 = tuple(map(ipaddress.IPv6Network, ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96")))
"""Networks whose last 32 bits are an IPv4 address: compatible, translated (SIIT), and that of NAT64."""
_NOT_PUBLIC = tuple(map(ipaddress.IPv6Network, ("fec0::/10", "64:ff9b:1::/48")))
"""What `is_global` takes for public in some Pythons: site-local addresses, and the NAT64 of one network."""


def refused_address(host: str, networks: tuple[str, ...]) -> bool:
    """Whether an address is one that no push may reach: private, link-local and the like, and in no listed network.

    An IPv6 address that leads to an IPv4 address (NAT64, 6to4, Teredo, and others) is refused where either of them is.
    """
    try:
        address: Any = ipaddress.ip_address(host)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address  # the very same to a socket
    allowed = [ipaddress.ip_network(each) for each in networks]
    return any(
        not any(each in network for network in allowed) and not _is_public(each)
        for each in (address, *_carried(address))
    )


def _is_public(address: Any) -> bool:
    return address.is_global and not address.is_multicast and not any(address in each for each in _NOT_PUBLIC)


def _carried(address: Any) -> list[ipaddress.IPv4Address]:
    """Return the IPv4 addresses that an IPv6 address leads to."""
    if address.version == 4 or address.is_loopback or address.is_unspecified:  # ::1 and :: carry nothing
        return []
    found = [address.sixtofour, *(address.teredo or ())]
    if any(address in each for each in _CARRIES_IPV4):
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [each for each in found if each is not None]
