"""Versions that were promised: each is still there, and says of events what it said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.contracts.compatibility import Change, Verdict, compare
from headrace.contracts.load import plain_schema
from headrace.contracts.versions import meaning
from headrace.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from headrace.contracts.versions import Version
    from headrace.stages.dataset import Dataset

_TOLD = 3


class Unkept(NamedTuple):
    """A version that is not what it was; `now` is None where it is gone."""

    was: Version
    now: Version | None
    change: Change


def unkept(old: Dataset, new: Dataset) -> Iterator[Unkept]:
    """Yield the numbered versions of a dataset, drafts aside, that are not there any more or say something else.

    What was retired may go: its events are taken no more.
    """
    now = {version.number: version for version in new.versions}
    for version in old.versions:
        if not version.declared or version.lifecycle == "draft":
            continue
        found = now.get(version.number)
        if found is None and version.lifecycle != "retired":
            why = f"{version.name} is gone: its events would be held against other versions, or quarantined"
            fix = f"put {version.file or 'it'} back with its steps of `upcast`, or retire it first"
            yield Unkept(version, None, _change("version-removed", why, fix))
        elif found is not None and content(found) != content(version):
            told = changed(version.document, found.document)
            why = f"{version.name} is not what it was{': ' + told if told else ''}"
            yield Unkept(version, found, _change("version-changed", why, "put it back, and add a version that differs"))


def content(version: Version) -> str:
    """Return the digest of what a version says of events."""
    return meaning(plain_schema(version.document))


def changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Return the first changes between two documents in plain words."""
    drafts = [plain_schema(document)["$schema"] for document in (old, new)]
    said = [f"$schema was {drafts[0]} and is {drafts[1]}"] if drafts[0] != drafts[1] else []
    try:
        said += dict.fromkeys(f"{change.pointer}: {change.why}" for change in compare(old, new))
    except ContractError as error:
        said.append(error.message)
    more = f"; and {len(said) - _TOLD} more" if len(said) > _TOLD else ""
    return "; ".join(said[:_TOLD]) + more


def _change(rule: str, why: str, fix: str) -> Change:
    return Change("#", rule, Verdict.UNDECIDED, Verdict.UNDECIDED, why, fix=fix)
