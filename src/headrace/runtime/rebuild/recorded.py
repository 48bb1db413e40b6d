"""What the stream ran under, as it was recorded: the project's files and the lookups, for every stretch of a source."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from headrace.config.project import load_project
from headrace.errors import ConfigError, HeadraceError, LakeError
from headrace.runtime.recorded_seeds import lay_out
from headrace.runtime.references import NOTHING, Seen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from headrace.config.project import Project
    from headrace.lake.reader import LakeReader
    from headrace.lake.references import References

SEEDS = "seeds"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Messages of a source, numbered from `first` up to `end`, that ran under one deployment and one set of lookups."""

    source: str
    first: int
    end: int
    deployment: str
    lookups: Mapping[str, str]


def stretches(lake: LakeReader) -> dict[str, list[Stretch]]:
    """Return what every source ran under, in the order of its messages. Raises `LakeError` where a batch is missing."""
    rows = lake.rows(
        "SELECT source, first_seq, next_seq, deployment, lookups FROM lake.ops.batches ORDER BY source, first_seq"
    )
    found: dict[str, list[Stretch]] = {}
    for row in rows:
        mine = found.setdefault(row["source"], [])
        stretch = Stretch(row["source"], row["first_seq"], row["next_seq"], row["deployment"], row["lookups"] or {})
        expected = mine[-1].end if mine else 0
        if stretch.first != expected:
            raise LakeError(
                f"the batches of {row['source']} go from message {expected:,} to {stretch.first:,}",
                at="ops.batches",
                fix="restore the lake's catalog from a backup",
            )
        last = mine[-1] if mine else None
        if last is not None and (last.deployment, last.lookups) == (stretch.deployment, stretch.lookups):
            mine[-1] = Stretch(last.source, last.first, stretch.end, last.deployment, last.lookups)
        else:
            mine.append(stretch)
    return found


def decided_again(stretches: Iterable[Stretch], first: int, deployment: str) -> list[Stretch]:
    """Return the stretches of a source as if all from this message on had run under another deployment."""
    made: list[Stretch] = []
    for each in stretches:
        if each.first < first < each.end:
            made.append(Stretch(each.source, each.first, first, each.deployment, each.lookups))
        start = max(each.first, first)
        if each.end <= first:
            made.append(each)
        elif made and (made[-1].deployment, made[-1].lookups, made[-1].end > first) == (deployment, each.lookups, True):
            made[-1] = Stretch(each.source, made[-1].first, each.end, deployment, each.lookups)
        else:
            made.append(Stretch(each.source, start, each.end, deployment, each.lookups))
    return made


def rounds(stretches: Iterable[list[Stretch]]) -> list[list[list[Stretch]]]:
    """Return the stretches in rounds: in each, all that a source ran under one deployment before it ran under another.

    Sources do not see each other, so what is in one round may run side by side.
    """
    made: list[list[list[Stretch]]] = []
    for mine in stretches:
        runs: list[list[Stretch]] = []
        for each in mine:
            if runs and runs[-1][-1].deployment == each.deployment:
                runs[-1].append(each)
            else:
                runs.append([each])
        for number, run in enumerate(runs):
            if number == len(made):
                made.append([])
            made[number].append(run)
    return made


class Deployments:
    """The projects that batches ran under: today's, or what was recorded of an earlier one, laid out in a folder."""

    def __init__(
        self, project: Project, lake: LakeReader, folder: Path, known: Mapping[str, Project] = MappingProxyType({})
    ) -> None:
        """`known` has deployments that were loaded already, by digest: each is laid out in a folder once."""
        self._known: dict[str, Project] = {**known, project.digest: project}
        self._project = project
        self._lake = lake
        self._folder = folder

    def project(self, digest: str) -> Project:
        """Return the project of a deployment. Raises `ConfigError` where this Headrace cannot load it any more."""
        if digest not in self._known:
            self._known[digest] = self._loaded(digest)
        return self._known[digest]

    def _loaded(self, digest: str) -> Project:
        # All columns: a lake that an earlier version made, and none of this has written since, lacks the newest.
        rows = self._lake.rows("SELECT * FROM lake.ops.deployments WHERE digest = ? LIMIT 1", [digest])
        if not rows:
            raise LakeError(
                f"the deployment {digest[:12]} is not recorded", at="ops.deployments", fix="restore it from a backup"
            )
        said: str | None = rows[0].get("variables")
        variables: dict[str, str] | None = json.loads(said) if said is not None else None
        root = self._folder / digest[:12]
        files: dict[str, Any] = json.loads(rows[0]["files"])
        for name, text in files.items():
            path = (root / name).resolve()
            if not path.is_relative_to(root.resolve()):
                raise ConfigError(
                    f"the deployment {digest[:12]} has a file outside of its project",
                    at=name,
                    fix="it can be verified only while the project's files are those of that deployment",
                )
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        seeds = self._project.root / SEEDS
        if seeds.is_dir():  # for what was deployed before the columns of seeds were recorded
            shutil.copytree(seeds, root / SEEDS, copy_function=_linked, dirs_exist_ok=True)
        # What is looked up was recorded with each batch; of the seeds only the columns are needed, as they were.
        lay_out(rows[0].get("seeds") or "{}", root / SEEDS)
        try:
            return load_project(root, self._project.environment, variables)
        except HeadraceError as problem:
            raise ConfigError(
                f"the deployment {digest[:12]} does not load any more: {problem}",
                at="ops.deployments",
                fix="verify it with the headrace that ran it",
            ) from problem


def _linked(file: str, into: str) -> None:
    """Give a file a second name, or copy it where that cannot be. A symbolic link would leave the project."""
    try:
        os.link(file, into)
    except OSError:
        shutil.copyfile(file, into)


class RecordedReferences:
    """The lookups of one source as its batches saw them, for the message that is taken next."""

    def __init__(self, stretches: Iterable[Stretch], at: Callable[[], int], kept: References, into: References) -> None:
        """`at` tells the next message; versions are read from `kept`, and go `into` the lake that is being built."""
        self._stretches = list(stretches)
        self._at = at
        self._kept = kept
        self._into = into
        self._seen: dict[int, Seen] = {}

    def current(self) -> Seen:
        """Return what the next message was enriched from. Raises `LakeError` where it is not kept any more."""
        upcoming = self._at()
        number = next((n for n, each in enumerate(self._stretches) if upcoming < each.end), None)
        if number is None:
            return NOTHING
        if number not in self._seen:
            lookups = self._stretches[number].lookups
            tables = {name: self._kept.load(version) for name, version in lookups.items()}
            for table in tables.values():
                self._into.keep(table)
            self._seen = {number: Seen(tables, lookups)}
        return self._seen[number]
