"""Schema documents: read from files, and over HTTP only where that is allowed. Nothing is fetched silently."""

from __future__ import annotations

import json
import os.path
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from headrace.config.files import parse_yaml
from headrace.errors import ConfigError, ContractError, ExternalError, InputError

if TYPE_CHECKING:
    from headrace.contracts.formats.bundle import Loader

MAX_BYTES = 32 << 20
_TIMEOUT_SECS = 20


def is_url(origin: str) -> bool:
    """Say whether something is fetched, and not opened."""
    return origin.startswith(("http://", "https://"))


def text_at(place: str, *, fetch: bool) -> str:
    """Return the text of a file or URL. Raises `InputError` where it is not allowed, too large, or not UTF-8."""
    data = _fetched(place, fetch=fetch) if is_url(place) else _read(Path(place))
    if len(data) > MAX_BYTES:
        raise InputError(f"it is larger than {MAX_BYTES >> 20} MiB", at=place, fix="give a part of it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"not UTF-8 at byte {error.start}", at=place, fix=f"iconv -f latin1 -t UTF-8 {place} > utf8.json"
        ) from error


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(
            f"the file cannot be read: {error.strerror}", at=str(path), fix=f"see what is there: ls {path.parent}"
        ) from error
    if data[:2] == b"\x1f\x8b":
        import gzip
        import io
        import zlib

        try:
            with gzip.open(io.BytesIO(data)) as unpacked:
                return unpacked.read(MAX_BYTES + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(
                f"the file cannot be unpacked: {error}", at=str(path), fix=f"see what is in it: gzip -t {path}"
            ) from error
    return data


def _fetched(url: str, *, fetch: bool) -> bytes:
    if not fetch:
        raise InputError(
            "it lies on another machine, and nothing is fetched unless that is asked for",
            at=url,
            fix="add --fetch, or download it and give the file",
        )
    import urllib.error
    import urllib.request

    try:
        accepted = {"accept": "application/json, application/yaml, text/plain, */*"}
        request = urllib.request.Request(url, headers=accepted)  # noqa: S310 - http(s) only
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECS) as answer:  # noqa: S310 - http(s) only
            data: bytes = answer.read(MAX_BYTES + 1)
            return data
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise ExternalError(f"it cannot be fetched: {error}", at=url, fix="try again, or give a file") from error


def parsed(text: str, place: str) -> Any:
    """Return a JSON or YAML document. Raises `InputError` where it is neither."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise InputError("it is nested too deep", at=place, fix="give a part of it") from error
    except ValueError as wrong:
        if text.lstrip()[:1] in {"{", "["}:
            raise InputError(f"not valid JSON: {wrong}", at=place, fix="correct it") from wrong
    return _yaml(text, place)


def _yaml(text: str, place: str) -> Any:
    """Return a YAML document, within the limits that the files of a project have: no alias unfolds without end."""
    try:
        return parse_yaml(text, place).value
    except ConfigError as error:
        raise InputError(error.message, at=error.at, fix=f"{error.fix}, or give it as JSON") from error


def loader(origin: str, *, fetch: bool, instead: str = "add --fetch, or ") -> Loader:
    """Return what finds the documents that references name: files beside and below the first, URLs if allowed.

    `instead` is what to do where one is refused for being a URL, before what helps always: copying it.
    """
    home = None if is_url(origin) else Path(origin).resolve().parent

    def load(place: str, reference: str) -> tuple[Any, str]:
        where = _target(place, reference)
        if is_url(where):
            if not fetch:
                raise ContractError(
                    f"$ref {reference!r} lies on another machine, and nothing is fetched unless that is asked for",
                    at=place,
                    fix=f"{instead}copy the schema that it names into '$defs'",
                )
        elif home is None or not Path(where).resolve().is_relative_to(home):
            raise ContractError(
                f"$ref {reference!r} leaves the folder of the schema", at=place, fix="copy what it names into '$defs'"
            )
        return parsed(text_at(where, fetch=fetch), where), where

    return load


def _target(place: str, reference: str) -> str:
    if urlsplit(reference).scheme in {"http", "https"}:
        return reference
    if urlsplit(reference).scheme:
        raise ContractError(f"$ref {reference!r} names no file", at=place, fix="copy what it names into '$defs'")
    if is_url(place):
        return urljoin(place, reference)
    # One name for each file: else those that refer to one another would never end.
    return os.path.normpath(Path(place).parent / reference)


def proto_imports(text: str, origin: str, *, fetch: bool) -> dict[str, str]:
    """Return the texts of what a .proto imports, of those that lie beside and below it."""
    import re

    found: dict[str, str] = {}
    waiting = [text]
    while waiting:
        for name in re.findall(r'\bimport\s+(?:public\s+|weak\s+)?"([^"\n]+)"', waiting.pop()):
            if name in found or name.startswith("google/protobuf/") or is_url(origin):
                continue
            home = Path(origin).resolve().parent
            path = (home / name).resolve()
            if path.is_relative_to(home) and path.is_file():
                found[name] = text_at(str(path), fetch=fetch)
                waiting.append(found[name])
    return found
