"""Where a source's files lie: its `location`, with what the bindings of this environment say it stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.connectors.batch_file.places import Bucket, Folder, Place
from headrace.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def place_of(location: str, root: Path, bindings: Mapping[str, str], at: str = "") -> Place:
    """Return where the files of a location lie: the longest binding that covers it decides, else it is as written.

    Raises `ConfigError` where it leads out of the project and of every bound folder, links followed, or names a store
    that cannot be opened here.
    """
    target = bound(location, bindings)
    roots = (root, *(folder for each in bindings.values() if (folder := local_folder(root, each)) is not None))
    folder = local_folder(root, target)
    if folder is None:
        return Bucket(target)
    if not any(folder.is_relative_to(each.resolve()) for each in roots):
        raise ConfigError(
            f"the location {location} leads out of the project",
            at=at,
            fix=f"bind it in headrace.yaml: bindings: {{{location}: {folder}}}",
        )
    return Folder(folder, roots, location)


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
