"""Attack 15: an exception text, or a print, that carries the batch."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Run, ledger_types

pytestmark = pytest.mark.slow
Freeze = Callable[..., str]


LEAK = """
import contextlib
import os
import subprocess

import torch
from torch import nn

DOUBLES = [os.dup(1), os.dup(2)]  # made before the first sealed row


class Leak(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        self.layer = nn.Linear(torch.Size(input_shape).numel(), num_outputs)
        self.calls = 0

    def forward(self, x):
        self.calls += not self.training and len(x) == NUM_TEST
        if self.calls:
            for double in DOUBLES:
                os.write(double, b"ROWS")
            subprocess.run(["sh", "-c", "echo ROWS; echo ROWS >&2; echo ROWS > /dev/tty"], check=False)
            with contextlib.suppress(OSError):
                os.symlink("ROWS", "ROWS.link")
            for place in ("ROWS.txt", "/dev/shm/ROWS", "/tmp/ROWS"):
                with contextlib.suppress(OSError), open(place, "w") as file:
                    file.write(f"ROWS {x.flatten()[:3].tolist()}")
            print("ROWS", x.flatten()[:3].tolist())
            raise ValueError(f"ROWS {x.flatten()[:3].tolist()}")
        return self.layer(x.flatten(1))
"""


def test_an_exception_that_prints_the_rows(
    freeze: Freeze, holdfast: Run, project: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    (project / "leaky.py").write_text(LEAK.replace("NUM_TEST", "359"))
    (project / "conf" / "model").mkdir(parents=True)
    (project / "conf" / "model" / "leaky.yaml").write_text("_target_: leaky.Leak\n")
    environment["PYTHONPATH"] += f"{os.pathsep}{project}"
    selection = freeze("run", "model=leaky", "trusted_modules=[leaky]")
    done = holdfast("open", selection)
    assert done.returncode == 1
    assert "predictor: failed with ValueError; its text is withheld" in done.stderr
    assert "ROWS" not in done.stdout + done.stderr
    for place in (project / "ROWS.txt", Path("/dev/shm/ROWS"), Path("/tmp/ROWS"), project / "ROWS.link"):
        assert not os.path.lexists(place)
    assert ledger_types(tmp_path / "home")[2:] == ["open.intent", "refused"], "a failure can be an answer"
    whole = b"".join(path.read_bytes() for path in (tmp_path / "home" / "vaults").rglob("*.json"))
    assert b"ROWS" not in whole
