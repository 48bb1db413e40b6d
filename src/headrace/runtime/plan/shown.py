"""What a plan may show of events: nothing that was personal at any time of the window, or is by the files of now."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from headrace import words
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
        """Return why a message failed, which was masked by what was personal then, masked by what is now."""
        ever = self._ever.get(row["dataset"])
        return row if ever is None else ever[-1][1].failure(row)

    def _field(self, dataset: str, name: str, value: Any) -> Any:
        """Mask a field as those say who know it; what nobody knows is personal where anything is."""
        ever = self._ever[dataset]
        for masking in [masking for known, masking in ever if name in known] or [masking for _, masking in ever]:
            value = masking.event({name: value})[name]
        return value
