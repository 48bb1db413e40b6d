import pytest

from headrace.errors import ConfigError
from headrace.lake.catalog import connect
from headrace.lake.threads import VARIABLE


@pytest.mark.parametrize(("said", "had"), [(None, 2), ("1", 1), ("3", 3)])
def test_a_connection_has_as_many_threads_as_the_variable_says(said, had, monkeypatch):
    if said is None:
        monkeypatch.delenv(VARIABLE, raising=False)
    else:
        monkeypatch.setenv(VARIABLE, said)
    with connect() as connection:
        assert connection.execute("SELECT current_setting('threads')").fetchone() == (had,)


@pytest.mark.parametrize("said", ["0", "-1", "two", ""])
def test_what_is_no_number_is_refused_by_its_name(said, monkeypatch):
    monkeypatch.setenv(VARIABLE, said)
    with pytest.raises(ConfigError) as caught:
        connect()
    assert caught.value.at == VARIABLE
