"""Checking quality rules against contracts, once where many sources say the same."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from headrace.stages.quality import check_rules
from headrace.stages.sql import SqlKernel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from headrace.stages.quality import RuleFault, RuleSpec

_WORD = re.compile(r"\w+")


class RuleChecks:
    """The rule checks of one load of a project.

    An expression is compiled to be checked, which takes milliseconds; what was found good over some columns is good
    over the same columns of another contract. Nothing outlives the object.
    """

    def __init__(self) -> None:
        self._kernel = SqlKernel()
        self._good: set[tuple[RuleSpec, tuple[tuple[str, pa.DataType], ...]]] = set()

    def faults(self, rules: Sequence[RuleSpec], schema: pa.Schema) -> Iterator[RuleFault]:
        """Return what is wrong with rules over a contract's columns, in order."""
        for index, rule in enumerate(rules):
            known = (rule, _mentioned(rule, schema))
            if known in self._good:
                continue
            found = check_rules((rule,), schema, self._kernel)
            if not found:
                self._good.add(known)
            yield from (fault._replace(rule=index) for fault in found)


def _mentioned(rule: RuleSpec, schema: pa.Schema) -> tuple[tuple[str, pa.DataType], ...]:
    """Return the columns that a rule may mean: SQL does not tell names apart by case, and dots part them."""
    words = {word.lower() for word in _WORD.findall(f"{rule.check} {rule.field or ''}")}
    return tuple(
        (field.name, field.type) for field in schema if all(part.lower() in words for part in _WORD.findall(field.name))
    )
