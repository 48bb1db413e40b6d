"""Reading the quarantine: what failed, why, and the message itself; what a contract tags as personal is masked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.errors import InputError
from headrace.lake.reader import open_reader
from headrace.stages.masking import Maskings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.config.project import Project
    from headrace.stages.masking import Masking

_COLUMNS = (
    "id, source, dataset, seq, ingest_time, stage, code, reason, path, value, contract_version, fingerprint, status"
)


def listed(project: Project, *, source: str | None = None, code: str | None = None, limit: int = 50) -> dict[str, Any]:
    """Return the failures, latest first, and how many there are in each cluster of equal ones."""
    where, parameters = _where(source=source, code=code)
    with open_reader(project.state / "lake") as lake:
        if lake is None:
            return {"total": 0, "clusters": [], "messages": []}
        clusters = lake.rows(
            "SELECT fingerprint, source, stage, code, "
            "regexp_replace(any_value(path), '\\[\\d+\\]', '[*]', 'g') AS path, "
            "min(reason) AS reason, min(dataset) AS dataset, count(*) AS messages, min(id) AS example "
            f"FROM lake.ops.quarantine {where} "
            "GROUP BY ALL ORDER BY messages DESC, fingerprint",
            parameters,
        )
        messages = lake.rows(
            f"SELECT {_COLUMNS} FROM lake.ops.quarantine {where} "
            f"ORDER BY ingest_time DESC, source, seq DESC LIMIT {limit}",
            parameters,
        )
    for each in clusters:  # a cluster is of one dataset
        each |= _masking(project, each).failure(each | {"value": None})  # noqa: PLW2901 - in place
        del each["value"], each["dataset"]
    return {
        "total": sum(each["messages"] for each in clusters),
        "clusters": clusters,
        "messages": [_masking(project, each).failure(each) for each in messages],
    }


def shown(project: Project, message_id: str) -> dict[str, Any]:
    """Return one failure with its message from bronze: attributes, and payload as text with undecodable bytes escaped.

    Raises `InputError` where no quarantined message has this id.
    """
    with open_reader(project.state / "lake") as lake:
        found = lake.rows(f"SELECT {_COLUMNS} FROM lake.ops.quarantine WHERE id = ?", [message_id]) if lake else []
        if lake is None or not found:
            raise InputError(f"no quarantined message {message_id!r}", at="quarantine", fix="headrace quarantine list")
        failure = found[0]
        message = lake.rows(
            'SELECT "partition", "offset", attributes, payload FROM lake.bronze.messages WHERE source = ? AND seq = ?',
            [failure["source"], failure["seq"]],
        )[0]
    payload = bytes(message.pop("payload"))
    masking = _masking(project, failure)
    text = masking.payload(payload) if masking.hides else payload.decode("utf-8", "backslashreplace")
    return masking.failure(failure) | message | {"bytes": len(payload), "payload": text}


def _masking(project: Project, failure: Mapping[str, Any]) -> Masking:
    """Return the masking of a failure's dataset as its contract is now; it was masked by the contract of then."""
    source = project.sources.get(failure["source"])
    return Maskings(source.datasets if source else ())[failure["dataset"]]


def _where(**equal: str | None) -> tuple[str, list[str]]:
    asked = {name: value for name, value in equal.items() if value is not None}
    conditions = [f"{name} = ?" for name in asked]
    return f"WHERE {' AND '.join(conditions)}" if conditions else "", list(asked.values())
