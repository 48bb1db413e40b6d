"""The seeds of a project: files of reference data, found by name and read once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.config.files import inside
from headrace.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    from headrace.connectors.reference_file import ReferenceFile

SEEDS = "seeds"


class Seeds:
    """The files of reference data of a project, each read once for all the sources that look it up the same way."""

    def __init__(self, root: Path, bound: Sequence[Path]) -> None:
        from headrace.connectors.reference_file import SUFFIXES

        self._root = root
        self._roots = (root, *bound)
        self._read: dict[tuple[Any, ...], ReferenceFile] = {}
        self.files: dict[str, list[Path]] = {}
        for path in sorted((root / SEEDS).rglob("*")):
            if path.suffix.lower() in SUFFIXES and path.is_file():
                self.files.setdefault(path.stem, []).append(path)

    def read(self, name: str, types: Mapping[str, pa.DataType], assumed: Mapping[str, pa.DataType]) -> ReferenceFile:
        """Return a seed by its name. Raises `InputError` for what is wrong with the file."""
        from headrace.connectors.reference_file import read_reference

        path, *others = self.files[name]
        file = path.relative_to(self._root).as_posix()
        if others:
            other = others[0].relative_to(self._root).as_posix()
            raise InputError(f"{other} is a lookup '{name}' too", at=file, fix="rename one of the files")
        if not inside(path, self._roots):
            raise InputError("the file is a link that leaves the project", at=file, fix="copy it here")
        known = (name, tuple(sorted(types.items())), tuple(sorted(assumed.items(), key=lambda item: item[0])))
        if known not in self._read:
            self._read[known] = read_reference(path, file, types, assumed)
        return self._read[known]
