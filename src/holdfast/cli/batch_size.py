"""`holdfast batch-size ...`: how large a batch fits, and how fast each size trains."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from holdfast.cli.arguments import Json, Overrides
from holdfast.core.errors import RunFailed


def batch_size(overrides: Overrides = None, as_json: Json = False) -> None:
    """Try batches of 2, 4, 8, ... rows: which fit into memory, and how fast each trains."""
    from holdfast.experiment.compose import compose

    config = compose([*(overrides or []), "batch_size=full"], reads_rows=True)
    from holdfast.experiment.experiment import Experiment
    from holdfast.training.batch_sizes import advised, find_batch_sizes

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
