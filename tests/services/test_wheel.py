"""The wheel, built and installed away from the checkout: it has all its files, and its verbs work."""

import os
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "headrace"


def run(*command, cwd, **environ):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "HEADRACE_"))}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env={**clean, **environ}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("hatchling", reason="hatchling is not installed; make setup installs it")
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder, cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Unpack the wheel into an environment of its own, which borrows the dependencies that are installed here.

    Nothing is downloaded, so no pip: what a wheel without compiled code needs is to be unpacked, and its entry point.
    """
    venv = tmp_path_factory.mktemp("elsewhere") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=venv.parent)
    (site,) = venv.glob("lib/python3.*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
        entry = next(name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt"))
        assert "headrace = headrace.__main__:run" in archive.read(entry).decode()
    # Plainly appended: `.pth` files in there, such as the one of the editable install, are not followed.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return venv / "bin" / "python"


def test_the_wheel_has_every_file_of_the_package(wheel):
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if name.startswith("headrace/")}
    ignored = {path for path in PACKAGE.rglob("*") if "__pycache__" in path.parts}
    files = {path for path in PACKAGE.rglob("*") if path.is_file()} - ignored
    assert inside == {path.relative_to(PACKAGE.parent).as_posix() for path in files}
    assert "headrace/py.typed" in inside
    assert "headrace/cli/scaffold/connectors/orders.yaml" in inside


def test_the_wheel_says_what_it_is(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith(".dist-info/METADATA"))).decode()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "Name: headrace" in metadata
    assert "License-Expression: Apache-2.0" in metadata
    assert metadata.count("\nRequires-Dist: ") >= len(project["dependencies"])
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_its_verbs_work_away_from_the_checkout(installed, tmp_path):
    where = run(installed, "-c", "import headrace; print(headrace.__file__)", cwd=tmp_path).strip()
    assert Path(where).is_relative_to(installed.parents[1])
    assert run(installed, "-m", "headrace", "--version", cwd=tmp_path).startswith("headrace ")
    run(installed, "-m", "headrace", "init", "shop", cwd=tmp_path)
    assert run(installed, "-m", "headrace", "check", cwd=tmp_path / "shop") == "0 errors, 0 warnings\n"
    published = run(installed, "-m", "headrace", "publish", "orders", "sample/orders.jsonl", cwd=tmp_path / "shop")
    assert published.startswith("published 200 messages")
