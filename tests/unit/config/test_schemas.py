"""Schema files of a project."""

import pytest

from headrace.config.schemas import read_schema
from headrace.errors import ConfigError


def test_a_schema_that_is_too_large_is_told_how_to_get_a_part_of_it(tmp_path):
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas/hooks.json").write_text('{"type": "object"' + " " * (1 << 20) + "}")
    with pytest.raises(ConfigError, match="larger than") as found:
        read_schema(tmp_path, "schemas/hooks.json", ())
    assert found.value.at == "schemas/hooks.json:1"
    assert "headrace add SOURCE --from schemas/hooks.json#DEFINITION" in found.value.fix
