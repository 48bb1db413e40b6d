"""What changes of contracts: each change by its rule, with the verdict for readers and for writers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.contracts.compatibility import Verdict, compare
from headrace.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Mapping

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
