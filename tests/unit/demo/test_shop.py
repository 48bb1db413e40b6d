"""The shop against an independent look at what it sends: a JSON parser, a full validator, and a calculator."""

import datetime as dt
import functools
import itertools
import json
from collections import Counter, defaultdict
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from headrace.cli.init import scaffold
from headrace.config.lint import lint
from headrace.demo.defects import DEFECTS, DRIFT_SHARE
from headrace.demo.shop import KEYS, LOST_CLICKS, LOST_EVENT, LOST_SESSION, SOURCES, Shop, fates, reasons

UNTIL = dt.date(2026, 11, 21)
PROJECT = files("headrace.demo") / "project"
SCHEMAS = {source: json.loads((PROJECT / "schemas" / f"{source}.json").read_text()) for source in SOURCES}
TIMES = {
    "clickstream": "event_timestamp",
    "transactions": "transaction_timestamp",
    "customer_support": "opened_at",
    "customer_profiles": "updated_at",
}


@pytest.fixture(scope="module")
def history():
    return Shop(3, UNTIL, 20_000).history()


def judged(message):
    """Return a message's event, and the stage and code it must be refused with, by other means than its tag."""
    return judgement(message.source, message.payload)


@functools.cache
def judgement(source, payload):
    try:
        event = json.loads(payload)
    except ValueError:
        return None, ("decode", "invalid_json")
    schema = SCHEMAS[source]
    if source == "clickstream":
        schema = {**schema, "additionalProperties": True}
    errors = list(jsonschema.Draft202012Validator(schema).iter_errors(event))
    if errors:
        return event, ("contract", errors[0].validator)
    if source == "clickstream":
        if event["event_timestamp"] > "2030":
            return event, ("late", "too_early")
        if event["user_id"] is None:
            return event, ("quality", "not_null")
    if source == "transactions":
        cents = [round(item["item_amount"] * 100) for item in event["items"]]
        assert cents == [round(item["unit_price"] * 100) * item["quantity"] for item in event["items"]]
        if sum(cents) != round(event["total_amount"] * 100):
            return event, ("quality", "expression")
    if source == "customer_profiles" and "@" not in event["email"]:
        return event, ("quality", "valid_email")
    return event, None


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(history):
    assert Shop(3, UNTIL, 20_000).history() == history
    assert [each.payload for each in Shop(4, UNTIL, 20_000).history()] != [each.payload for each in history]


@pytest.mark.parametrize("events", [200, 201, 1_000, 4_321])
def test_it_sends_exactly_as_many_messages_as_asked(events):
    assert len(Shop(1, UNTIL, events).history()) == events


@pytest.mark.parametrize("days", [1, 3, 7])
def test_another_day_moves_the_times_and_nothing_else_that_counts(history, days):
    later = Shop(3, UNTIL + dt.timedelta(days=days), 20_000).history()
    assert (fates(later), reasons(later)) == (fates(history), reasons(history))


def test_what_the_shop_says_of_its_messages_is_what_a_validator_says(history):
    versions = defaultdict(Counter)
    quarantined, accepted = Counter(), Counter()
    for message in history:
        event, refused = judged(message)
        accepted[message.source] += 1
        if refused:
            quarantined[message.source, *refused] += 1
        else:
            key = tuple(event[name] for name in KEYS[message.source])
            assert key == message.key
            versions[message.source, key][message.payload] += 1
    assert quarantined == reasons(history)
    for source, ledger in fates(history).items():
        mine = [payloads for (of, _), payloads in versions.items() if of == source]
        distinct = sum(map(len, mine))
        assert ledger == {
            "accepted": accepted[source],
            "silver": len(mine),
            "superseded": distinct - len(mine),
            "duplicate": sum(payloads.total() for payloads in mine) - distinct,
            "quarantined": sum(count for (of, *_), count in quarantined.items() if of == source),
        }


def test_every_kind_of_defect_is_there_about_as_often_as_it_says(history):
    sent = Counter(message.source for message in history)
    found = Counter((message.source, message.defect.name) for message in history if message.defect)
    for source, defects in DEFECTS.items():
        for defect in defects:
            expected = defect.share * sent[source]
            # Five standard deviations of a count: a seed that is further off is a generator that is wrong.
            assert abs(found[source, defect.name] - expected) <= 5 * max(expected, 1) ** 0.5, (source, defect.name)
    assert sum(found.values()) == sum(reasons(history).values())


def test_an_app_sends_a_field_that_nobody_knows(history):
    clicks = [event for each in history if each.source == "clickstream" and (event := judged(each)[0])]
    drifted = [event for event in clicks if "experiment" in event]
    assert {event["device"] if isinstance(event["device"], str) else event["device"]["type"] for event in drifted} == {
        "mobile",
        "tablet",
    }
    assert 0.3 * DRIFT_SHARE < len(drifted) / len(clicks) < DRIFT_SHARE


