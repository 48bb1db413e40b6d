"""The static Iglu repository of a project: `iglu/schemas/<vendor>/<name>/<format>/<version>`, as it lies there."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from headrace.api.registry.refusal import no_schema, plain
from headrace.config.files import inside

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "iglu/schemas"
MAX_BYTES = 8 << 20
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_VERSION = re.compile(r"[1-9][0-9]*-(0|[1-9][0-9]*)-(0|[1-9][0-9]*)")


def schema_at(root: Path, vendor: str, name: str, form: str, version: str) -> Any:
    """Return a self-describing schema of a project. Raises `Refusal` (404) where there is none, or it says another."""
    if not all(_PART.fullmatch(each) for each in (vendor, name, form)) or not _VERSION.fullmatch(version):
        raise plain(404)
    named = f"iglu:{vendor}/{name}/{form}/{version}"
    path = root / FOLDER / vendor / name / form / version
    try:
        if not inside(path, (root,)) or not path.is_file() or path.stat().st_size > MAX_BYTES:
            raise no_schema(named)
        document = json.loads(path.read_bytes())
    except OSError:  # no file can be called so
        raise no_schema(named) from None
    except (ValueError, RecursionError):
        raise no_schema(f"{named} (its file is not JSON)") from None
    own = document.get("self") if isinstance(document, dict) else None
    if own != {"vendor": vendor, "name": name, "format": form, "version": version}:
        raise no_schema(f"{named} (its file describes another)")
    return document
