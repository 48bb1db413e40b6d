"""`headrace verify`: is every message accounted for, and is silver what bronze makes of it?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.options import AsJson, EnvName, ProjectDir, open_project
from headrace.cli.output import Output
from headrace.errors import UserError
from headrace.identity.project_key import ProjectKey, fingerprint, project_key, public_key
from headrace.secrets.reference import SecretReference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.config.project import Project
    from headrace.runtime.certificate_check import Checked
    from headrace.runtime.verify import Verdict


def run(
    source: Annotated[str | None, typer.Option("--source", metavar="SOURCE", help="Only this source.")] = None,
    scan: Annotated[bool, typer.Option("--scan", help="Read all of silver, and hold it against what is kept.")] = False,
    from_bronze: Annotated[
        bool, typer.Option("--from-bronze", help="Make silver anew from the raw messages, and compare.")
    ] = False,
    gold: Annotated[
        bool, typer.Option("--gold", help="Make every published table anew from its silver, and compare.")
    ] = False,
    certificate: Annotated[
        Path | None, typer.Option("--certificate", metavar="FILE", help="Write what was found, signed, to a new file.")
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option("--check", metavar="FILE", help="Tell whether a certificate is genuine, and still holds."),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="REFERENCE", help="Sign with this key: secret://file/… or secret://env/…"),
    ] = None,
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """Prove that no message is lost or doubled, and that silver is what it should be. Exits 1 where it is not.

    With --json: {"snapshot", "balanced", "unbalanced": {source: [sentence]}, "partitions", "silver": {dataset: digest},
    "kept", "unknown", "scanned", "equal" (null without --from-bronze), "differences": [{"dataset", "event_date",
    "kept", "counted", "digest", "rebuilt", "only_in_silver", "only_in_rebuilt"}], "ledgers": {source: [sentence]},
    "messages", "gold": {table: is it the same} (null without --gold), "seconds", "decided_by": {version of Headrace,
    another than this: messages}}; with --certificate also "certificate": file and "key": the fingerprint of the key
    that signed it.

    With --check and --json: {"holds", "signature", "key", "ours", "project", "environment", "made_at", "held",
    "scanned", "partitions": {"equal", "grown", "changed", "unknown"}, "changes": [{"dataset", "event_date", "change",
    "certified", "now", "later"}], "problems": [sentence]}.
    """
    output = Output(as_json)
    if check is not None:
        if source or from_bronze or gold or certificate is not None:
            raise UserError("--check goes with --scan and --key only", at="verify", fix="headrace verify --check FILE")
        _check(output, open_project(project, env), check, key, scan=scan)
        return
    from headrace.runtime.certificate import certify, refuse_existing, write
    from headrace.runtime.deployment import now
    from headrace.runtime.verify import evidence

    shop = open_project(project, env)
    signing = None
    if certificate is not None:
        refuse_existing(certificate)
        signing = _key(shop, key)
    elif key is not None:
        raise UserError("--key signs a certificate", at="verify", fix="headrace verify --certificate FILE --key …")
    found = evidence(shop, None if source is None else [source], scan=scan, from_bronze=from_bronze, gold=gold)
    document = found.verdict.document()
    if certificate is not None and signing is not None:
        write(certify(shop, found, signing, now()), certificate)
        document |= {"certificate": str(certificate), "key": fingerprint(signing.public)}
    output.show(document, lambda: _text(output, found.verdict))
    if signing is not None:
        output.note(f"signed by {fingerprint(signing.public)}: headrace verify --check {certificate}")
    if not found.verdict.holds:
        raise typer.Exit(1)


def _key(shop: Project, reference: str | None) -> ProjectKey:
    """Return the key that was referred to, or the environment's own."""
    if reference is not None:
        return ProjectKey.of_pem(SecretReference.parse(reference).resolve(shop.root).reveal(), reference)
    from headrace.runtime.state import open_state

    return project_key(open_state(shop.state))


def _check(output: Output, shop: Project, path: Path, reference: str | None, *, scan: bool) -> None:
    from headrace.runtime.certificate import read
    from headrace.runtime.certificate_check import check

    public = public_key(shop.state) if reference is None else _key(shop, reference).public
    found = check(shop, read(path), public, scan=scan)
    output.show(found.document(), lambda: _checked(output, found))
    if not found.holds:
        raise typer.Exit(1)