def test_one_session_has_no_user(history):
    lost = [judged(each)[0] for each in history if each.defect and each.defect.name == "no_user"]
    assert [event["event_id"] for event in lost] == [f"evt_{LOST_EVENT + n}" for n in range(LOST_CLICKS)]
    assert {(event["session_id"], event["user_id"]) for event in lost} == {(LOST_SESSION, None)}


def test_events_come_late_and_out_of_order(history):
    clicks = [
        (each.at, dt.datetime.fromisoformat(judged(each)[0]["event_timestamp"]).timestamp() * 1000)
        for each in history
        if each.source == "clickstream" and not each.defect
    ]
    assert [arrival for arrival, _ in clicks] == sorted(arrival for arrival, _ in clicks)
    hours_late = [(arrival - made) / 3_600_000 for arrival, made in clicks]
    assert min(hours_late) >= 0
    assert 0.003 < sum(late > 1 for late in hours_late) / len(clicks) < 0.05
    assert 24 < max(hours_late) <= 73
    overtaken = sum(before > after for (_, before), (_, after) in itertools.pairwise(clicks))
    assert overtaken > 50


def test_the_days_have_their_rhythm(history):
    hours, days = Counter(), Counter()
    for each in history:
        event, refused = judged(each)
        if not refused:
            at = dt.datetime.fromisoformat(event[TIMES[each.source]])
            assert UNTIL - dt.timedelta(days=14) <= at.date() < UNTIL
            days[at.date()] += 1
            hours[at.hour] += each.source == "clickstream"
    assert len(days) == 14
    assert hours[20] > 8 * hours[3] > 0
    weekend = [count for day, count in days.items() if day.weekday() >= 5]
    assert sum(weekend) / len(weekend) > (sum(days.values()) - sum(weekend)) / 10


def test_sessions_are_funnels(history):
    steps = defaultdict(set)
    for each in history:
        event, refused = judged(each)
        if each.source == "clickstream" and not refused:
            steps[event["session_id"]].add((event["event_timestamp"], event["event_type"]))
    counts = Counter(kind for session in steps.values() for kind in {kind for _, kind in session})
    assert counts["page_view"] > counts["product_view"] > counts["add_to_cart"] > counts["checkout_started"]
    assert counts["checkout_started"] > counts["purchase"] > 100
    for session in steps.values():
        kinds = [kind for _, kind in sorted(session)]
        assert kinds.count("purchase") <= 1
        if "purchase" in kinds:
            assert kinds[-1] == "purchase"


def test_profiles_change_over_time(history):
    versions = defaultdict(set)
    for each in history:
        event, refused = judged(each)
        if each.source == "customer_profiles" and not refused:
            versions[event["user_id"]].add(json.dumps({**event, "user_id": None}))
    changed = [each for each in versions.values() if len(each) > 1]
    assert 50 < len(changed) < len(versions)


def test_the_shop_goes_on_at_the_rate_asked_for():
    shop = Shop(3, UNTIL, 2_000)
    past = shop.history()
    start = 1_763_700_000_000
    messages = list(itertools.islice(shop.live(start, 200), 40_000))
    seconds = (messages[-1].at - start) / 1000
    assert 170 < len(messages) / seconds < 230
    assert [each.at for each in messages] == sorted(each.at for each in messages)
    assert messages[0].at >= start
    assert not {each.key for each in messages} & {each.key for each in past}
    for each in messages:
        assert (judged(each)[1] is None) == (each.defect is None)
    again = Shop(3, UNTIL, 2_000)
    again.history()
    assert list(itertools.islice(again.live(start, 200), 1_000)) == messages[:1_000]


def test_its_project_checks_clean(tmp_path):
    scaffold(tmp_path / "shop", PROJECT)
    assert lint(tmp_path / "shop", environ={}) == []


def test_every_column_of_its_models_is_described(tmp_path):
    from ruamel.yaml import YAML

    for page in ("models/staging/staging.yml", "models/marts/marts.yml", "seeds/seeds.yml"):
        document = YAML(typ="safe").load((PROJECT / page).read_text())
        for model in (*document.get("models", ()), *document.get("seeds", ())):
            assert model["description"], model["name"]
            assert all(column.get("description") for column in model["columns"]), model["name"]


def test_readme_says_what_the_demo_has():
    from headrace.cli.demo import EVENTS, SEED

    counts = fates(Shop(SEED, UNTIL, EVENTS).history()).values()
    broken = sum(each["quarantined"] for each in counts)
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    assert f"a shop: {EVENTS:,} events in, {broken} broken ones set aside" in readme
