"""What a plan may show of events: nothing that was personal at any time of the window, or is by the files of now."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from headrace import words
from headrace.stages.json_text import child
from headrace.stages.masking import Maskings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.stages.dataset import Dataset
    from headrace.stages.masking import Masking


class Shown:
    """Masks examples of one source; `ever` are its datasets as they were at any time, and as they are now."""

    def __init__(self, ever: Sequence[Dataset]) -> None:
        self._ever: dict[str, list[tuple[frozenset[str], Masking]]] = {}
        for each in ever:
            names = frozenset(each.columns().names)
            self._ever.setdefault(each.name, []).append((names, Maskings([each])[each.name]))

    def value(self, dataset: str, column: str, value: str | None) -> str | None:
        """Return the text of a column's value; unknown fields are masked each by its name."""
        if column != words.EXTRA or value is None:
            shown: str | None = self._field(dataset, column, value)
            return shown
        fields = {name: self._field(dataset, name, each) for name, each in json.loads(value).items()}
        return json.dumps(fields, ensure_ascii=False)

    def failed(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return why a message failed, which was masked as it failed, masked by all who know its field.

        Where that hides more, which rule it did not meet is left out: those who hide it know their own rule alone.
        """
        said = f"the value (masked) does not meet {row['code']}"
        for masking in _who_know(self._ever.get(row["dataset"], ()), row["path"] or "$"):
            masked = masking.failure(row)
            if masked["reason"].startswith(said):
                masked["reason"] = row["reason"] if row["reason"].startswith(said) else said
            row = masked
        return row

    def reasons(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return how many messages failed for what, most first, at paths that may be told; what is one then is one."""
        found: dict[tuple[Any, ...], dict[str, Any]] = {}
        for row in rows:
            path = self.failed({**row, "reason": "", "value": None})["path"]
            one = {**row, "path": path, "messages": 0}
            found.setdefault(tuple(one.values()), one)["messages"] += row["messages"]
        return sorted(found.values(), key=lambda one: -int(one["messages"]))

    def _field(self, dataset: str, name: str, value: Any) -> Any:
        """Mask a field as those say who know it; what nobody knows is personal where anything is."""
        for masking in _who_know(self._ever[dataset], child("$", name)):
            value = masking.event({name: value})[name]
        return value


def _who_know(ever: Sequence[tuple[frozenset[str], Masking]], path: str) -> list[Masking]:
    """Return the maskings of those that have the column that a path begins with; of what nobody has, all."""
    known = [masking for names, masking in ever if any(_is_within(path, child("$", name)) for name in names)]
    return known or [masking for _, masking in ever]


def _is_within(path: str, place: str) -> bool:
    return path == place or path.startswith((f"{place}.", f"{place}["))
