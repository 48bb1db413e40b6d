"""`policies/contracts.yaml`: how a team wants its contracts to be, and where they are not so.

It is held against the newest version of every contract by `headrace check`; it changes nothing that runs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from headrace.config.faults import Fault, did_you_mean
from headrace.config.files import inside, parse_yaml, read_text, read_yaml
from headrace.config.validation import Origin, validated
from headrace.contracts import pii
from headrace.contracts.places import Place, places_of
from headrace.errors import ConfigError
from headrace.spec import Spec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from headrace.config.files import Document, Key
    from headrace.config.source import Read, Source
    from headrace.contracts.versions import Version

POLICY_FILE = "policies/contracts.yaml"
COMMON = (
    "address", "birth date", "birthday", "card number", "credit card", "date of birth", "email", "e mail", "first name",
    "full name", "iban", "ip", "ip address", "last name", "mobile", "msisdn", "passport", "password", "phone",
    "postal code", "social security", "ssn", "street", "surname", "telephone", "zip",
)  # fmt: skip
"""What `pii_names: common` stands for."""

Rule = Literal[
    "all", "source_names", "field_names", "required_fields", "owner", "key", "event_time", "descriptions", "pii_names"
]
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def _linear(text: str) -> str:
    """Return a regular expression that RE2 takes: it matches in linear time, whatever the names are."""
    import pyarrow as pa

    try:
        _matching(text, ["name"])
    except pa.ArrowInvalid as error:
        said = str(error).split(": ", 2)[-1].strip()[:120]
        raise ValueError(
            f"{text[:60]!r} is no regular expression that runs in linear time ({said}): "
            "write one without look-around, references back or large repetitions"
        ) from None
    return text


def _matching(pattern: str, names: Sequence[str]) -> list[bool]:
    import pyarrow as pa
    import pyarrow.compute as pc

    found: list[bool] = pc.match_substring_regex(pa.array(names, pa.string()), f"^(?:{pattern})$").to_pylist()
    return found


class ContractPolicy(Spec):
    """How contracts are named and what they say; a rule that is not given holds nobody."""

    source_names: str | None = Field(
        default=None,
        max_length=500,
        description="A regular expression that every source id matches as a whole.",
        examples=["(sales|web)_[a-z_]+"],
    )
    field_names: str | None = Field(
        default=None,
        max_length=500,
        description="A regular expression that every field's name matches as a whole, at any depth.",
        examples=["[a-z][a-z0-9_]*"],
    )
    required_fields: tuple[str, ...] = Field(
        default=(), description="Fields that every contract has.", examples=[["event_id", "occurred_at"]]
    )
    owner: bool = Field(default=False, description="Every source has an owner.")
    key: bool = Field(default=False, description="Every dataset has a key.")
    event_time: bool = Field(default=False, description="Every dataset has an event time.")
    descriptions: int = Field(
        default=0, ge=0, le=100, description="How many percent of a contract's fields have a description, at least."
    )
    pii_names: Literal["common"] | tuple[str, ...] = Field(
        default=(),
        description="Words of names whose fields must have a tag for personal data (`x-pii: false` says that it is "
        "none); `common` for a list of ours.",
        examples=["common", ["email", "phone number"]],
    )
    severity: Literal["error", "warning"] = Field(default="error", description="What a breach is.")
    except_: dict[str, tuple[Rule, ...]] = Field(
        default={},
        alias="except",
        description="Rules that do not hold for a source, by its id; or all.",
        examples=[{"legacy_orders": ["field_names", "owner"]}],
    )

    @field_validator("except_", mode="before")
    @classmethod
    def _one_for_a_list(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: [rules] if isinstance(rules, str) else rules for name, rules in value.items()}

    @field_validator("source_names", "field_names")
    @classmethod
    def _safe(cls, text: str | None) -> str | None:
        return None if text is None else _linear(text)

    def holds(self, rule: Rule, source: str) -> bool:
        """Return whether a rule that is given holds for a source."""
        return not {"all", rule} & set(self.except_.get(source, ()))


def policy_faults(root: Path, reads: Sequence[Read]) -> list[Fault]:
    """Return what is wrong with the policy, and every breach of it at its line."""
    path = root / POLICY_FILE
    if not path.is_file():
        return []
    try:
        if not inside(path, (root,)):
            raise ConfigError("the file is a link that leaves the project", at=f"{POLICY_FILE}:1", fix="copy it here")
        document = read_yaml(path, POLICY_FILE)
    except ConfigError as error:
        place, _, line = error.at.rpartition(":")
        return [Fault("error", place, int(line), error.message, error.fix)]
    if not isinstance(document.value, dict):
        return [Fault("error", POLICY_FILE, 1, "a policy is a mapping", "start it with `owner: true`")]
    origin = Origin(document)
    policy, faults, _ = validated(ContractPolicy, document.value, origin)
    if policy is None:
        return faults
    known = [read.source.id for read in reads if read.source is not None]
    unread = [read.origin.document.file for read in reads if read.source is None]
    faults += [
        origin.error(("except", name), f"no source '{name}'", did_you_mean(name, known))
        for name in policy.except_
        if name not in known and not any(file.rpartition("/")[2].startswith(f"{name}.") for file in unread)
    ]
    for read in reads:
        if read.source is not None:
            faults += _Breaches(root, policy, read.source, read.origin).found()
    return faults


class _Breaches:
    """Holds one source against the policy."""

    def __init__(self, root: Path, policy: ContractPolicy, source: Source, origin: Origin) -> None:
        self._root = root
        self._policy = policy
        self._source = source
        self._origin = origin
        self._lines: dict[str, Document | None] = {}

    def found(self) -> list[Fault]:
        policy, source = self._policy, self._source
        faults: list[Fault] = []
        named = policy.source_names if policy.holds("source_names", source.id) else None
        if named is not None and not _matching(named, [source.id])[0]:
            message = f"the name {source.id} does not match {named}"
            faults.append(self._at_source("source_names", ("source_id",), message, "rename the source"))
        if policy.owner and policy.holds("owner", source.id) and not source.owner:
            faults.append(self._at_source("owner", ("source_id",), f"{source.id} has no owner", "add `owner: TEAM`"))
        for dataset in source.datasets:
            if policy.key and policy.holds("key", source.id) and not dataset.key:
                fix = "add `- deduplication: {key: […]}` to processing.bronze_to_silver"
                faults.append(self._at_source("key", ("processing",), f"{dataset.name} has no key", fix))
            if policy.event_time and policy.holds("event_time", source.id) and not dataset.event_time:
                message = f"{dataset.name} has no event time"
                faults.append(self._at_source("event_time", ("source_id",), message, "add `event_time: FIELD`"))
            if dataset.versions:
                faults += self._contract(dataset.versions[-1])
        return faults

    def _contract(self, version: Version) -> Iterator[Fault]:
        policy, source = self._policy, self._source
        places = list(places_of(version.document))
        if policy.required_fields and policy.holds("required_fields", source.id):
            known = {column.name for column in version.contract.columns}
            for name in policy.required_fields:
                if name not in known:
                    message = f"the contract of {source.id} has no field {name}"
                    yield self._at("required_fields", version, (), message, did_you_mean(name, known) or f"add {name}")
        if policy.field_names and places and policy.holds("field_names", source.id):
            good = _matching(policy.field_names, [place.name for place in places])
            for place, matches in zip(places, good, strict=True):
                if not matches:
                    message = f"the field {place.path} does not match {policy.field_names}"
                    yield self._at("field_names", version, place.key, message, "rename it, in a new version")
        if policy.pii_names and policy.holds("pii_names", source.id):
            yield from self._untagged(version, places)
        if policy.descriptions and places and policy.holds("descriptions", source.id):
            lacking = [place for place in places if not str(place.part.get("description") or "").strip()]
            percent = 100 * (len(places) - len(lacking)) // len(places)
            if percent < policy.descriptions:
                some = ", ".join(place.path for place in lacking[:4]) + (", …" if len(lacking) > 4 else "")
                message = f"{percent}% of the fields have a description, and {policy.descriptions}% should"
                yield self._at("descriptions", version, lacking[0].key, message, f"describe {some}")

    def _untagged(self, version: Version, places: Iterable[Place]) -> Iterator[Fault]:
        said = COMMON if self._policy.pii_names == "common" else self._policy.pii_names
        wanted = [_words(each) for each in said]
        for place in places:
            words = _words(place.name)
            looks = next((each for each in wanted if _within(each, words)), None)
            if looks is not None and not place.tagged and not place.part.keys() & set(pii.WORDS):
                message = f"the field {place.path} looks personal ({' '.join(looks)}), and has no tag"
                fix = 'add `"x-pii": true`; or `false`, where it is not'
                yield self._at("pii_names", version, place.key, message, fix)

    def _at_source(self, rule: Rule, key: Key, message: str, fix: str) -> Fault:
        make = self._origin.error if self._policy.severity == "error" else self._origin.warning
        return make(key, f"{message} ({POLICY_FILE}: {rule})", fix)

    def _at(self, rule: Rule, version: Version, key: Key, message: str, fix: str) -> Fault:
        if not version.file:
            return self._at_source(rule, ("schema", "inline", *key), message, fix)
        line = self._document(version.file)
        said = f"{message} ({POLICY_FILE}: {rule})"
        return Fault(self._policy.severity, version.file, 1 if line is None else line.line(key), said, fix)

    def _document(self, file: str) -> Document | None:
        """Return a schema's file with the line of each of its keys; None where it is too large for that."""
        if file not in self._lines:
            try:
                self._lines[file] = parse_yaml(read_text(self._root / file, file), file)  # JSON is YAML
            except ConfigError:
                self._lines[file] = None
        return self._lines[file]


def _words(name: str) -> tuple[str, ...]:
    return tuple(word.lower() for word in _WORDS.findall(name))


def _within(some: tuple[str, ...], words: tuple[str, ...]) -> bool:
    return any(words[at : at + len(some)] == some for at in range(len(words) - len(some) + 1)) if some else False
