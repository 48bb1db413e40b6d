"""The state's folder says its format, whole, to however many processes open it first."""

import pytest

from headrace.errors import ConfigError
from headrace.runtime.state import FORMAT, open_state


def test_a_new_state_is_marked_and_nothing_else_is_left(tmp_path):
    state = tmp_path / "a" / "b"
    assert open_state(state) == open_state(state) == state
    assert [(path.name, path.read_text()) for path in state.iterdir()] == [("format", f"{FORMAT}\n")]


def test_another_format_is_refused(tmp_path):
    (tmp_path / "format").write_text("99\n")
    with pytest.raises(ConfigError) as caught:
        open_state(tmp_path)
    assert "format 99" in caught.value.message
    assert caught.value.fix
