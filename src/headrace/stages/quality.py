"""Quality: the rules that a single event must meet beyond its contract's types."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator, model_validator

from headrace import words
from headrace.errors import ConfigError
from headrace.spec import Spec
from headrace.stages import paths
from headrace.stages.base import FAILS, Outcome
from headrace.stages.checks import CHECKS, Bound, compile_check
from headrace.stages.rejections import in_row_order, none_rejected, rejections
from headrace.stages.sql import SqlKernel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.stages.expression import Expression


class RuleSpec(Spec):
    """One rule: a check word on a field, or a boolean SQL expression over the contract's columns.

    Null passes every check but `not_null`, and an expression that is null passes too, as in SQL. A `field` may be a
    path: `address.city`, or `items[].sku` for every element of a list.
    """

    check: str = Field(
        min_length=1,
        description=f"One of {', '.join(CHECKS)}; or a boolean SQL expression such as `quantity * price <= total`.",
        examples=["positive_number", "sum(items[].amount) = total_amount"],
    )
    field: str | None = Field(
        default=None,
        min_length=1,
        description="The field that a check word looks at; a path such as items[].sku looks at every element.",
    )
    severity: Literal["quarantine", "warn"] = Field(
        default="quarantine",
        description="What happens to an event that fails: it is quarantined, or goes on and is counted as a warning.",
    )
    values: tuple[Bound, ...] | None = Field(default=None, description="For accepted_values: the values allowed.")
    min: Bound | None = Field(default=None, description="For between: the smallest value allowed.")
    max: Bound | None = Field(default=None, description="For between: the greatest value allowed.")
    inclusive: bool = Field(default=True, description="For between: whether min and max are allowed themselves.")
    pattern: str | None = Field(
        default=None, description="For regex: RE2 syntax, found anywhere in the text; anchor it with ^ and $."
    )

    @property
    def is_expression(self) -> bool:
        """Whether `check` is SQL, not one of the words."""
        return self.check not in CHECKS

    @field_validator("check")
    @classmethod
    def _strip(cls, check: str) -> str:
        return check.strip()

    @model_validator(mode="after")
    def _complete(self) -> Self:
        needs = {"accepted_values": ("values",), "regex": ("pattern",)}.get(self.check, ())
        allowed = {"between": ("min", "max")}.get(self.check, needs)
        for option in ("values", "pattern", "min", "max"):
            given = getattr(self, option) is not None
            if option in needs and not given:
                raise ValueError(f"{self.check} needs `{option}`")
            if given and option not in allowed:
                raise ValueError(f"`{option}` means nothing to {_name(self.check)}")
        if self.check == "between" and self.min is None and self.max is None:
            raise ValueError("between needs `min`, `max` or both")
        if not self.inclusive and self.check != "between":
            raise ValueError(f"`inclusive` means nothing to {_name(self.check)}")
        if self.field is None and not self.is_expression:
            raise ValueError(f"{self.check} needs `field`")
        if self.values is not None and not self.values:
            raise ValueError("accepted_values needs at least one value")
        return self


def _name(check: str) -> str:
    return check if re.fullmatch(r"\w+", check) else "an expression"


class RuleFault(NamedTuple):
    """A rule, by its index, that cannot be applied to a contract; what is wrong, and what to type instead."""

    rule: int
    message: str
    fix: str


def check_rules(rules: Sequence[RuleSpec], schema: pa.Schema, kernel: SqlKernel | None = None) -> list[RuleFault]:
    """Return what is wrong with rules over a contract's columns: all of it, in order; nothing where all is well."""
    faults = []
    kernel = kernel or SqlKernel(isolate_errors=True)
    for index, rule in enumerate(rules):
        try:
            _compile(rule, schema, kernel)
        except ConfigError as error:
            faults.append(RuleFault(index, error.message, error.fix))
    return faults


class Quality:
    """The stage: every rule on every row. Belongs to one thread.

    A row is rejected once, by the first rule of severity `quarantine` that it fails; the code is the check's word, or
    `expression`, or `expression_error` where the row's values cannot be computed (an overflow, a bad cast, a division
    by zero). A row that is kept is warned of once for each rule of severity `warn` that it fails. In a list, the first
    element that fails is named. A rule whose `field` the contract does not have is skipped: `check` warns of it.
    """

    def __init__(self, rules: Sequence[RuleSpec], schema: pa.Schema) -> None:
        """Make the rules ready for the columns of a contract.

        Raises:
            ConfigError: A rule cannot be applied, other than for want of its field; `check_rules` finds all of them.
        """
        self._kernel = SqlKernel(isolate_errors=True)
        self._rules = [
            (rule, _compile(rule, schema, self._kernel))
            for rule in rules
            if rule.field is None or _has(schema, rule.field)
        ]

    def __call__(self, batch: pa.RecordBatch) -> Outcome:
        """Take a batch with the contract's columns and ROW; the columns stay as they are."""
        fails = np.zeros(len(batch), dtype=bool)
        rejected: list[pa.RecordBatch] = []
        warnings: list[tuple[_Applied, _Findings]] = []
        for rule, applied in self._rules:
            findings = applied.findings(batch)
            if findings is None:
                continue
            if rule.severity == "warn":
                warnings.append((applied, findings))
                continue
            findings = findings.where(~fails[findings.rows])
            fails[findings.rows] = True
            rejected.append(applied.reject(batch, findings))
        warned = [applied.reject(batch, findings.where(~fails[findings.rows])) for applied, findings in warnings]
        kept = batch.filter(pa.array(~fails)) if rejected else batch
        return Outcome(kept, _together(rejected), _together(warned))


