"""The runs that were tried before one was chosen: the more there were, the more the best val score flatters.

The root is the Merkle tree hash (RFC 6962, 2.1) over the `run.json` of every run of the sweep, in the order of their
numbers, as they were at the freeze: whoever keeps the sweep can show later that no run was left out.
"""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from holdfast.core.errors import InputError
from holdfast.core.files import MerkleTree
from holdfast.core.run_record import read_run, record_bytes
from holdfast.core.sweep_folder import runs_of, sweep_of

NOT_COMPARED = ("seed", "paths", "resume")


def describe_trials(run: Path, record: Mapping[str, Any]) -> dict[str, Any] | None:
    """{"sweep", "runs", "completed", "root", "seed_spread"} of the sweep that a run came from; None without one.

    `seed_spread` is {"metric", "seeds", "values", "mean", "std"} over its completed runs that differ from the chosen
    one in nothing but the seed; null where there is no other.
    """
    folder = sweep_of(run)
    if folder is None:
        return None
    runs, records = runs_of(folder), []
    for other in runs:
        with contextlib.suppress(InputError):
            records.append(read_run(other))
    return {
        "sweep": folder.name,
        "runs": len(runs),
        "completed": sum(other["status"] == "completed" for other in records),
        "root": MerkleTree(record_bytes(other) for other in runs).root(),
        "seed_spread": seed_spread(record, records),
    }


def seed_spread(record: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The spread of the val score where nothing but the seed differs; None for fewer than two such runs."""
    wanted = _repeated(record)
    monitor = record["best"]["monitor"]
    scores = {
        other["seed"]: other["best"]["metrics"].get(monitor)
        for other in others
        if other["status"] == "completed" and other["best"] and _repeated(other) == wanted
    }
    values = {seed: value for seed, value in sorted(scores.items()) if value is not None}
    if len(values) < 2:
        return None
    return {
        "metric": monitor,
        "seeds": list(values),
        "values": list(values.values()),
        "mean": statistics.fmean(values.values()),
        "std": statistics.stdev(values.values()),
    }


def without_seed(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a config that is the same in runs that only repeat each other with another seed."""
    return {key: value for key, value in config.items() if key not in NOT_COMPARED}


def _repeated(record: Mapping[str, Any]) -> dict[str, Any]:
    return {**without_seed(record["config"]), "val_sha256": (record["data"] or {}).get("val_sha256")}
