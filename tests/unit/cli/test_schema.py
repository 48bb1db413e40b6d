import json

import pytest

from headrace.cli.main import main
from headrace.config.editor import source_schema


def test_it_prints_the_schema(capsys):
    with pytest.raises(SystemExit) as left:
        main(["schema"])
    assert not left.value.code
    assert json.loads(capsys.readouterr().out) == source_schema()
