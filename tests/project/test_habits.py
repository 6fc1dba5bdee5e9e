"""The project's own rules, by the tools of the field: one command each, as CONTRIBUTING names them."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOP_LEVEL = {"docs", "pyproject.toml", "conf", "recipes", "src", "tests", "outputs", "README.md", "train.py"}
TEXT_FILES = {"LICENSE", "CHANGELOG.md", "CONTRIBUTING.md"}


def run(*command: str) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff() -> None:
    run("ruff", "check", ".")
    run("ruff", "format", "--check", ".")


def test_imports_go_down_only() -> None:
    program = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Contracts: [1-9]\d* kept, 0 broken", done.stdout)


@pytest.mark.slow
def test_mypy() -> None:
    run("mypy")


def test_top_level_is_what_the_readme_maps() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("no git checkout")
    names = {line.split("/")[0] for line in listed.stdout.splitlines()}
    assert {name for name in names if not name.startswith(".")} <= TOP_LEVEL | TEXT_FILES


def test_malicious_lightning_is_excluded() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lightning = next(line for line in project["dependencies"] if line.startswith("pytorch-lightning"))
    assert "!=2.6.2" in lightning
    assert "!=2.6.3" in lightning


def test_ci_runs_the_command_of_the_readme() -> None:
    command = "pip install -e '.[test]' && pytest"
    assert command in (ROOT / "README.md").read_text()
    ci = (ROOT / ".ci" / "run").read_text()
    assert re.search(r"^pip install .*-e '\.\[test\]' && pytest$", ci, re.M)


def test_composing_and_preparing_import_no_torch() -> None:
    modules = (
        "holdfast.cli.train, holdfast.cli.main, holdfast.config.check, "
        "holdfast.data.store.worker, holdfast.vault.verify"
    )
    program = f"import sys, {modules}; assert not {{'torch', 'pytorch_lightning'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
