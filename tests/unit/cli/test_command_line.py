"""A command line that no verb can read is an error like any other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.cli.main import main


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["opne"], "no such command 'opne'"),
        (["open"], "holdfast open: missing argument 'SELECTION'; next: holdfast open --help"),
        (["vault", "status", "--jsn"], "holdfast vault status: no such option: --jsn"),
        (["vault"], "holdfast vault: needs a verb; next: holdfast vault --help"),
    ],
)
def test_it_is_one_line(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["holdfast", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_a_script_reads_it_as_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["holdfast", "freeze", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["code"], error["where"]) == ("input", "holdfast freeze")


COMMANDS = (
    *(["-m", "holdfast.cli.main", *words] for words in (["vault", "status"], ["train", "--help"])),
    ["train.py", "--help"],
)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_working_folder_comes_last(home: Path, tmp_path: Path, command: list[str]) -> None:
    """A stranger's folder with modules named as Python's and Hydra's: none of them is run."""
    folder = tmp_path / "strangers"
    folder.mkdir()
    for name in ("secrets", "hydra", "typing", "json", "filelock"):
        (folder / f"{name}.py").write_text("open('run', 'w')")
    root = Path(__file__).resolve().parents[3]
    (folder / "train.py").write_bytes((root / "train.py").read_bytes())
    environment = {**os.environ, "PYTHONPATH": str(root / "src")}
    done = subprocess.run([sys.executable, *command], cwd=folder, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not (folder / "run").exists()
