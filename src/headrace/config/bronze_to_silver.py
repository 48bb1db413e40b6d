"""The steps of `processing: bronze_to_silver` that name columns: each lookup and rule is held against a dataset's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.config.faults import did_you_mean
from headrace.errors import ConfigError
from headrace.stages import paths
from headrace.stages.dataset import Dataset

if TYPE_CHECKING:
    import pyarrow as pa

    from headrace.config.faults import Fault
    from headrace.config.files import Key
    from headrace.config.lookups import Lookups
    from headrace.config.rules import RuleChecks
    from headrace.config.source_file import SourceFile
    from headrace.config.validation import Origin
    from headrace.contracts.contract import Contract
    from headrace.stages.enrich import Enrichment, EnrichSpec
    from headrace.stages.quality import RuleSpec


class BronzeToSilver:
    """The enrichments and rules of one source; what is wrong with them is added to `faults`.

    `seeds` are the files of reference data that are used, with the SHA-256 of each.
    """

    def __init__(
        self, spec: SourceFile, origin: Origin, lookups: Lookups, checks: RuleChecks, faults: list[Fault]
    ) -> None:
        self._steps = spec.processing.bronze_to_silver
        self._has_tables = bool(spec.ingestion.tables)
        self._origin = origin
        self._lookups = lookups
        self._checks = checks
        self._faults = faults
        self._enriched: set[int] = set()
        self._incomplete = False  # a lookup is missing or faulty: which columns there are is not known
        self.seeds: dict[str, str] = {}

    def enrichments(self, contract: Contract) -> tuple[Enrichment, ...]:
        """Return the `enrich` steps, each held against the contract and what the steps before it add."""
        found: list[Enrichment] = []
        for at, step in enumerate(self._steps):
            columns = Dataset(contract.name, contract, enrichments=tuple(found)).columns()
            if step.enrich is None or not self._is_for(step.enrich, columns):
                continue
            self._enriched.add(at)
            bound = self._lookups.bind(step.enrich, ("processing", "bronze_to_silver", at, "enrich"), columns)
            if bound.seed is not None:
                self.seeds.update([bound.seed])
            if bound.step is not None:
                found.append(bound.step)
            self._incomplete |= bound.step is None or bool(bound.step.missing)
        return tuple(found)

    def rules(self, columns: pa.Schema) -> tuple[RuleSpec, ...]:
        """Return the rules whose field the dataset has; what is wrong with them otherwise is a fault.

        Where a lookup is missing, what a rule lacks may be in it: then a faulty rule is left out, and nothing said.
        """
        found = [(key, rule) for key, rule in self._rules() if rule.field is None or _is_there(rule.field, columns)]
        rules = tuple(rule for _, rule in found)
        for fault in self._checks.faults(rules, columns):
            key, rule = found[fault.rule]
            if self._incomplete:
                rules = tuple(each for each in rules if each != rule)
                continue
            at = (*key, "check" if rule.is_expression else "field")
            self._faults.append(self._origin.error(at, f"the rule {rule.check}: {fault.message}", fault.fix))
        return rules

    def end(self, datasets: list[Dataset]) -> None:
        """Add what is wrong with steps that no dataset uses, once all of them were asked about."""
        self._unresolved_rules(datasets)
        self._without_effect(datasets)
        self._faults += dict.fromkeys(self._lookups.faults)

    def _is_for(self, step: EnrichSpec, columns: pa.Schema) -> bool:
        """Whether a step is meant for a dataset: of several tables, those that have the fields that it looks up."""
        return not self._has_tables or all(_is_there(name, columns) for name, _ in step.pairs)

    def _without_effect(self, datasets: list[Dataset]) -> None:
        for at, step in enumerate(self._steps):
            if step.enrich is not None and at not in self._enriched:
                why = "no table has its fields" if datasets else "the source has no schema that loads"
                message = f"enrich: '{step.enrich.lookup}' is not looked up: {why}"
                self._faults.append(self._origin.warning(("processing", "bronze_to_silver", at, "enrich"), message))

    def _rules(self) -> list[tuple[Key, RuleSpec]]:
        return [
            (("processing", "bronze_to_silver", at, "data_quality", "rules", index), rule)
            for at, step in enumerate(self._steps)
            if step.data_quality is not None
            for index, rule in enumerate(step.data_quality.rules)
        ]

    def _unresolved_rules(self, datasets: list[Dataset]) -> None:
        for key, rule in self._rules() if not self._incomplete else ():
            if datasets and not any(rule in dataset.rules for dataset in datasets):
                field = rule.field or ""
                columns = [name for dataset in datasets for name in dataset.columns().names]
                hint = did_you_mean(field.split(".")[0].removesuffix("[]"), columns)
                message = f"the rule {rule.check} is not applied: the contract has no field '{field}'"
                self._faults.append(self._origin.warning((*key, "field"), message, hint))


def _is_there(field: str, columns: pa.Schema) -> bool:
    try:
        paths.resolve(field, columns)
    except ConfigError:
        return False
    return True
