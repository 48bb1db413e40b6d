"""The ledger against the shop: equal where all went well, and a sentence for each thing that did not."""

import dataclasses
import datetime as dt
from importlib.resources import files

import pytest

from headrace.cli.init import scaffold
from headrace.config.project import load_project
from headrace.demo.opening import Plan, remember, remembered, send_history, unlike
from headrace.runtime import building
from headrace.runtime.views.status import status

PLAN = Plan(5, dt.date(2026, 11, 21), 1_500)


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    root = tmp_path_factory.mktemp("demo") / "shop"
    scaffold(root, files("headrace.demo") / "project")
    project = load_project(root)
    messages = send_history(project, PLAN)
    building.bring_in(project)
    return project, messages


def test_the_ledger_is_exactly_what_the_shop_knows_reason_by_reason(lived):
    project, messages = lived
    assert unlike(project, status(project), messages) == []


def test_a_message_that_the_shop_did_not_send_is_noticed(lived):
    project, messages = lived
    broken = next(index for index, each in enumerate(messages) if each.defect)
    without = messages[:broken] + messages[broken + 1 :]
    faults = unlike(project, status(project), without)
    assert any("accepted" in fault for fault in faults)
    assert any(f"quarantined as {messages[broken].defect.stage}/" in fault for fault in faults)


def test_a_history_that_is_sent_again_is_not_taken_again(lived):
    project, messages = lived
    assert send_history(project, PLAN) == messages
    building.bring_in(project)
    assert sum(each.ledger["accepted"] for each in status(project).values()) == len(messages)


def test_a_project_remembers_which_shop_it_is_of(tmp_path):
    assert remembered(tmp_path / "state") is None
    opened = dataclasses.replace(PLAN, opened=True)
    remember(tmp_path / "state", opened)
    assert remembered(tmp_path / "state") == opened
