"""What changed in the contracts of a project since a revision, and which of it breaks under each source's mode."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from headrace.config.faults import Fault
from headrace.config.files import PROJECT_FILE
from headrace.config.kept_versions import unkept
from headrace.config.project import CONNECTORS, assemble, is_source_file, source_files
from headrace.config.revisions import Restored
from headrace.config.schemas import lines_of
from headrace.contracts.compatibility import OPEN, Change, ContentModel, Verdict, compare
from headrace.contracts.compatibility.judgement import directions
from headrace.contracts.iglu import VERSION
from headrace.contracts.versions import number_of
from headrace.errors import ConfigError, ContractError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from headrace.config.project import Assembled
    from headrace.config.revisions import Revision
    from headrace.config.source import Read
    from headrace.contracts.load import Validators
    from headrace.contracts.versions import Version
    from headrace.stages.dataset import Dataset

    Comparing = Callable[[Mapping[str, Any], Mapping[str, Any]], tuple[Change, ...]]


@dataclass(frozen=True)
class DatasetChanges:
    """What changed in one dataset; `breaking` is what its source's `mode` does not allow.

    A numbered version that is gone, or says something else, is an item of its own, and breaks under every mode.

    `file` is where its schema stands, relative to the project. `old` and `new` are the names of the two versions, None
    where there is none. `bumped` says that the new one is a version of its own. `passed` is what `mode` allows, and
    breaks those who relied on more: on `promised`, the mode of before, or on reading what is stored where it is `none`.
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
    passed: tuple[Change, ...] = ()
    promised: str = ""

    def lines(self, root: Path, changes: Sequence[Change]) -> list[int]:
        """Return the line of the schema's file, in a project's folder, where each of some changes is."""
        if self.new is None or not self.file.endswith(".json"):
            return [1] * len(changes)
        return lines_of(root, self.file, [change.pointer for change in changes])


def changes_since(
    assembled: Assembled, root: Path, revision: Revision, *, only: str | None = None, model: ContentModel = OPEN,
    environ: Mapping[str, str] | None = None, validators: Validators | None = None,
) -> list[DatasetChanges]:  # fmt: skip
    """Return the datasets that changed since a revision, by source; those of one source where `only` names it.

    `validators` are those that the project was assembled with, where it was: its contracts are not compiled again.
    Sources whose files are the same, byte for byte, are not looked at. A source that the revision does not have is all
    new, and breaks nobody; one that it has and the project has not is gone.
    """
    reads = {_id(read): read for read in assembled.reads if only is None or _id(read) == only}
    same_around = not any(revision.differs(file, content) for file, content in _around(root, assembled).items())
    changed = {name: read for name, read in reads.items() if not same_around or _differs(read, root, revision)}
    there = {PurePosixPath(file).stem for file in revision.blobs if is_source_file(file)}
    # A file that is there and cannot be read is a fault of its own, and no source that is gone.
    gone = there - {_id(read) for read in assembled.reads} - {path.stem for path in source_files(root)}
    wanted = {*changed, *(name for name in gone if only in {None, name})}
    if not wanted:
        return []
    files = [file for file in revision.blobs if _belongs(file, wanted)]
    with Restored(revision, files) as folder:
        try:
            before = assemble(folder, assembled.environment, environ or {}, validators=validators)
        except ConfigError:  # the environment was not there yet
            before = assemble(folder, None, environ or {}, validators=validators)
        old = {_id(read): read for read in before.reads}
        compared = partial(compare, model=model, validators=validators)
        found: list[DatasetChanges] = []
        for name in sorted(wanted):
            found += _source(old.get(name), reads.get(name), compared)
    return found


def changes_from_version(
    dataset: Dataset, source: str, mode: str, version: str, model: ContentModel, validators: Validators | None = None
) -> DatasetChanges:
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
    changes = compare(old.contract.schema, newest.contract.schema, model=model, validators=validators)
    return DatasetChanges(
        source, dataset.name, newest.file, mode, old.name, newest.name, changes, _breaking(changes, mode), bumped=True
    )


