"""The wheel in a clean environment and an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path, home: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment["HOLDFAST_HOME"] = str(home)
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, timeout=1200, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", folder, ROOT, cwd=folder, home=folder)
    return next(folder.glob("holdfast-*.whl"))


def test_wheel_carries_options_and_recipes(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder, inside in (("conf", "holdfast/conf"), ("recipes", "holdfast/recipes")):
        files = [path.relative_to(ROOT / folder) for path in (ROOT / folder).rglob("*.yaml")]
        assert files
        assert {f"{inside}/{path}" for path in files} <= names
    templates = [path.name for path in (ROOT / "src" / "holdfast" / "reporting" / "templates").iterdir()]
    assert {f"holdfast/reporting/templates/{name}" for name in templates} <= names
    assert "hydra_plugins/holdfast/process_launcher.py" in names
    assert "hydra_plugins/__init__.py" not in names, "hydra_plugins is a namespace of many packages"


def test_wheel_trains_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    environment, work, home = tmp_path / "env", tmp_path / "work", tmp_path / "home"
    work.mkdir()
    run(sys.executable, "-m", "venv", environment, cwd=tmp_path, home=home)
    run(environment / "bin" / "pip", "install", "-q", "--no-compile", wheel, cwd=tmp_path, home=home)
    holdfast = environment / "bin" / "holdfast"
    output = run(holdfast, "train", "max_epochs=2", "hydra.run.dir=first", cwd=work, home=home)
    assert "next   holdfast runs ." in output
    (work / "recipes").mkdir()
    (work / "recipes" / "mine.yaml").write_text("# mine\nmax_epochs: 1\n")
    run(holdfast, "train", "recipes=mine", "hydra.run.dir=second", cwd=work, home=home)
    run(holdfast, "train", "-m", "seed=0,1", "max_epochs=1", "hydra.sweep.dir=sweep", cwd=work, home=home)
    assert "completed" in run(holdfast, "runs", ".", cwd=work, home=home)
    selection = run(holdfast, "freeze", "first", "--json", cwd=work, home=home)
    assert "selection" in selection
