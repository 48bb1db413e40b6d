"""Tables that a bench puts into a page."""

import pytest

from peer_table import put, table


def test_figures_stand_to_the_right_and_bars_are_escaped():
    text = table(["what", "figure"], [["a | b", "1,000"], ["c", "–"], ["d", ""]])
    assert text.splitlines() == [
        "| what | figure |", "| --- | --: |", r"| a \| b | 1,000 |", "| c | – |", "| d |  |",
    ]  # fmt: skip


def test_only_what_is_between_the_markers_is_replaced(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- a: begin -->\nold\n<!-- a: end -->\n<!-- b: begin -->\nkept\n<!-- b: end -->\n")
    put(page, "a", "new")
    put(page, "a", "newer")
    assert page.read_text() == (
        "before\n<!-- a: begin -->\n\nnewer\n\n<!-- a: end -->\n<!-- b: begin -->\nkept\n<!-- b: end -->\n"
    )


@pytest.mark.parametrize("text", ["", "<!-- a: begin -->", "<!-- a: end --> <!-- a: begin -->"])
def test_a_page_without_the_markers_is_left_alone(tmp_path, text):
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(ValueError, match="a: begin"):
        put(page, "a", "new")
    assert page.read_text() == text
