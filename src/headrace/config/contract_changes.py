"""What changed in the contracts of a project since a revision, and which of it breaks under each source's mode."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from headrace.config.faults import Fault
from headrace.config.files import PROJECT_FILE
from headrace.config.kept_versions import unkept
from headrace.config.project import CONNECTORS, assemble, is_source_file
from headrace.config.revisions import Restored
from headrace.config.schemas import lines_of
from headrace.contracts.compatibility import OPEN, Change, ContentModel, Verdict, compare
from headrace.contracts.compatibility.judgement import directions
from headrace.contracts.iglu import VERSION
from headrace.contracts.versions import number_of
from headrace.errors import ConfigError, ContractError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from headrace.config.project import Assembled
    from headrace.config.revisions import Revision
    from headrace.config.source import Read
    from headrace.contracts.versions import Version
    from headrace.stages.dataset import Dataset


@dataclass(frozen=True)
class DatasetChanges:
    """What changed in one dataset; `breaking` is what its source's `mode` does not allow.

    A numbered version that is gone, or says something else, is an item of its own, and breaks under every mode.

    `file` is where its schema stands, relative to the project. `old` and `new` are the names of the two versions, None
    where there is none. `bumped` says that the new one is a version of its own.
    """

    source: str
    dataset: str
    file: str
    mode: str
    old: str | None
    new: str | None
    changes: tuple[Change, ...]
    breaking: tuple[Change, ...]
    bumped: bool = False

    def lines(self, root: Path, changes: Sequence[Change]) -> list[int]:
        """Return the line of the schema's file, in a project's folder, where each of some changes is."""
        if self.new is None or not self.file.endswith(".json"):
            return [1] * len(changes)
        return lines_of(root, self.file, [change.pointer for change in changes])


def changes_since(
    assembled: Assembled, root: Path, revision: Revision, *, only: str | None = None, model: ContentModel = OPEN,
    environ: Mapping[str, str] | None = None,
) -> list[DatasetChanges]:  # fmt: skip
    """Return the datasets that changed since a revision, by source; those of one source where `only` names it.

    Sources whose files are the same, byte for byte, are not looked at. A source that the revision does not have is all
    new, and breaks nobody; one that it has and the project has not is gone.
    """
    reads = {_id(read): read for read in assembled.reads if only is None or _id(read) == only}
    same_around = not any(revision.differs(file, content) for file, content in _around(root, assembled).items())
    changed = {name: read for name, read in reads.items() if not same_around or _differs(read, root, revision)}
    there = {PurePosixPath(file).stem for file in revision.blobs if is_source_file(file)}
    gone = there - {_id(read) for read in assembled.reads}
    wanted = {*changed, *(name for name in gone if only in {None, name})}
    if not wanted:
        return []
    files = [file for file in revision.blobs if _belongs(file, wanted)]
    with Restored(revision, files) as folder:
        try:
            before = assemble(folder, assembled.environment, environ or {})
        except ConfigError:  # the environment was not there yet
            before = assemble(folder, None, environ or {})
        old = {_id(read): read for read in before.reads}
        found: list[DatasetChanges] = []
        for name in sorted(wanted):
            found += _source(old.get(name), reads.get(name), model)
    return found


def changes_from_version(dataset: Dataset, source: str, mode: str, version: str, model: ContentModel) -> DatasetChanges:
    """Return what changed in a dataset since one of its older versions.

    Raises:
        ConfigError: it has no such version.
    """
    number = number_of(version)
    old = next((each for each in dataset.versions if each.number == number), None)
    if old is None:
        names = ", ".join(each.name for each in dataset.versions)
        raise ConfigError(f"{dataset.name} has no version {version}", at="--against", fix=f"one of: {names}")
    newest = dataset.versions[-1]
    changes = compare(old.contract.schema, newest.contract.schema, model=model)
    return DatasetChanges(
        source, dataset.name, newest.file, mode, old.name, newest.name, changes, _breaking(changes, mode), bumped=True
    )


def faults_of(root: Path, changes: Sequence[DatasetChanges], against: str) -> list[Fault]:
    """Return an error for each change that breaks without a version of its own, at the line of the schema."""
    found = []
    for each in changes:
        told = () if each.bumped else each.breaking
        for change, line in zip(told, each.lines(root, told), strict=True):
            whole = each.new is None or change.rule == "version-changed"
            fix = change.fix if whole else f"{change.fix}; or keep the old schema as a version: {_version_fix(each)}"
            kind = "breaks" if Verdict.BREAKING in {change.backward, change.forward} else "may break"
            message = f"{change.rule} {kind} {each.dataset} against {against} ({each.mode}): {change.why}"
            found.append(
                Fault("error", each.file or f"{CONNECTORS}/{each.source}.yaml", line, message, fix.lstrip("; "))
            )
    return found


def _version_fix(each: DatasetChanges) -> str:
    old = each.old or "v1"
    name = old if old.startswith("v") else f"v{old}"
    folder = each.file.removesuffix(".json") if each.file.endswith(".json") else f"schemas/{each.dataset}"
    return f"{folder}/{name}.json"


def read_of(assembled: Assembled, source: str) -> Read | None:
    """Return what the file of a source was read as; None where there is no such file."""
    return next((read for read in assembled.reads if _id(read) == source), None)


def _id(read: Read) -> str:
    return read.origin.document.file.removeprefix(f"{CONNECTORS}/").rpartition(".")[0]


def _around(root: Path, assembled: Assembled) -> dict[str, bytes]:
    names = [PROJECT_FILE, *(document.file for document in assembled.shared)]
    return {name: (root / name).read_bytes() for name in names if (root / name).is_file()}


def _differs(read: Read, root: Path, revision: Revision) -> bool:
    files = {read.origin.document.file, *read.schema_files}
    # A version lies in the folder of its schema's name, and the newest may lie there too.
    folders = {f"{file.removesuffix('.json')}" for file in read.schema_files}
    folders |= {str(PurePosixPath(file).parent) for file in read.schema_files if number_of(PurePosixPath(file).stem)}
    there = {file for folder in folders for file in revision.folders.get(folder, ())}
    return any(
        not (root / file).is_file() or revision.differs(file, (root / file).read_bytes()) for file in files | there
    )


def _belongs(file: str, wanted: set[str]) -> bool:
    if file == PROJECT_FILE:
        return True
    if file.startswith(f"{CONNECTORS}/"):
        name = file.removeprefix(f"{CONNECTORS}/").rpartition(".")[0]
        return name.startswith("_") or name in wanted
    is_schema = file.endswith(".json") or VERSION.fullmatch(PurePosixPath(file).name) is not None
    return is_schema and not file.startswith(".")


def _source(old: Read | None, new: Read | None, model: ContentModel) -> Iterator[DatasetChanges]:
    before = {dataset.name: dataset for dataset in old.source.datasets} if old and old.source else {}
    after = {dataset.name: dataset for dataset in new.source.datasets} if new and new.source else {}
    if new is not None and new.source is None:
        return  # it does not load: that is a fault of its own
    if new is None and old is None:
        return  # it was a file that could not be read, and is gone
    mode = str((new or old).source.settings.evolution) if (new or old) and (new or old).source else "none"  # type: ignore[union-attr]
    source = _id(new or old)  # type: ignore[arg-type]
    where = (new or old).origin.document.file  # type: ignore[union-attr]
    for name in dict.fromkeys([*before, *after]):
        if name not in after:
            yield _gone(source, name, where, mode, before[name], whole=new is None)
        elif name not in before:
            newest = _newest(after[name])
            yield DatasetChanges(source, name, newest.file or where, mode, None, newest.name, (), (), bumped=True)
        else:
            found = _both(source, before[name], after[name], where, mode, model)
            if found.changes:
                yield found
            for was, now, change in unkept(before[name], after[name]):
                if now is after[name].versions[-1] and found.breaking and not found.bumped:
                    continue  # told already, and better
                file = now.file if now is not None else ""
                named = None if now is None else now.name
                yield DatasetChanges(source, name, file or where, mode, was.name, named, (change,), (change,))


def _gone(source: str, name: str, where: str, mode: str, old: Dataset, *, whole: bool) -> DatasetChanges:
    what = f"the source {source}" if whole else f"the dataset {name}"
    change = Change(
        "#", "source-removed" if whole else "dataset-removed", Verdict.UNDECIDED, Verdict.UNDECIDED,
        f"{what} is gone: its readers find no new events, and what was stored has no contract",
        fix=f"bring {where} back, or deprecate its versions before you remove it",
    )  # fmt: skip
    changes = (change,)
    return DatasetChanges(source, name, where, mode, _newest(old).name, None, changes, _breaking(changes, mode))


def _both(source: str, old: Dataset, new: Dataset, where: str, mode: str, model: ContentModel) -> DatasetChanges:
    before, after = _newest(old), _newest(new)
    try:
        changes = compare(old.contract.schema, new.contract.schema, model=model)
    except ContractError as error:
        changes = (Change("#", "not-compared", Verdict.UNDECIDED, Verdict.UNDECIDED, error.message, fix=error.fix),)
    changes += tuple(_beyond(old, new))
    breaking = _breaking(changes, mode)
    if directions(mode)[2]:
        for version in new.versions[:-1]:
            if version.contract.schema != old.contract.schema:
                earlier = compare(version.contract.schema, new.contract.schema, model=model)
                told = {(change.pointer, change.rule) for change in breaking}
                breaking += tuple(
                    replace(change, why=f"against {version.name}: {change.why}")
                    for change in _breaking(earlier, mode)
                    if (change.pointer, change.rule) not in told
                )
    bumped = after.declared and after.number > before.number
    return DatasetChanges(
        source, new.name, after.file or where, mode, before.name, after.name, changes, breaking, bumped
    )


def _beyond(old: Dataset, new: Dataset) -> Iterator[Change]:
    """Yield what breaks readers though no single document shows it: what makes a row, and when it happened."""
    said: tuple[tuple[str, Any, Any, str], ...] = (
        ("key", list(old.key), list(new.key), "rows are merged on it: what is one row, and what replaces it, changes"),
        ("event_time", old.event_time, new.event_time, "rows are partitioned by it, and gold is rebuilt by partition"),
    )
    for name, was, now, why in said:
        if was != now:
            shown = [
                ("nothing" if not each else ", ".join(each) if isinstance(each, list) else each) for each in (was, now)
            ]
            yield Change(
                "#", f"{name.replace('_', '-')}-changed", Verdict.UNDECIDED, Verdict.UNDECIDED,
                f"{name} was {shown[0]} and is {shown[1]}; {why}; no document shows it, so it is undecided",
                fix=f"{name} as it was, or a source of another name",
            )  # fmt: skip


def _breaking(changes: Sequence[Change], mode: str) -> tuple[Change, ...]:
    backward, forward, _ = directions(mode)
    return tuple(change for change in changes if change.breaks(backward=backward, forward=forward))


def _newest(dataset: Dataset) -> Version:
    from headrace.contracts.versions import Version

    if dataset.versions:
        return dataset.versions[-1]
    return Version("v1", (1, 0, 0), dataset.contract, {})
