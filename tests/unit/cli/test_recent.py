"""What `headrace good` and `headrace bad` are asked for."""

import pytest

from headrace.cli import bad, good, recent, tap
from headrace.errors import InputError
from headrace.runtime.views import recent as views
from living import lived, messages, orders, project_of, sqlite_bus


def test_every_field_of_a_message_may_be_asked_for_and_no_other(tmp_path):
    project = project_of(tmp_path)
    with sqlite_bus(project) as bus:
        bus.publish("orders", messages([*orders(0, 1), {"id": 7}]))
        lived(project, bus)
    for verb, kind in ((good, views.Kind.GOOD), (bad, views.Kind.BAD), (tap, views.Kind.ALL)):
        event = views.recent(project, "orders", kind)["events"][0]
        assert set(event) == {*recent.MESSAGE, *tap.FIELDS}
        assert {name for name in tap.FIELDS if name not in verb.FIELDS and event[name] is not None} == set()


@pytest.mark.parametrize(
    ("verb", "text", "fix"),
    [
        (good, "order_id=o 1", "what it says is below `event`: --where 'event.order_id=o 1'; else one of source, "),
        (bad, "order.id=1", "what it says is below `payload`: --where payload.order.id=1; else one of source, "),
        (bad, "event.order_id=1", "what it says is below `payload`"),
        (good, "order_id", "write such as --where event.id=o1"),
        (good, "=1", "write such as --where event.id=o1"),
    ],
)
def test_a_field_that_no_message_has_is_refused(verb, text, fix):
    with pytest.raises(InputError) as refused:
        recent.condition(text, (*recent.MESSAGE, *verb.FIELDS))
    assert refused.value.fix.startswith(fix)


def test_a_value_may_hold_whatever_it_likes():
    assert recent.condition("payload.a.b=c=d", recent.MESSAGE) == ("payload.a.b", "c=d")