def faults_of(root: Path, changes: Sequence[DatasetChanges], against: str) -> list[Fault]:
    """Return a fault for each change that breaks without a version of its own, at the line of the schema.

    It is an error where the source's mode forbids it, and a warning where it lets it pass: who changes a mode is told
    what that lets through.
    """
    found = []
    for each in changes:
        told = () if each.bumped else (*each.breaking, *each.passed)
        for number, (change, line) in enumerate(zip(told, each.lines(root, told), strict=True)):
            whole = each.new is None or change.rule == "version-changed"
            fix = change.fix if whole else f"{change.fix}; or keep the old schema as a version: {_version_fix(each)}"
            kind = "breaks" if Verdict.BREAKING in {change.backward, change.forward} else "may break"
            is_passed = number >= len(each.breaking)
            mode = _passing(each, against) if is_passed else f"({each.mode})"
            message = f"{change.rule} {kind} {each.dataset} against {against} {mode}: {change.why}"
            file = each.file or f"{CONNECTORS}/{each.source}.yaml"
            found.append(Fault("warning" if is_passed else "error", file, line, message, fix.lstrip("; ")))
    return found


def _passing(each: DatasetChanges, against: str) -> str:
    allowed = f"`evolution: {each.mode}` lets it pass"
    return f"({against} promised {each.promised}, and {allowed})" if each.promised else f"({allowed})"


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


def _source(old: Read | None, new: Read | None, compared: Comparing) -> Iterator[DatasetChanges]:
    before = {dataset.name: dataset for dataset in old.source.datasets} if old and old.source else {}
    after = {dataset.name: dataset for dataset in new.source.datasets} if new and new.source else {}
    if new is not None and new.source is None:
        return  # it does not load: that is a fault of its own
    if new is None and old is None:
        return  # it was a file that could not be read, and is gone
    mode = str((new or old).source.settings.evolution) if (new or old) and (new or old).source else "none"  # type: ignore[union-attr]
    promised = str(old.source.settings.evolution) if old is not None and old.source is not None else mode
    source = _id(new or old)  # type: ignore[arg-type]
    where = (new or old).origin.document.file  # type: ignore[union-attr]
    for name in dict.fromkeys([*before, *after]):
        if name not in after:
            yield _gone(source, name, where, mode, before[name], whole=new is None)
        elif name not in before:
            newest = _newest(after[name])
            yield DatasetChanges(source, name, newest.file or where, mode, None, newest.name, (), (), bumped=True)
        else:
            found = _both(source, before[name], after[name], where, mode, compared)
            passed = _passed(found.changes, mode, promised)
            found = replace(found, passed=passed, promised=promised if promised not in {mode, "none"} else "")
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
    breaking, passed = _breaking(changes, mode), _passed(changes, mode, mode)
    return DatasetChanges(source, name, where, mode, _newest(old).name, None, changes, breaking, passed=passed)


def _both(source: str, old: Dataset, new: Dataset, where: str, mode: str, compared: Comparing) -> DatasetChanges:
    before, after = _newest(old), _newest(new)
    try:
        changes = compared(old.contract.schema, new.contract.schema)
    except ContractError as error:
        changes = (Change("#", "not-compared", Verdict.UNDECIDED, Verdict.UNDECIDED, error.message, fix=error.fix),)
    changes += tuple(_beyond(old, new))
    breaking = _breaking(changes, mode)
    if directions(mode)[2]:
        for version in new.versions[:-1]:
            if version.contract.schema != old.contract.schema:
                earlier = compared(version.contract.schema, new.contract.schema)
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


def _passed(changes: Sequence[Change], mode: str, was: str) -> tuple[Change, ...]:
    """Return what a mode allows that breaks what the mode of before promised; where that is nothing, what is stored."""
    held = _breaking(changes, mode)
    relied = _breaking(changes, was if any(directions(was)) else "backward")
    return tuple(change for change in relied if change not in held)


def _newest(dataset: Dataset) -> Version:
    from headrace.contracts.versions import Version

    if dataset.versions:
        return dataset.versions[-1]
    return Version("v1", (1, 0, 0), dataset.contract, {})
