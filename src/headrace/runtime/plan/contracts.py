"""What changes of contracts: each change by its rule, with the verdict for readers and for writers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.contracts.compatibility import Verdict, compare
from headrace.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.config.project import Project
    from headrace.stages.dataset import Dataset


def contract_changes(was: Project | None, now: Project) -> list[dict[str, Any]]:
    """Return the contracts that are others: what changed in each, and whether events of before are taken no more.

    `breaks` is false where the version of before is still among the contract's: then its events are brought up to date.
    """
    if was is None:
        return []
    then, here = _datasets(was), _datasets(now)
    found: list[dict[str, Any]] = []
    for name in sorted(then.keys() | here.keys()):
        old, new = then.get(name), here.get(name)
        if old is not None and new is not None and _versions(old) == _versions(new):
            continue
        changes = _compared(old, new) if old is not None and new is not None and old.contract != new.contract else []
        kept = old is not None and new is not None and old.contract.version in _versions(new)
        found.append(
            {
                "dataset": name,
                "action": "added" if old is None else "removed" if new is None else "changed",
                "was": old.contract.version if old is not None else "",
                "now": new.contract.version if new is not None else "",
                "versions": list(_versions(new)) if new is not None else [],
                "changes": changes,
                "breaks": not kept and any(each["backward"] != Verdict.COMPATIBLE.value for each in changes),
            }
        )
    return found


def not_upcast(now: Project, dataset: str, versions: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return, in words, which rows are read by a newer version as they stand, though an upcast leads there.

    An event that names no version has the newest that it satisfies. Where an older one does so by chance, what the
    upcast would have computed is not: an amount of 142 stays 142, though others of its version become cents.
    """
    new = _datasets(now).get(dataset)
    names = list(_versions(new)) if new is not None else []
    found = []
    for each in versions:
        if new is None or each["was"] not in names or each["now"] not in names:
            continue
        way = names[names.index(each["was"]) : names.index(each["now"])]
        newer = _name(new, each["now"])
        if any(new.upcasts.get(_name(new, word)) for word in way):
            older = _name(new, each["was"])
            found.append(
                f"{each['rows']:,} rows of silver.{dataset} that were {older} satisfy {newer} as they stand, and are "
                f"not upcast: let events of {newer} name it, and say what others are "
                f"(schema.version_from, with default: {older}), or require a field that older lack"
            )
    return found


def _name(dataset: Dataset, word: str) -> str:
    return next((each.name for each in dataset.versions if each.contract.version == word), word)


def _datasets(project: Project) -> dict[str, Dataset]:
    return {each.name: each for source in project.sources.values() for each in source.datasets}


def _versions(dataset: Dataset) -> tuple[str, ...]:
    return tuple(each.contract.version for each in dataset.versions) or (dataset.contract.version,)


def _compared(old: Dataset, new: Dataset) -> list[dict[str, Any]]:
    try:
        changes = compare(_document(old), _document(new))
    except ContractError as problem:
        said = {"pointer": "#", "rule": "undecided", "backward": "undecided", "forward": "undecided"}
        return [said | {"why": problem.message, "backward_example": None, "forward_example": None, "fix": problem.fix}]
    return [
        {
            "pointer": each.pointer,
            "rule": each.rule,
            "backward": each.backward.value,
            "forward": each.forward.value,
            "why": each.why,
            "backward_example": each.backward_example,
            "forward_example": each.forward_example,
            "fix": each.fix,
        }
        for each in changes
    ]


def _document(dataset: Dataset) -> Mapping[str, Any]:
    """Return the schema as it was written; a dataset that was made by hand has only what the validator uses."""
    return dataset.versions[-1].document if dataset.versions else dataset.contract.schema
