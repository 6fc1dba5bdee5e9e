"""Attack 15: an exception text, or a print, that carries the batch."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Run

pytestmark = pytest.mark.slow
Freeze = Callable[..., str]


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
