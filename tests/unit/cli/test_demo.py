"""What `headrace demo` says of what it is asked."""

import pytest

from headrace.cli.main import main


@pytest.mark.parametrize(
    ("day", "said"), [("20-11-2026", "is not a day; write such as 2026-11-20"), ("0001-01-01", "is too far away")]
)
def test_a_day_that_is_none_is_refused_with_one_that_is(capsys, tmp_path, day, said):
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--once", "--until", day, "--dir", str(tmp_path / "shop")])
    assert ended.value.code == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "shop").exists()
