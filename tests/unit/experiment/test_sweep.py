from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from holdfast.cli import train
from holdfast.core.errors import InputError
from holdfast.experiment.sweep import unlike


def test_jobs_that_differ_in_the_seed_alone_are_one() -> None:
    configs = [
        OmegaConf.create({"seed": seed, "lr": lr, "model": {"seed": model_seed}, "path": "${lr}"})
        for seed, lr, model_seed in ((0, 0.1, 0), (1, 0.1, 0), (0, 0.2, 0), (2, 0.2, 0), (0, 0.1, 1))
    ]
    assert unlike(configs) == [configs[0], configs[2], configs[4]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-r", "-m", "seed=0,1"], "-r -m: do not go together; next: leave out -m"),
        (["-m", "--cfg", "job"], "-m --cfg: do not go together; next: leave out --cfg"),
        (["--resolve"], "--resolve: belongs to --cfg"),
        (["-cn", "mine"], "--config-name: would leave out Holdfast's own options"),
        (["--experimental-rerun", "x"], "--experimental-rerun: repeats no run of Holdfast"),
    ],
)
def test_flags_that_do_not_go_together(words: list[str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["holdfast"])
    with pytest.raises(InputError) as caught:
        train._read_flags(words)
    assert str(caught.value).startswith(message)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
def test_what_jobs_are_forked_from_has_no_threads_and_a_frozen_heap() -> None:
    script = (
        "import gc, os, holdfast.experiment.warm, torch\n"
        "print(len(os.listdir('/proc/self/task')), torch.cuda.is_initialized(), gc.get_freeze_count() > 100_000)"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "False", "True"]
