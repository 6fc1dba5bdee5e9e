"""The Python API as a user meets it: the page typed in, and a run that is killed and goes on."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
ROWS = """
import numpy as np, pandas as pd, holdfast
random = np.random.default_rng(0)
frame = pd.DataFrame(random.normal(size=(3000, 6)), columns=list("abcdef"))
frame["y"] = frame.a - frame.b + 0.1 * random.normal(size=3000)
words = ["max_epochs=6", "logger=none", "model.dropout=0.2", "batch_size=8"]
"""


def run_script(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HOLDFAST_HOME": str(folder.with_name(f"{folder.name}-home"))}
    command = [sys.executable, "-c", text]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_page_can_be_typed_in(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "python-api.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    assert len(blocks) >= 10
    # Choosing goes on with the run over houses: the block in between would have failed.
    done = run_script("\n".join(blocks).replace('["resume=outputs/runs/none"]', '["resume=none"]'), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "resume: there is no folder none" in done.stdout
    ledgers = [
        json.loads(path.read_bytes())
        for path in (tmp_path.with_name(f"{tmp_path.name}-home")).glob("vaults/*/ledger/*.json")
    ]
    assert sum(entry["type"] == "open.result" for entry in ledgers) == 1


@pytest.mark.slow
def test_a_killed_run_over_rows_in_memory_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    train = ROWS + "run = holdfast.train(words, data=frame, target='y')\nprint(run.folder)"
    whole = run_script(train, tmp_path)
    assert whole.returncode == 0, whole.stderr
    process = subprocess.Popen(
        [sys.executable, "-c", train],
        cwd=tmp_path,
        env={**os.environ, "HOLDFAST_HOME": str(tmp_path.with_name(f"{tmp_path.name}-home"))},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    first = Path(whole.stdout.splitlines()[-1])
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        others = [path for path in tmp_path.glob("outputs/runs/*/*/run.json") if path.parent != first]
        if others and len(json.loads(others[0].read_bytes())["history"]) >= 2:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    killed = others[0].parent
    assert len(json.loads((killed / "run.json").read_bytes())["history"]) < 6
    # The frame is gone: the store has the rows.
    resumed = run_script(f"import holdfast; print(holdfast.train(['resume={killed}']).status)", tmp_path)
    assert resumed.stdout.splitlines()[-1:] == ["completed"], resumed.stderr
    states = []
    for folder in (first, killed):
        best = json.loads((folder / "run.json").read_bytes())["best"]["checkpoint"]
        states.append(torch.load(folder / best, weights_only=True)["state_dict"])
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