class _Findings(NamedTuple):
    """The rows that fail a rule, by their position, each once and in order; and what is needed to tell of them."""

    rows: np.ndarray
    codes: np.ndarray | None = None
    values: pa.Array | None = None
    indices: tuple[np.ndarray, ...] = ()

    def where(self, mask: np.ndarray) -> _Findings:
        return _Findings(
            self.rows[mask],
            None if self.codes is None else self.codes[mask],
            None if self.values is None else self.values.filter(pa.array(mask)),
            tuple(index[mask] for index in self.indices),
        )


class _AppliedCheck:
    """A check word at a path."""

    def __init__(self, rule: RuleSpec, path: paths.Path, kernel: SqlKernel) -> None:
        self._kernel = kernel
        self._check = rule.check
        self._path = path
        self._fails, what = compile_check(
            rule.check, path.type, values=rule.values, minimum=rule.min, maximum=rule.max, inclusive=rule.inclusive,
            pattern=rule.pattern,
        )  # fmt: skip
        self._reason = f"{rule.field} {what}"

    def findings(self, batch: pa.RecordBatch) -> _Findings | None:
        found = paths.leaves(batch, self._path)
        mask = self._fails(found.values)
        if not pc.any(mask, min_count=0).as_py():
            return None
        bad = np.flatnonzero(mask.to_numpy(zero_copy_only=False))
        rows, first = np.unique(found.rows[bad], return_index=True)
        bad = bad[first]
        return _Findings(rows, None, found.values.take(pa.array(bad)), tuple(index[bad] for index in found.indices))

    def reject(self, batch: pa.RecordBatch, findings: _Findings) -> pa.RecordBatch:
        value = None if findings.values is None or self._check == "not_null" else _json(findings.values, self._kernel)
        return rejections(
            batch.column(words.ROW).take(pa.array(findings.rows)),
            stage="quality",
            code=self._check,
            reason=self._reason,
            path=paths.json_paths(self._path, findings.indices, len(findings.rows)),
            value=value,
        )


class _AppliedExpression:
    """An expression over columns."""

    def __init__(self, expression: Expression, path: str, kernel: SqlKernel) -> None:
        self._kernel = kernel
        self._expression = expression
        self._path = path

    def findings(self, batch: pa.RecordBatch) -> _Findings | None:
        verdicts = self._expression.verdicts(self._kernel, batch).to_numpy(zero_copy_only=False)
        rows = np.flatnonzero(verdicts)
        return _Findings(rows, verdicts[rows]) if len(rows) else None

    def reject(self, batch: pa.RecordBatch, findings: _Findings) -> pa.RecordBatch:
        text = self._expression.text if len(self._expression.text) <= 200 else self._expression.text[:199] + "…"
        failed = pa.array(findings.codes == FAILS)
        rows = batch.take(pa.array(findings.rows))
        return rejections(
            rows.column(words.ROW),
            stage="quality",
            code=pc.if_else(failed, "expression", "expression_error"),
            reason=pc.if_else(failed, f"not true: {text}", f"cannot be computed for this row: {text}"),
            path=self._path,
            value=self._expression.values(self._kernel, rows),
        )


_Applied = _AppliedCheck | _AppliedExpression


def _compile(rule: RuleSpec, schema: pa.Schema, kernel: SqlKernel) -> _Applied:
    path = paths.resolve(rule.field, schema) if rule.field is not None else None
    if not rule.is_expression:
        if path is None:
            raise ConfigError(f"{rule.check} needs `field`", fix="name the field that it looks at")
        return _AppliedCheck(rule, path, kernel)
    if re.fullmatch(r"\w+", rule.check) and rule.check not in schema.names:
        fix = paths.did_you_mean(rule.check, CHECKS, f"the checks are {', '.join(CHECKS)}; or write an expression")
        raise ConfigError(f"no check named {rule.check!r}", fix=fix)
    from headrace.stages.expression import compile_expression  # loads sqlglot, which only expressions need

    expression = compile_expression(rule.check, schema, kernel)
    if path is not None:
        return _AppliedExpression(expression, path.json(), kernel)
    only = paths.Path(expression.columns[0], (), pa.null()).json() if len(expression.columns) == 1 else "$"
    return _AppliedExpression(expression, only, kernel)


def _has(schema: pa.Schema, field: str) -> bool:
    try:
        paths.resolve(field, schema)
    except ConfigError:
        return False
    return True


def _json(values: pa.Array, kernel: SqlKernel) -> pa.Array:
    """Return each value as JSON text."""
    sql = "SELECT CAST(to_json(x) AS VARCHAR) AS x FROM rows"
    return kernel.run(sql, rows=pa.table({"x": values})).column("x").combine_chunks()


def _together(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    return in_row_order(parts) if parts else none_rejected()
