"""Promise 4: what a deployment looked up has the columns that it had, laid out again without its rows."""

import shutil

import pytest

from headrace.config.project import load_project
from headrace.runtime.recorded_seeds import columns_of, lay_out
from living import project_of

COUNTRIES = "code,people,name,since\nNL,18,Netherlands,1815-03-16\n"
BY_ID = "  bronze_to_silver:\n  - deduplication: {key: [id]}\n"


def enriching(step):
    return f"{BY_ID}  - enrich: {{lookup: countries, on: {{id: code}}{step}}}\n"


@pytest.mark.parametrize(
    "step",
    [
        "",
        ", columns: [name], types: {people: STRING, since: DATE}",
        ", types: {people: STRING}, miss: {default: {name: x}}",
    ],
)
def test_a_project_laid_out_again_is_what_it_was(tmp_path, step):
    """Whatever its steps take of a seed and declare of it; another source takes less of it, in another order."""
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds/countries.csv").write_text(COUNTRIES)
    project_of(tmp_path, "a", more=enriching(", columns: [since, name]"))
    then = project_of(tmp_path, "orders", more=enriching(step))
    shutil.copytree(tmp_path, tmp_path / "again")
    (tmp_path / "again/seeds/countries.csv").write_text("code\nDE\n")
    lay_out(columns_of(then.sources.values()), tmp_path / "again/seeds")
    again = load_project(tmp_path / "again")
    assert {name: repr(each.datasets) for name, each in again.sources.items()} == {
        name: repr(each.datasets) for name, each in then.sources.items()
    }
