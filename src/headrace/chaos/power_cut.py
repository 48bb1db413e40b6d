"""The power cut: what a disk may hold when everything that was not synced was only on its way.

Before a life that ends so, all that there is counts as synced. While it lives, the shim copies each file and each
folder's names into the shadow whenever they are synced (`disk.c`). After it, this decides, from a seed:

- for every name that was made, replaced or removed since its folder was synced: whether that lasted. A file that was
  renamed has one of its names, the old or the new;
- for every file that was written since it was synced: which of its pages lasted, none, all, or some, one of them torn
  within, and how long it is. A page that did not last is as it was; beyond the old end, it is zeros.

The shared memory of SQLite (`-shm`) is gone.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

PAGE, SECTOR = 4096, 512
_VOLATILE = ("-shm",)


def remember(root: Path, shadow: Path) -> None:
    """Begin a shadow: all below `root` counts as synced."""
    shutil.rmtree(shadow, ignore_errors=True)
    shadow.mkdir()
    root.mkdir(parents=True, exist_ok=True)
    for place, folders, names in os.walk(root):
        here = root.joinpath(place)
        listed = []
        for name in (*folders, *names):
            path = here / name
            inode = path.stat().st_ino
            listed.append(f"{inode} {name}\n")
            if name in names:
                shutil.copyfile(path, shadow / f"c.{inode}")
        (shadow / f"d.{here.stat().st_ino}").write_text("".join(listed))


@dataclass
class Lost:
    """What a power cut took: names that are as they were before, and files that are not as they were last written."""

    names: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)


@dataclass
class Cut:
    """One power cut."""

    root: Path
    shadow: Path
    rng: Random
    lost: Lost = field(default_factory=Lost)

    def fall(self) -> Lost:
        """Make the folder what the disk holds after the cut. Nothing may be running in it."""
        after = self.root.with_name(f"{self.root.name}.after")
        shutil.rmtree(after, ignore_errors=True)
        self._folder(self.root, self.root.stat().st_ino, after)
        shutil.rmtree(self.root)
        after.rename(self.root)
        shutil.rmtree(self.shadow)
        return self.lost

    def _folder(self, live: Path, inode: int, into: Path) -> None:
        into.mkdir()
        old = self._synced_names(inode)
        new = {path.name: path.stat(follow_symlinks=False).st_ino for path in sorted(live.iterdir())}
        lasted = {each: self.rng.random() < 0.5 for each in sorted({*old.values(), *new.values()})}
        for name in sorted({*old, *new}):
            before, since = old.get(name), new.get(name)
            if name.endswith(_VOLATILE):
                continue
            if since is not None and (since == before or lasted[since]):
                found = since
            elif before is not None and (since is not None or not lasted[before]):
                found = before
            else:
                found = None
            if found != since:
                self.lost.names.append(str(live.relative_to(self.root) / name))
            if found is not None:
                self._put(found, live / name if found == since else None, into / name)

    def _put(self, inode: int, live: Path | None, into: Path) -> None:
        if (live is not None and live.is_dir()) or (live is None and (self.shadow / f"d.{inode}").exists()):
            if live is None:  # a folder that was removed since: what was in it went before
                into.mkdir()
            else:
                self._folder(live, inode, into)
            return
        path = live or next((each for each in self._elsewhere(inode) if each.exists()), None)
        written = path.read_bytes() if path is not None else None
        kept = self.shadow / f"c.{inode}"
        synced = kept.read_bytes() if kept.exists() else b""
        content = synced if written is None or written == synced else self._mixed(synced, written, into)
        into.write_bytes(content)
        if path is not None:
            shutil.copymode(path, into)

    def _elsewhere(self, inode: int) -> list[Path]:
        """Return where a file may be whose name here is gone: it has no name any more, or has another one."""
        return [self.shadow / f"g.{inode}", *(each for each in self._files() if each.stat().st_ino == inode)]

    def _files(self) -> list[Path]:
        return [path for path in self.root.rglob("*") if path.is_file()]

    def _mixed(self, synced: bytes, written: bytes, into: Path) -> bytes:
        """Return what lasted of a file."""
        way = self.rng.choice(("nothing", "all", "some", "some", "torn", "torn"))
        if way == "all":
            return written
        self.lost.files.append(into.name)
        if way == "nothing":
            return synced
        size = self.rng.choice((len(synced), len(written), self.rng.randint(*sorted((len(synced), len(written))))))
        content = bytearray(synced[:size].ljust(size, b"\0"))
        changed = [
            at for at in range(0, min(size, len(written)), PAGE) if synced[at : at + PAGE] != written[at : at + PAGE]
        ]
        share = self.rng.choice((0.1, 0.5, 0.9))
        torn = self.rng.choice(changed) if way == "torn" and changed else -1
        for at in changed:
            if at == torn:
                end = at + SECTOR * self.rng.randint(1, PAGE // SECTOR - 1)
            elif self.rng.random() < share:
                end = at + PAGE
            else:
                continue
            end = min(end, size, len(written))
            content[at:end] = written[at:end]
        return bytes(content)

    def _synced_names(self, inode: int) -> dict[str, int]:
        path = self.shadow / f"d.{inode}"
        if not path.exists():
            return {}
        pairs = (line.partition(" ") for line in path.read_text().splitlines())
        return {name: int(number) for number, _, name in pairs}
