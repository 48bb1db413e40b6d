"""Quality rules as dbt tests: what a stage checked event by event, checked again over silver as it is."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from headrace.contracts.types import literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.stages.quality import RuleSpec


TEST_MACROS = """\
{% test headrace_unique(model, columns) %}
select {% for c in columns %}"{{ c }}", {% endfor %}count(*) as n
from {{ model }}
group by all
having count(*) > 1
{% endtest %}

{# `condition` holds or is null for every row, as a stage's rule does. #}
{% test headrace_rule(model, condition, column_name=none) %}
select * from {{ model }} where not ({{ condition }})
{% endtest %}
"""


def rule_tests(dataset: str, rules: Sequence[RuleSpec]) -> list[tuple[str, dict[str, Any]]]:
    """Return, for each rule, the column that its test belongs to ("" for the model) and the test as dbt's YAML has it.

    Null passes every rule but `not_null`, as in the stage. A rule of severity `warn` warns here too.
    """
    names: set[str] = set()
    tests = []
    for number, rule in enumerate(rules, start=1):
        about = f"rule_{number}" if rule.is_expression else f"{rule.field}_{rule.check}"
        name = f"{dataset}_{re.sub(r'[^A-Za-z0-9]+', '_', about).strip('_')}"
        name = name if name not in names else f"{name}_{number}"
        names.add(name)
        column, kind, arguments = _test(rule)
        test: dict[str, Any] = {"name": name, "config": {"severity": "warn" if rule.severity == "warn" else "error"}}
        if arguments:
            test["arguments"] = arguments
        tests.append((column, {kind: test}))
    return tests


def _test(rule: RuleSpec) -> tuple[str, str, dict[str, Any]]:
    """Return a rule's column, its generic test, and the test's arguments."""
    if rule.is_expression:
        # What cannot be computed is null here: the stage has said what it thinks of such a row when it came in.
        return "", "headrace_rule", {"condition": _without_templates(f"try({rule.check})")}
    column, *steps = _steps(rule.field or "")
    if not steps and rule.check == "not_null":
        return column, "not_null", {}
    if not steps and rule.check == "accepted_values" and all(isinstance(value, str) for value in rule.values or ()):
        return column, "accepted_values", {"values": [_without_templates(str(value)) for value in rule.values or ()]}
    condition = _over(_quoted(column), steps, rule)
    return "" if steps else column, "headrace_rule", {"condition": _without_templates(condition)}


def _over(value: str, steps: list[str], rule: RuleSpec, depth: int = 0) -> str:
    """Return the condition at the end of a path: for every element where the path passes a list."""
    if not steps:
        return _condition(value, rule)
    if steps[0] == "[]":
        element = f"e{depth}"
        inside = _over(element, steps[1:], rule, depth + 1)
        return f"coalesce(len(list_filter({value}, lambda {element}: not ({inside}))), 0) = 0"
    return _over(f"{value}.{_quoted(steps[0])}", steps[1:], rule, depth)


def _condition(value: str, rule: RuleSpec) -> str:
    match rule.check:
        case "not_null":
            return f"{value} is not null"
        case "positive_number":
            return f"{value} > 0 and isfinite({value}::DOUBLE)"
        case "valid_email":
            from headrace.stages.checks import EMAIL, EMAIL_CHARACTERS

            return f"strlen({value}) <= {EMAIL_CHARACTERS} and regexp_matches({value}, {_literal(EMAIL)})"
        case "regex":
            return f"regexp_matches({value}, {_literal(rule.pattern or '')})"
        case "accepted_values":
            return f"{value} in ({', '.join(map(_literal, rule.values or ()))})"
        case _:
            low, high = ("<=", "<=") if rule.inclusive else ("<", "<")
            bounds = [f"{_literal(rule.min)} {low} {value}"] if rule.min is not None else []
            bounds += [f"{value} {high} {_literal(rule.max)}"] if rule.max is not None else []
            number = isinstance(rule.min if rule.min is not None else rule.max, int | float | Decimal)
            return " and ".join([*bounds, *([f"not isnan({value}::DOUBLE)"] if number else [])])


def _steps(field: str) -> list[str]:
    steps: list[str] = []
    for part in field.split("."):
        name, *elements = part.split("[]")
        steps += [name] + ["[]"] * len(elements)
    return steps


def _literal(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.datetime):
        return f"timestamptz '{value.isoformat()}'"
    if isinstance(value, dt.date):
        return f"date '{value.isoformat()}'"
    if isinstance(value, int | float | Decimal):
        return str(value)
    return literal(str(value))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _without_templates(text: str) -> str:
    for mark in ("{{", "{%", "{#"):
        text = text.replace(mark, f"{mark[0]} {mark[1]}")
    return text
