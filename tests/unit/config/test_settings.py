from pathlib import Path

from headrace.config.settings import SOURCE_KEYS, Settings


def test_every_setting_has_a_place_in_a_source_file_and_on_the_page():
    page = (Path(__file__).parents[3] / "docs/project-files.md").read_text()
    assert set(SOURCE_KEYS) == set(Settings.model_fields)
    assert [name for name in Settings.model_fields if f"`HEADRACE_{name.upper()}`" not in page] == []
