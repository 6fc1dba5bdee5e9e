"""Attacks 8, 9 and 12: sealed rows come back by another seed, name, form, order or as folds of everything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.core.errors import VaultRefused
from holdfast.vault.rows.digest_sets import content_id
from holdfast.vault.rows.identity import row_digests
from holdfast.vault.sealing import SealRequest, ensure_sealed

from .conftest import Frozen, Run


def seal(x: Any, num_test: int, name: str = "photos", kind: str = "image") -> str:
    digests, y = row_digests(x, kind=kind), np.arange(len(x)) % 2
    return ensure_sealed(
        SealRequest(
            source={"name": name},
            content=content_id(digests, y),
            test_rule={},
            task="binary",
            class_names=("no", "yes"),
            x=x[:num_test],
            y=y[:num_test],
            digests=digests,
            test=np.arange(len(x)) < num_test,
            development=np.arange(len(x)) >= num_test,
            policy={},
            counts={},
            kind=kind,
        )
    ).vault


DISGUISES: dict[str, Callable[[Any], Any]] = {
    "renamed": lambda x: x[:-1],
    "shuffled": lambda x: x[np.random.default_rng(3).permutation(len(x))][:-1],
    "reversed": lambda x: x[::-1],
    "extended": lambda x: np.concatenate([np.random.default_rng(9).integers(0, 256, (5, *x.shape[1:]), np.uint8), x]),
    "floats": lambda x: x[:-1].astype(np.float32) / 255,
    "doubles": lambda x: x[:-1] / 255,
    "minus one to one": lambda x: x[:-1].astype(np.float32) / 127.5 - 1,
    "half": lambda x: (x[:-1] / 255).astype(np.float16),
    "integers": lambda x: x[:-1].astype(np.int32),
    "channels first": lambda x: (x[:-1].astype(np.float32) / 255).transpose(0, 3, 1, 2),
    "another memory order": lambda x: np.asfortranarray(x[:-1]),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_disguise(home: Path, disguise: str) -> None:
    images = np.random.default_rng(1).integers(0, 256, (60, 8, 8, 3), np.uint8)
    vault = seal(images, 20)
    if disguise == "reversed":  # the same rows: before a freeze they are sealed anew, and never opened to training
        assert seal(DISGUISES[disguise](images), 20) != vault
        return
    again = DISGUISES[disguise](images)
    with pytest.raises(VaultRefused, match=f"of these rows are sealed in vault {vault[:8]}"):
        seal(again, 10, name="other", kind="image" if again.dtype == np.uint8 else "array")


@pytest.mark.slow
def test_a_new_seed_or_fraction_after_a_freeze(frozen: Frozen, train: Run) -> None:
    frozen(1)
    for number, override in enumerate(("split.seed=1", "split.fractions=[0.8,0.1,0.1]", "split.stratify=false")):
        done = train(f"hydra.run.dir=other{number}", override)
        assert done.returncode == 3, done.stderr
        assert "was frozen with another test part" in done.stderr
    assert train("hydra.run.dir=val", "split.val_seed=1").returncode == 0


FOLDS = """
import numpy as np
from holdfast.data.rows import Rows
from sklearn.datasets import load_digits


def load(fold=0):
    data = load_digits()
    rows = np.arange(len(data.target)) % 5 != fold
    x, y = data.images[rows].astype(np.uint8)[..., None], data.target[rows].astype(np.int64)
    return Rows(x, y, "multiclass", "image", tuple(map(str, range(10))))
"""


@pytest.mark.slow
@pytest.mark.parametrize("vault", ["once", "none"])
def test_folds_over_all_rows(frozen: Frozen, train: Run, project: Path, vault: str) -> None:
    frozen(1)
    (project / "folds.py").write_text(FOLDS)
    (project / "conf" / "data").mkdir(parents=True)
    option = (
        "name: folds\nresident: auto\nnum_workers: 0\nsource:\n  _target_: folds.load\n  _partial_: true\n  fold: 0\n"
    )
    (project / "conf" / "data" / "folds.yaml").write_text(option + "path: null\n")
    done = train("data=folds", "trusted_modules=[folds]", f"vault={vault}", "hydra.run.dir=fold")
    assert done.returncode == 3, done.stderr
    assert "of these rows are sealed in vault" in done.stderr
