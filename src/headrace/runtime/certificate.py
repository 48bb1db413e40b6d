"""A certificate: what was verified, when, by which versions, signed.

The text of a certificate is the one way to write what it says, and its signature is over that text without the line of
the signature. So whatever byte is changed, it is another text than was signed, or none that Headrace writes.
"""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Any

import duckdb
from pydantic import ValidationError

import headrace
from headrace.disk import is_full, sync
from headrace.errors import InputError, SpaceError, UserError
from headrace.lake.digests import Digest
from headrace.spec import Spec

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping
    from pathlib import Path

    from headrace.config.project import Project
    from headrace.identity.project_key import ProjectKey
    from headrace.runtime.verify import Evidence

FORMAT = 1
MAX_BYTES = 256 << 20
SIGNATURE = "signature"


class CertifiedSource(Spec):
    """A source as it was: how many messages were taken, its totals by dataset and contract version, its partitions."""

    taken: int
    ledger: list[dict[str, int | str]]
    partitions: dict[str, dict[str, str]]


class Certificate(Spec):
    """All that a certificate says. `verdict` is the document of `headrace verify --json`."""

    format: int
    project: str
    environment: str
    made_at: str
    deployment: str
    versions: dict[str, str]
    contracts: dict[str, str]
    holds: bool
    verdict: dict[str, Any]
    sources: dict[str, CertifiedSource]
    public_key: str
    signature: str

    def text(self) -> str:
        """Return it as it is written."""
        return _text(self.model_dump(mode="json"))

    def message(self) -> bytes:
        """Return what is signed."""
        said = self.model_dump(mode="json")
        del said[SIGNATURE]
        return _text(said).encode()


def certify(project: Project, found: Evidence, key: ProjectKey, now: dt.datetime) -> Certificate:
    """Return the signed certificate of what was found. Raises `UserError` where there is nothing to certify."""
    if found.verdict.snapshot is None:
        raise UserError(
            "nothing was ever committed here: there is nothing to certify", fix="headrace up, and send some events"
        )
    sources = {
        name: CertifiedSource(
            taken=found.next_seqs.get(name, 0),
            ledger=found.ledgers[name],
            partitions={
                each.name: {date.isoformat(): str(digest) for date, digest in found.partitions[each.name].items()}
                for each in source.datasets
            },
        )
        for name, source in found.sources.items()
    }
    unsigned = Certificate(
        format=FORMAT,
        project=project.name,
        environment=project.environment,
        made_at=now.isoformat(timespec="seconds"),
        deployment=project.digest,
        versions={"headrace": headrace.__version__, "duckdb": duckdb.__version__},
        contracts={each.name: each.contract.version for source in found.sources.values() for each in source.datasets},
        holds=found.verdict.holds,
        verdict=json.loads(json.dumps(found.verdict.document())),
        sources=sources,
        public_key=key.public,
        signature="",
    )
    return unsigned.model_copy(update={SIGNATURE: key.sign(unsigned.message())})


def refuse_existing(path: Path) -> None:
    """Raise `UserError` where a certificate could not be written: better now than after an hour of rebuilding."""
    if os.path.lexists(path):
        raise UserError("there is something by this name already", at=str(path), fix="name another file, or remove it")
    if not path.parent.is_dir():
        raise UserError("there is no such folder", at=str(path.parent), fix=f"mkdir -p {path.parent}")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise UserError("the folder cannot be written to", at=str(path.parent), fix=f"ls -ld {path.parent}")


def write(certificate: Certificate, path: Path) -> None:
    """Write a new file, durably; all of it or nothing. Never follows a link, never replaces a file."""
    refuse_existing(path)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(certificate.text())
            sync(path)
            sync(path.parent)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    except OSError as problem:
        if is_full(problem):
            raise SpaceError("the disk is full", at=str(path), fix="free some space") from problem
        raise UserError(
            f"the certificate cannot be written: {problem.strerror}", at=str(path), fix="name another file"
        ) from problem


def read(path: Path) -> Certificate:
    """Read a certificate, genuine or not. Raises `InputError` where the file is none that Headrace wrote."""
    fix = "take the file as `headrace verify --certificate` wrote it"
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe must not be waited for
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise InputError("this is no file", at=str(path), fix=fix)
            raw = file.read(MAX_BYTES + 1)
    except OSError as problem:
        raise InputError(f"the certificate cannot be read: {problem.strerror}", at=str(path), fix=fix) from problem
    if len(raw) > MAX_BYTES:
        raise InputError(f"a certificate is never larger than {MAX_BYTES >> 20} MiB", at=str(path), fix=fix)
    try:
        certificate = Certificate.model_validate(json.loads(raw))
        text = certificate.text().encode()
        for each in certificate.sources.values():
            for digest in (one for parts in each.partitions.values() for one in parts.values()):
                Digest.parse(digest)
    except (ValueError, RecursionError, TypeError) as problem:
        said = problem.errors()[0]["msg"] if isinstance(problem, ValidationError) else str(problem)
        raise InputError(f"this is no certificate: {said[:200]}", at=str(path), fix=fix) from problem
    if certificate.format != FORMAT:
        raise InputError(
            f"the certificate has format {certificate.format}, and this headrace knows {FORMAT}",
            at=str(path),
            fix="check it with the headrace that wrote it",
        )
    if text != raw:
        raise InputError("the file was changed after it was written", at=str(path), fix=fix)
    return certificate


def _text(said: Mapping[str, Any]) -> str:
    return json.dumps(said, indent=1, sort_keys=True, allow_nan=False) + "\n"
