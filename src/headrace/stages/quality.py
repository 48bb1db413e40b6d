"""Quality: the rules that a single event must meet beyond its contract's types."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from headrace.spec import Spec

CHECKS = ("not_null", "positive_number", "valid_email", "accepted_values", "between", "regex")
"""The words a `check` may be; anything else is read as an expression."""

Bound = bool | int | float | Decimal | datetime | date | str


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
