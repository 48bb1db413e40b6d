"""A project as it was at a git revision: its files are read out of git, and nothing is checked out.

The project may lie in a subfolder of the repository. What is a link or a submodule there is not followed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from headrace.config.files import MAX_FILE_BYTES, PROJECT_FILE
from headrace.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_REVISION = re.compile(r"[^\s\x00-\x1f~^:?*\[\\-][^\s\x00-\x1f:?*\[\\]{0,250}")
_TIMEOUT_SECS = 60
_FILES = ("100644", "100755")
_ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_PREFIX")
"""What git tells a hook of its own place: the project's folder says which repository is meant."""


@dataclass(frozen=True)
class Revision:
    """The files of a project at a commit, by their path in the project, each with the id that git gives its bytes."""

    root: Path
    name: str
    commit: str
    blobs: Mapping[str, str]

    @cached_property
    def folders(self) -> dict[str, list[str]]:
        """The files that lie right in each folder; those of the project's own are in `.`."""
        found: dict[str, list[str]] = {}
        for file in self.blobs:
            found.setdefault(file.rpartition("/")[0] or ".", []).append(file)
        return found

    def differs(self, file: str, content: bytes) -> bool:
        """Whether a file was not there, or not with these bytes."""
        return self.blobs.get(file) != _blob(content, len(self.commit))

    def read(self, files: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Yield the bytes of those files that were there, none larger than a project's file may be."""
        wanted = [file for file in files if file in self.blobs]
        if not wanted:
            return
        names = "".join(f"{self.blobs[file]}\n" for file in wanted)
        out = _git(self.root, "cat-file", "--batch", input_=names.encode())
        at = 0
        for file in wanted:
            end = out.index(b"\n", at)
            said = out[at:end].split()[-1]
            if said == b"missing":
                raise ConfigError(
                    f"git lacks what {file} was at {self.name}", at=str(self.root), fix="git fsck; or clone it anew"
                )
            size = int(said)
            if size <= MAX_FILE_BYTES:
                yield file, out[end + 1 : end + 1 + size]
            at = end + 1 + size + 1


def revision(root: Path, name: str) -> Revision:
    """Return what a git revision (a branch, a tag, a commit) holds of the project in a folder.

    A branch that is not here is the one of that name of the only remote that has it, as for `git switch`: CI checks out
    a commit, and fetches branches as `origin/main`.

    Raises:
        ConfigError: git is not installed, the folder is in no repository, or it has no such revision.
    """
    if not _REVISION.fullmatch(name) or ".." in name or "@{" in name:
        raise ConfigError(f"{name!r} cannot be a git revision", at="--against", fix="name a branch, a tag or a commit")
    sha = _commit(root, name) or _of_remote(root, name)
    if not sha:
        shallow = _git(root, "rev-parse", "--is-shallow-repository").strip() == b"true"
        plain = not set(name) & set("~^")
        more = f"git fetch --depth 1 origin {name}, or " if plain else "git fetch --unshallow, or "
        fix = f"{more if shallow else ''}name a branch, a tag or a commit: git branch -a"
        known = _git(root, "for-each-ref", "--format=%(refname:short)", "--count=3", "refs/heads").decode().split()
        if not _commit(root, "HEAD") and not known:
            raise ConfigError(
                "the git repository has no commit yet, so there is no revision of the project",
                at=str(root),
                fix="git add -A && git commit; or --against v1 for a version file of the contract",
            )
        if known and not shallow and name not in known:
            fix = f"--against {known[0]}{''.join(f', or {each}' for each in known[1:])}; or a tag, or a commit"
        raise ConfigError(
            f"git knows no revision {name!r}{' in this shallow clone' if shallow else ''}", at="--against", fix=fix
        )
    blobs: dict[str, str] = {}
    for row in _git(root, "ls-tree", "-r", "-z", sha).split(b"\0"):
        fields, _, path = row.partition(b"\t")
        if path and fields.split()[0].decode() in _FILES:
            blobs[path.decode("utf-8", "surrogateescape")] = fields.split()[2].decode()
    return Revision(root, name, sha, blobs)


def _commit(root: Path, name: str) -> str:
    """Return the commit that a name stands for; nothing where git does not know it."""
    found = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", may_lack=True)
    return found.decode().strip()


def _of_remote(root: Path, name: str) -> str:
    """Return the commit of the branch of that name at the only remote that has one."""
    if set(name) & set("~^"):
        return ""
    refs = _git(root, "for-each-ref", "--format=%(refname)", f"refs/remotes/*/{name}").decode().split()
    return _commit(root, refs[0]) if len(refs) == 1 else ""


class Restored:
    """Some files of a revision in a folder of their own, for as long as the `with` lasts."""

    def __init__(self, of: Revision, files: Iterable[str]) -> None:
        self._revision = of
        self._files = list(files)
        self._folder = ""

    def __enter__(self) -> Path:
        """Write the files; return their folder."""
        self._folder = tempfile.mkdtemp(prefix="headrace-revision-")
        root = Path(self._folder).resolve()
        for file, content in self._revision.read(self._files):
            path = PurePosixPath(file)
            if path.is_absolute() or ".." in path.parts:
                continue  # git holds no such path; whoever made one by hand does not get out with it
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        if not (root / PROJECT_FILE).is_file():
            (root / PROJECT_FILE).write_text("name: project\n")
        return root

    def __exit__(self, *_: object) -> None:
        """Remove the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _blob(content: bytes, digits: int) -> str:
    """Return the id that git gives a file's bytes: SHA-1, or SHA-256 in a repository of those."""
    whole = b"blob %d\0" % len(content) + content
    return hashlib.sha256(whole).hexdigest() if digits == 64 else hashlib.sha1(whole, usedforsecurity=False).hexdigest()


def _git(root: Path, *arguments: str, input_: bytes = b"", may_lack: bool = False) -> bytes:
    """Return what git says; nothing where it fails without a word, and `may_lack` says that it may."""
    program = shutil.which("git")
    if program is None:
        raise ConfigError("git is not installed, and --against asks it", at="--against", fix="install git")
    environ = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    environ |= {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    command = [program, "--no-replace-objects", "-c", "core.fsmonitor=false", "-C", str(root), *arguments]
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program, and arguments that no shell reads
            command, input=input_, capture_output=True, check=False, timeout=_TIMEOUT_SECS, env=environ
        )
    except subprocess.TimeoutExpired as error:
        raise ConfigError("git did not answer", at=str(root), fix="try the same git command by hand") from error
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    if any("not a git repository" in line for line in said):
        raise ConfigError(
            "the project is in no git repository, so there is no revision of it",
            at=str(root),
            fix="git init, or --against v1 for a version file of the contract",
        )
    if may_lack and not said:
        return b""
    if any("dubious ownership" in line for line in said):
        raise ConfigError(
            "git does not read the repository: it belongs to another user",
            at=str(root),
            fix=next((line.strip() for line in said if "safe.directory" in line), "git config: safe.directory"),
        )
    raise ConfigError(f"git: {said[0] if said else 'failed'}", at=str(root), fix="try the same git command by hand")
