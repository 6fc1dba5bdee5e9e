from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from holdfast.core.files import MerkleTree
from holdfast.core.sweep_folder import sweep_of
from holdfast.evaluation.freeze.trials import describe_trials

from ..conftest import WHOLE


def _hash(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def test_the_root_is_that_of_rfc_6962() -> None:
    assert MerkleTree([]).root() == hashlib.sha256(b"").hexdigest()
    a, b, c = (_hash(b"\x00" + leaf) for leaf in (b"a", b"b", b"c"))
    assert MerkleTree([b"a"]).root() == a.hex()
    assert MerkleTree([b"a", b"b", b"c"]).root() == _hash(b"\x01" + _hash(b"\x01" + a + b) + c).hex()
    # the tree of certificate-transparency's own test vectors, 2 and 3 leaves
    assert MerkleTree([b"", b"\x00"]).root() == "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
    expected = "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"
    assert MerkleTree([b"", b"\x00", b"\x10"]).root() == expected


def _run(folder: Path, seed: int, value: float, **changes: Any) -> dict[str, Any]:
    record = {
        **WHOLE,
        "seed": seed,
        "config": {"seed": seed, "lr": 0.1},
        "data": {"val_sha256": "v"},
        "best": {
            **{"monitor": "val/accuracy", "mode": "max", "value": value, "epoch": 1, "checkpoint": "best.ckpt"},
            "metrics": {"val/accuracy": value},
        },
    } | changes
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(record))
    return record


def test_a_run_of_its_own_has_no_trials(tmp_path: Path) -> None:
    assert describe_trials(tmp_path / "run", _run(tmp_path / "run", 0, 0.9)) is None


def test_the_runs_of_a_sweep_are_counted_and_committed_to(tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    record = _run(sweep / "0", 0, 0.90)
    _run(sweep / "1", 1, 0.92)
    _run(sweep / "2", 2, 0.70, config={"seed": 2, "lr": 0.2})
    _run(sweep / "10", 3, 0.94)
    _run(sweep / "11", 4, 0.10, status="failed", best=None)
    (sweep / "multirun.yaml").touch()
    assert sweep_of(sweep / "0") == sweep
    trials = describe_trials(sweep / "0", record)
    assert trials is not None
    assert (trials["sweep"], trials["runs"], trials["completed"]) == ("sweep", 5, 4)
    assert (
        trials["root"]
        == MerkleTree([(sweep / n / "run.json").read_bytes() for n in ("0", "1", "2", "10", "11")]).root()
    )
    spread = trials["seed_spread"]
    assert (spread["seeds"], spread["values"]) == ([0, 1, 3], [0.90, 0.92, 0.94])
    assert (spread["mean"], spread["std"]) == pytest.approx((0.92, 0.02))
    (sweep / "2" / "run.json").unlink()
    left_out = describe_trials(sweep / "0", record)
    assert left_out is not None
    assert left_out["root"] != trials["root"]


def test_the_repeats_of_a_trial_are_runs_of_its_sweep(tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    names = [f"{trial}/{repeat}" for trial in (2, 10) for repeat in (0, 1)]
    records = [
        _run(sweep / name, int(name[-1]), 0.9, config={"seed": int(name[-1]), "lr": len(name)}) for name in names
    ]
    (sweep / "sweep.json").touch()
    assert sweep_of(sweep / "2" / "1") == sweep
    trials = describe_trials(sweep / "2" / "1", records[1])
    assert trials is not None
    assert (trials["sweep"], trials["runs"], trials["completed"]) == ("sweep", 4, 4)
    assert trials["root"] == MerkleTree([(sweep / name / "run.json").read_bytes() for name in names]).root()
    assert trials["seed_spread"]["seeds"] == [0, 1]
