from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Run, answer

pytestmark = pytest.mark.slow
Freeze = Callable[..., str]
STEPS = ["open.intent", "open.predicted", "open.result"]


def _ledger(home: Path) -> list[str]:
    return [json.loads(path.read_bytes())["type"] for path in sorted(home.glob("vaults/*/ledger/*.json"))]


def test_a_loop_of_openings_gives_one_result(freeze: Freeze, holdfast: Run, tmp_path: Path) -> None:
    selections = [freeze(f"run{seed}", f"seed={seed}") for seed in range(4)]
    done = [holdfast("open", selection, "--json") for selection in selections]
    assert [one.returncode for one in done] == [0, 3, 3, 3]
    for one in done[1:]:
        assert json.loads(one.stdout)["error"]["what"].startswith(f"was opened with selection {selections[0][:8]}")
    again = [holdfast("open", selection) for selection in selections]
    assert [one.returncode for one in again] == [0, 3, 3, 3]
    assert _ledger(tmp_path / "home")[5:] == [*STEPS, "refused", "refused", "refused"]
    assert answer(holdfast("vault", "verify", "--json")) == {"ok": True, "findings": []}


@pytest.mark.parametrize("num_selections", [1, 2])
def test_four_openings_at_once_spend_one(
    freeze: Freeze, holdfast: Run, project: Path, environment: dict[str, str], num_selections: int
) -> None:
    selections = [freeze(f"run{seed}", f"seed={seed}") for seed in range(num_selections)]
    command = [sys.executable, "-m", "holdfast.cli.main", "open", "--json"]
    processes = [
        subprocess.Popen(
            [*command, selections[index % num_selections]], cwd=project, env=environment, stdout=subprocess.PIPE
        )
        for index in range(4)
    ]
    answers = [json.loads(process.communicate()[0]) for process in processes]
    codes = sorted(process.returncode for process in processes)
    opened = [one for one in answers if "error" not in one]
    assert codes == ([0] * 4 if num_selections == 1 else [0, 0, 3, 3])
    assert sum(not one["replayed"] for one in opened) == 1
    assert len({one["head"] for one in opened}) == 1
    types = _ledger(Path(environment["HOLDFAST_HOME"]))
    assert [type for type in types if type.startswith("open.")] == STEPS


def test_an_opening_that_is_killed_goes_on(
    freeze: Freeze, holdfast: Run, project: Path, environment: dict[str, str]
) -> None:
    selection, other = freeze("run"), freeze("other", "seed=1")
    home = Path(environment["HOLDFAST_HOME"])
    for step in STEPS[:2]:
        process = subprocess.Popen(
            [sys.executable, "-m", "holdfast.cli.main", "open", selection], cwd=project, env=environment
        )
        while step not in _ledger(home):
            assert process.poll() is None
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert holdfast("open", other).returncode == 3
    opened = answer(holdfast("open", selection, "--json"))
    assert opened["opening"] == 1
    assert [type for type in _ledger(home) if type.startswith("open.")] == STEPS
    assert answer(holdfast("vault", "verify", "--json"))["ok"]


def test_a_bit_of_a_frozen_checkpoint(freeze: Freeze, holdfast: Run, tmp_path: Path) -> None:
    selection = freeze("run")
    (checkpoint,) = (tmp_path / "home").glob("vaults/*/selections/*/members/0/checkpoints/*.ckpt")
    content = bytearray(checkpoint.read_bytes())
    content[len(content) // 2] ^= 1
    checkpoint.write_bytes(content)
    done = holdfast("open", selection)
    assert done.returncode == 3
    assert "was changed since the freeze" in done.stderr
    assert "open.intent" not in _ledger(tmp_path / "home")


def test_a_former_vault_put_back_is_noticed(freeze: Freeze, holdfast: Run, tmp_path: Path) -> None:
    selections = [freeze("run"), freeze("other", "seed=1")]
    home = tmp_path / "home"
    shutil.copytree(home / "vaults", tmp_path / "copy")
    answer(holdfast("open", selections[0], "--json"))
    shutil.rmtree(home / "vaults")
    shutil.copytree(tmp_path / "copy", home / "vaults")
    done = holdfast("open", selections[1])
    assert done.returncode == 3
    assert "the ledger ends before entry 5, which was seen here" in done.stderr
    assert holdfast("vault", "verify").returncode == 3


LEAK = """
import torch
from torch import nn


class Leak(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        self.layer = nn.Linear(torch.Size(input_shape).numel(), num_outputs)
        self.calls = 0

    def forward(self, x):
        self.calls += not self.training and len(x) == NUM_TEST
        if self.calls:
            print("ROWS", x.flatten()[:3].tolist())
            raise ValueError(f"ROWS {x.flatten()[:3].tolist()}")
        return self.layer(x.flatten(1))
"""


def test_an_exception_that_prints_the_rows(
    freeze: Freeze, holdfast: Run, project: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    (project / "leaky.py").write_text(LEAK.replace("NUM_TEST", "359"))
    (project / "conf" / "model").mkdir(parents=True)
    (project / "conf" / "model" / "leaky.yaml").write_text("_target_: leaky.Leak\n_partial_: true\n")
    environment["PYTHONPATH"] += f"{os.pathsep}{project}"
    selection = freeze("run", "model=leaky", "trusted_modules=[leaky]")
    done = holdfast("open", selection)
    assert done.returncode == 1
    assert "predict failed with ValueError; its text is withheld" in done.stderr
    assert "ROWS" not in done.stdout + done.stderr
    whole = b"".join(path.read_bytes() for path in (tmp_path / "home" / "vaults").rglob("*.json"))
    assert b"ROWS" not in whole


def test_a_new_seed_or_fraction_after_a_freeze(freeze: Freeze, train: Run) -> None:
    freeze("run")
    for number, override in enumerate(("split.seed=1", "split.fractions=[0.8,0.1,0.1]", "split.stratify=false")):
        done = train(f"hydra.run.dir=other{number}", override)
        assert done.returncode == 3, done.stderr
        assert "was frozen with another test part" in done.stderr
    assert train("hydra.run.dir=val", "split.val_seed=1").returncode == 0


def test_a_deleted_vault_is_not_sealed_again(freeze: Freeze, train: Run, holdfast: Run, tmp_path: Path) -> None:
    selection = freeze("run")
    answer(holdfast("open", selection, "--json"))
    shutil.rmtree(tmp_path / "home" / "vaults")
    done = train("hydra.run.dir=again")
    assert done.returncode == 3, done.stderr
    assert "its folder is gone" in done.stderr


def test_the_keys_of_another_home(freeze: Freeze, holdfast: Run, tmp_path: Path) -> None:
    selection = freeze("run")
    done = holdfast("open", selection, HOLDFAST_KEYS=str(tmp_path / "nowhere"))
    assert done.returncode == 3
    assert "the key cannot be read" in done.stderr
    assert "open.intent" not in _ledger(tmp_path / "home")
