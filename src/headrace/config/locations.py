"""Where a source's files lie: its `location`, with what the bindings of this environment say it stands for."""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import TYPE_CHECKING

from headrace.connectors.batch_file.places import STATE_FOLDER, Bucket, Folder, Place
from headrace.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def place_of(location: str, root: Path, bindings: Mapping[str, str], at: str = "") -> Place:
    """Return where the files of a location lie: the longest binding that covers it decides, else it is as written.

    A link is followed only within the location's own folder, or a bound one. Raises `ConfigError` where the location
    leads elsewhere, links followed, or into our own state, or names a store that cannot be opened here.
    """
    target = bound(location, bindings)
    folder = local_folder(root, target)
    if folder is None:
        return Bucket(target)
    bound_folders = [each for other in bindings.values() if (each := local_folder(root, other)) is not None]
    state = (root / STATE_FOLDER).resolve()
    if folder.is_relative_to(state) or STATE_FOLDER in PurePath(target).parts:
        raise ConfigError(
            f"the location {location} is Headrace's own state",
            at=at,
            fix="let the files land in a folder of their own, such as landing/",
        )
    if folder != _as_written(root, target) and not any(map(folder.is_relative_to, bound_folders)):
        raise ConfigError(
            f"the location {location} is a link, or leads out of the project",
            at=at,
            fix=f"bind it in headrace.yaml: bindings: {{{location}: {folder}}}",
        )
    return Folder(folder, (folder, *bound_folders), location, closed=state)


def bound(location: str, bindings: Mapping[str, str]) -> str:
    """Return what a location stands for: a folder or URI, itself where no binding covers it."""
    covering = [prefix for prefix in bindings if covers(prefix, location)]
    if not covering:
        return location
    prefix = max(covering, key=len)
    rest = location[len(prefix.rstrip("/")) :].lstrip("/")
    target = bindings[prefix]
    return f"{target.rstrip('/')}/{rest}" if rest else target


def covers(prefix: str, location: str) -> bool:
    """Say whether a binding is about a location: whole names of folders count, `gs://a` is not about `gs://ab`."""
    return location == prefix or location.startswith(prefix.rstrip("/") + "/")


def local_folder(root: Path, target: str) -> Path | None:
    """Return the folder that a target names, its links followed, or None where it is the URI of a store."""
    if target.startswith("file://"):
        target = target.removeprefix("file://")
    if "://" in target or not target or "\0" in target:
        return None
    return (root / target).resolve()


def _as_written(root: Path, target: str) -> Path | None:
    """Return the folder of a project that a target names where nothing on the way is a link, None for one outside."""
    top = os.path.normpath(root.absolute())
    written = PurePath(os.path.normpath(root.absolute() / target.removeprefix("file://")))
    for base in (top, root.resolve()):
        if written.is_relative_to(base):
            return root.resolve() / written.relative_to(base)
    return None
