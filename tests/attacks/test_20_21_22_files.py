"""Attacks 20, 21 and 22: sealed files are swapped, a checkpoint is changed, the framework is patched."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .conftest import ROOT, Frozen, Run, ledger_types

pytestmark = pytest.mark.slow


def test_a_bit_of_a_frozen_checkpoint(frozen: Frozen, holdfast: Run, tmp_path: Path) -> None:
    (selection,) = frozen(1)
    (checkpoint,) = (tmp_path / "home").glob("vaults/*/selections/*/**/checkpoints/*.ckpt")
    content = bytearray(checkpoint.read_bytes())
    content[len(content) // 2] ^= 1
    checkpoint.write_bytes(content)
    done = holdfast("open", selection)
    assert done.returncode == 3
    assert "was changed since the freeze" in done.stderr
    assert "open.intent" not in ledger_types(tmp_path / "home")


def test_the_keys_of_another_home(frozen: Frozen, holdfast: Run, tmp_path: Path) -> None:
    (selection,) = frozen(1)
    done = holdfast("open", selection, HOLDFAST_KEYS=str(tmp_path / "nowhere"))
    assert done.returncode == 3
    assert "the key cannot be read" in done.stderr
    assert "open.intent" not in ledger_types(tmp_path / "home")


@pytest.mark.parametrize("attack", ["swapped", "chunks"])
def test_sealed_parts_are_exchanged(frozen: Frozen, holdfast: Run, tmp_path: Path, attack: str) -> None:
    (selection,) = frozen(1)
    (folder,) = (path.parent for path in (tmp_path / "home").glob("vaults/*/x.sealed"))
    x, y = folder / "x.sealed", folder / "y.sealed"
    if attack == "swapped":
        x.rename(folder / "hold")
        y.rename(x)
        (folder / "hold").rename(y)
    else:
        content = x.read_bytes()
        x.write_bytes(content[:40] + content[56:] + content[40:56])
    done = holdfast("open", selection)
    assert done.returncode == 3
    assert "was changed; next: restore it from a copy" in done.stderr
    assert "open.intent" not in ledger_types(tmp_path / "home")


def test_a_patched_framework_leaves_its_hash(frozen: Frozen, holdfast: Run, tmp_path: Path) -> None:
    (selection,) = frozen(1)
    patched = tmp_path / "patched"
    shutil.copytree(ROOT / "src", patched, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("conf", "recipes"):
        shutil.copytree(ROOT / name, tmp_path / name)
    scorer = patched / "holdfast" / "evaluation" / "scorer.py"
    scorer.write_text(scorer.read_text() + "\n# every answer is a little better\n")
    done = holdfast("open", selection, PYTHONPATH=str(patched))
    assert done.returncode == 0, done.stderr
    assert "code of holdfast" in done.stdout + done.stderr
    entries = [json.loads(path.read_bytes()) for path in sorted((tmp_path / "home").glob("vaults/*/ledger/*.json"))]
    hashes = [entry["framework"]["code_sha256"] for entry in entries]
    assert len(set(hashes)) == 2
    assert hashes[0] != hashes[-1]


def test_a_checkpoint_that_is_exchanged_after_it_was_checked(
    frozen: Frozen, project: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    """Another process waits for the copies that an opening makes, and changes one before it is loaded."""
    (selection,) = frozen(1)
    command = [sys.executable, "-m", "holdfast.cli.main", "open", selection]
    process = subprocess.Popen(command, cwd=project, env=environment, stderr=subprocess.PIPE, text=True)
    pattern = "vaults/*/.opening-files/models/0/val_predictions.npy"  # the last of them
    while not list((tmp_path / "home").glob(pattern)):
        assert process.poll() is None
        time.sleep(0.001)
    (checkpoint,) = (tmp_path / "home").glob("vaults/*/.opening-files/**/*.ckpt")
    content = bytearray(checkpoint.read_bytes())
    content[len(content) // 2] ^= 1
    checkpoint.write_bytes(content)
    assert "a frozen file was changed while the vault was being opened" in process.communicate()[1]
    assert process.returncode == 3
    assert "open.intent" not in ledger_types(tmp_path / "home")
