"""Attacks 13 and 14: statistics of all rows, or test rows themselves, in what a run leaves behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Run

pytestmark = pytest.mark.slow

HOARDER = """
import torch
from sklearn.datasets import load_digits
from torch import nn


class Hoarder(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        self.layer = nn.Linear(torch.Size(input_shape).numel(), num_outputs)
        self.register_buffer("notes", torch.from_numpy(load_digits().images).to(torch.DTYPE))

    def forward(self, x):
        return self.layer(x.flatten(1))
"""


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_buffer_with_all_rows(
    train: Run, holdfast: Run, project: Path, environment: dict[str, str], dtype: str
) -> None:
    environment["PYTHONPATH"] += f":{project}"
    (project / "hoard.py").write_text(HOARDER.replace("DTYPE", dtype))
    (project / "conf" / "model").mkdir(parents=True)
    (project / "conf" / "model" / "hoard.yaml").write_text("_target_: hoard.Hoarder\n_partial_: true\n")
    done = train("model=hoard", "trusted_modules=[hoard]", "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    done = holdfast("freeze", "run")
    assert done.returncode == 3, done.stderr
    assert "holds sealed test rows" in done.stderr
