"""The page about parts of one's own, typed in: every file saved in an empty folder, every command run."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from commands import Done, run_command

PAGE = Path(__file__).parents[2] / "docs" / "your-own-parts.md"
FILES = re.findall(r"^`(\S+)`:\n```\w+\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
COMMANDS = re.findall(r"^holdfast .*", PAGE.read_text(encoding="utf-8"), re.M)
SCRIPT = re.search(r"## From Python\n.*?```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture
def typed(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A folder with the files of the page, and the environment of its commands."""
    folder = tmp_path / "project"
    for name, content in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    return folder, {**os.environ, "HOLDFAST_HOME": str(tmp_path / "home")}


def run_line(line: str, typed: tuple[Path, dict[str, str]]) -> Done:
    done = run_command(*shlex.split(line), cwd=typed[0], environment=typed[1])
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.slow
def test_every_command_of_the_page(typed: tuple[Path, dict[str, str]]) -> None:
    assert len(COMMANDS) >= 7
    for line in COMMANDS:
        done = run_line(line, typed)
        assert ("done with epoch 2" in done.stdout) == ("callbacks=mine" in line)


@pytest.mark.slow
def test_the_script_of_the_page(typed: tuple[Path, dict[str, str]]) -> None:
    assert SCRIPT is not None
    command = [sys.executable, "-c", SCRIPT[1] + "\nprint(run.record['parts'], run.status)"]
    done = subprocess.run(command, cwd=typed[0], env=typed[1], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "'callbacks': {'Says'" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("completed")


@pytest.mark.slow
def test_own_parts_are_swept_resumed_exported_frozen_and_opened(typed: tuple[Path, dict[str, str]]) -> None:
    mine = "model=mine loss=mine schedule=mine optimizer=mine metrics=mine monitor=val/sureness"
    trusted = "trusted_modules=[my_model,my_loss,my_schedule,my_optimizer,my_metric]"
    run_line(f"holdfast train -m {mine} {trusted} model.width=8,16 max_epochs=1 logger=none", typed)
    run_line(f"holdfast train {mine} {trusted} max_epochs=2 hydra.run.dir=run", typed)
    record = typed[0] / "run" / "run.json"
    record.write_text(record.read_text(encoding="utf-8").replace('"completed"', '"interrupted"'), encoding="utf-8")
    run_line("holdfast train resume=run", typed)
    run_line("holdfast export run --format torch_export --output model.pt2", typed)
    frozen = json.loads(run_line("holdfast freeze run --json --criterion 'mcc > 0'", typed).stdout)
    opened = json.loads(run_line(f"holdfast open {frozen['selection']} --json", typed).stdout)
    val = json.loads(record.read_text(encoding="utf-8"))["best"]["metrics"]
    for name in ("sureness", "kappa"):
        entry = opened["metrics"][name]
        assert entry["method"] == "percentile bootstrap, 999 draws"
        assert entry["low"] < entry["value"] < entry["high"]
        assert entry["value"] == pytest.approx(val[f"val/{name}"], abs=0.2)
    assert opened["criterion"] == "mcc > 0.0"
    assert set(list(opened["metrics"])[-2:]) == {"sureness", "kappa"}
    run_line("holdfast vault verify", typed)
