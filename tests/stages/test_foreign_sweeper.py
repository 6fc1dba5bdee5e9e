"""A sweeper of another's, as a plugin of Hydra: it is handed the monitored value of every job, and a failed job."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SWEEPER = '''
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobStatus
from hydra.plugins.sweeper import Sweeper


class Halving(Sweeper):
    """Tries rates, then the best of them with another seed."""

    def __init__(self, rates):
        self.rates = rates

    def setup(self, *, hydra_context, task_function, config):
        from hydra.core.plugins import Plugins
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments):
        first = self.launcher.launch([[*arguments, f"lr={rate}"] for rate in self.rates], 0)
        values = {}
        for rate, job in zip(self.rates, first):
            print("foreign", rate, job.status.name)
            if job.status is JobStatus.COMPLETED:
                values[rate] = float(job.return_value)
        best = min(values, key=values.get)
        (again,) = self.launcher.launch([[*arguments, f"lr={best}", "seed=1"]], len(first))
        print("foreign best", best, again.status.name, float(again.return_value))


node = {"_target_": "hydra_plugins.halving.sweeper.Halving", "rates": [0.001, 0.01]}
ConfigStore.instance().store(group="hydra/sweeper", name="halving", node=node, provider="halving")
'''


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["processes", "basic"])
def test_a_foreign_sweeper_gets_values_and_failures(tmp_path: Path, launcher: str) -> None:
    package = tmp_path / "hydra_plugins" / "halving"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "sweeper.py").write_text(SWEEPER)
    rates = [0.001, 0.01] if launcher == "basic" else [0.001, 0.01, 1e9]
    command = [sys.executable, "-m", "holdfast.cli.train", "-m", "max_epochs=2", "logger=none", "model.hidden=[8]"]
    command += ["hydra/sweeper=halving", f"hydra.sweeper.rates={rates}".replace(" ", ""), f"hydra/launcher={launcher}"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "HOLDFAST_HOME": str(tmp_path / "home")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    lines = [line.removeprefix("foreign ") for line in done.stdout.splitlines() if line.startswith("foreign")]
    assert lines[:2] == ["0.001 COMPLETED", "0.01 COMPLETED"], done.stderr
    records = [json.loads(path.read_bytes()) for path in tmp_path.glob("outputs/sweeps/*/*/*/run.json")]
    best = next(record["best"]["value"] for record in records if record["seed"] == 1)
    assert lines[-1] == f"best 0.01 COMPLETED {best}"
    if launcher == "processes":
        assert lines[2] == "1000000000.0 FAILED"
        assert done.returncode == 1
        assert "sweep: 1 of 4 jobs failed: 2 (train/loss: is nan in step" in done.stderr
    else:
        assert done.returncode == 0
