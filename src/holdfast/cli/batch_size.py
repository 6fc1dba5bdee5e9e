"""`holdfast batch-size ...`: how large a batch fits, and how fast each size trains."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from holdfast.core.errors import RunFailed
from holdfast.experiment.compose import compose


def find(overrides: Sequence[str], as_json: bool) -> None:
    """Try batch sizes with the overrides' model and data; nothing is kept.

    Args:
        overrides: As for `train.py`: `model=cnn data=mnist data.path=DIR`.
        as_json: Whether a script reads the answer.

    Raises:
        InputError: An override is wrong, or the parts do not fit.
        RunFailed: Not even the smallest batch fits.
    """
    config = compose([*overrides, "batch_size=full"], reads_rows=True)
    from holdfast.experiment.experiment import Experiment
    from holdfast.training.batch_sizes import advised, find_batch_sizes
    from holdfast.training.fit import quiet_lightning

    quiet_lightning()
    trials = []
    if not as_json:
        print("batch size   ms a step     rows/s")
    for trial in find_batch_sizes(config, Experiment(config, Path()).prepare()):
        trials.append(trial)
        if not as_json:
            figures = f"{1000 * trial.seconds:11.2f} {trial.rows_per_s:10.0f}" if trial.fits else "out of memory"
            print(f"{trial.batch_size:10} {figures}", flush=True)
    best = advised(trials)
    if best is None:
        raise RunFailed("batch_size", "memory does not suffice for two rows", next="a smaller model")
    if as_json:
        fitting = [asdict(trial) for trial in trials if trial.fits]
        print(json.dumps({"trials": fitting, "largest": fitting[-1]["batch_size"], "advised": best.batch_size}))
        return
    print(f"\nnext   batch_size={best.batch_size}   (the smallest within a tenth of the fastest)")