def _checked(output: Output, found: Checked) -> None:
    if not found.signature:
        output.line("the signature is not good: the certificate was changed, or was never signed", "bold red")
        return
    whose = "the key of this project" if found.ours else "a key that is not this project's"
    output.line(f"signed by {found.key}, {whose}, {found.made_at}", "green" if found.ours else "bold red")
    if not found.held:
        output.line("it says itself that not all was well", "bold red")
    for problem in found.problems:
        output.line(problem, "red")
    for each in found.changes:
        if each.change == "changed":
            output.line(
                f"{each.dataset} of {each.event_date} has changed, and later batches do not explain it:", "bold red"
            )
            output.line(f"  certified {each.certified}, later batches {each.later}, now {each.now}", "red")
    if counts := ", ".join(f"{count:,} {name}" for name, count in found.partitions.items() if count):
        output.line(f"partitions: {counts}", "green" if found.holds else "")
    if found.partitions["unknown"]:
        output.note("of some, batches of an earlier version kept no digests: headrace verify --check FILE --scan")
    if found.holds:
        output.line("it still holds: what it certifies is there, and what was added came by later batches", "green")
    elif not found.ours:
        output.line("it does not hold: whoever has that key said this, not this project", "bold red")
        output.note("where it is another key of yours: headrace verify --check FILE --key secret://…")
    else:
        output.line("it does not hold", "bold red")


def _text(output: Output, verdict: Verdict) -> None:
    if verdict.snapshot is None:
        output.line("nothing was ever committed here: there is nothing to verify")
        return
    for name, faults in verdict.unbalanced.items():
        output.line(f"{name} does not balance:", "bold red")
        for fault in faults:
            output.line(f"  {fault}", "red")
    if verdict.balanced:
        output.line("balanced: every accepted message has one fate, and the tables hold it", "green")
    for name, digest in verdict.silver.items():
        output.line(f"  {name}  {digest}")
    if verdict.kept:
        how = "every digest" if verdict.scanned else "every partition's rows"
        output.line(f"kept: {verdict.partitions:,} partitions hold what their batches put there, by {how}", "green")
    if verdict.unknown:
        output.line(f"{verdict.unknown:,} partitions: batches of an earlier version kept no digest of them")
    for each in verdict.differences:
        output.line(f"{each.dataset} of {each.event_date} is not what it should be:", "bold red")
        rows = f"{each.counted:,} rows"
        ways = {"kept by batches": each.kept, "in the catalog": rows, "in silver": each.digest, "rebuilt": each.rebuilt}
        for way, found in ways.items():
            if found is not None:
                output.line(f"  {way:<15}  {found}", "red")
        for what, ids in (("silver", each.only_in_silver), ("the rebuild", each.only_in_rebuilt)):
            if ids:
                output.line(f"  only in {what}: {', '.join(ids)}", "red")
    for name, faults in verdict.ledgers.items():
        output.line(f"the ledger of {name} is not what bronze makes of it:", "bold red")
        for fault in faults:
            output.line(f"  {fault}", "red")
    if verdict.gold is not None:
        _gold(output, verdict.gold)
    if verdict.equal:
        output.line(
            f"equal: {verdict.messages:,} messages of bronze, taken anew, make the same silver: "
            f"{verdict.partitions:,} partitions",
            "green",
        )
    elif verdict.equal is None:
        if not verdict.scanned:
            output.note("read all of silver too: headrace verify --scan")
        output.note("make silver anew from the raw messages, and compare: headrace verify --from-bronze")
    else:
        for version, messages in verdict.decided_by.items():
            output.line(f"headrace {version} decided {messages:,} of these messages, and may have decided otherwise:")
            output.note("see what this version makes of them, and where: headrace plan --history all")


def _gold(output: Output, tables: Mapping[str, bool]) -> None:
    others = [name for name, same in tables.items() if not same]
    for name in others:
        output.line(f"{name} is not what a build from nothing makes of its silver", "bold red")
    if others:
        output.note("make them anew: headrace build --full-refresh")
    else:
        output.line(f"gold: {len(tables):,} tables, built from nothing, are the same", "green")
