"""Attacks 8, 9 and 12: sealed rows come back by another seed, name, form, order or as folds of everything.

Whatever they come as, they are never in the store again: train and val rows are what is left.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from holdfast.data.rows import Rows
from holdfast.data.sources.embedded import digits as load_digits
from holdfast.data.store import store, worker
from holdfast.data.store.store import Prepared
from holdfast.vault.rows.identity import row_digests

from .conftest import Frozen, Run, answer

Digests = set[bytes]
Prepare = Callable[..., Prepared]


@pytest.fixture
def prepare(home: Path, monkeypatch: pytest.MonkeyPatch) -> Prepare:
    """Prepare images that a source of another name returns each time."""
    asked: list[str] = []

    def call(x: NDArray[Any], vault: str = "once", seed: int = 0) -> Prepared:
        kind: Any = "image" if x.dtype == np.uint8 else "array"
        y = row_digests(x, kind=kind)[:, 0].astype(np.int64) % 2
        monkeypatch.setattr(worker, "rows_of", lambda source: Rows(x, y, "binary", kind, ("no", "yes")))
        source = {"_target_": "strange.source"}
        split = {"_target_": "holdfast.data.splits.Holdout", "seed": seed}
        asked.append(f"photos {len(asked)}")
        request = store.make_request({"name": asked[-1], "source": source}, split, {"policy": vault})
        worker.answer_request(request := {**request, "id": asked[-1]})
        prepared = store.find_prepared(request)
        assert prepared is not None
        return prepared

    return call


def _digests(*arrays: NDArray[np.uint8]) -> Digests:
    return {row.tobytes() for array in arrays for row in array}


def _new_images(num_images: int) -> NDArray[np.uint8]:
    return np.random.default_rng(9).integers(0, 256, (num_images, 8, 8, 3), np.uint8)


DISGUISES: dict[str, Callable[[Any], Any]] = {
    "renamed": lambda x: x[:-1],
    "shuffled": lambda x: x[np.random.default_rng(3).permutation(len(x))][:-1],
    "reversed": lambda x: x[::-1],
    "extended": lambda x: np.concatenate([_new_images(5), x]),
    "lost among others": lambda x: np.concatenate([_new_images(200), x[:25]]),
    "floats": lambda x: x[:-1].astype(np.float32) / 255,
    "doubles": lambda x: x[:-1] / 255,
    "minus one to one": lambda x: x[:-1].astype(np.float32) / 127.5 - 1,
    "half": lambda x: (x[:-1] / 255).astype(np.float16),
    "integers": lambda x: x[:-1].astype(np.int32),
    "channels first": lambda x: (x[:-1].astype(np.float32) / 255).transpose(0, 3, 1, 2),
    "another memory order": lambda x: np.asfortranarray(x[:-1]),
}


@pytest.mark.parametrize("vault", ["once", "none"])
@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_disguise(prepare: Prepare, capsys: pytest.CaptureFixture[str], disguise: str, vault: str) -> None:
    images = np.random.default_rng(1).integers(0, 256, (60, 8, 8, 3), np.uint8)
    first = prepare(images)
    everything = _digests(row_digests(images, kind="image"))
    sealed = everything - _digests(first.digests)
    assert len(sealed) == first.num_test == 12
    disguised = DISGUISES[disguise](images)
    again = prepare(disguised, vault)
    output = capsys.readouterr().err
    came = _digests(row_digests(disguised, kind="image" if disguised.dtype == np.uint8 else "array"))
    stored = _digests(again.digests)
    assert came & sealed, "the disguise holds sealed rows"
    assert stored.isdisjoint(sealed)
    if vault == "none":
        assert stored == came - sealed
    elif disguise == "lost among others":
        assert again.vault != first.vault
        assert again.num_test + len(stored) == len(came - sealed)
        assert "5 rows left out that are sealed in another vault" in output
    else:
        assert again.vault == first.vault
        assert stored == came - sealed
        assert f"goes on with vault {first.vault[:8]}" in output


@pytest.mark.parametrize("vault", ["once", "none"])
def test_a_few_sealed_rows_alone(prepare: Prepare, vault: str) -> None:
    """Somebody who knows which rows are sealed takes them and hides them among new ones, in small portions."""
    images = np.random.default_rng(1).integers(0, 256, (60, 8, 8, 3), np.uint8)
    first = prepare(images)
    known = _digests(first.digests)
    test = np.array([digest.tobytes() not in known for digest in row_digests(images, kind="image")])
    sealed = _digests(row_digests(images[test], kind="image"))
    for portion in np.array_split(images[test], 4):
        prepared = prepare(np.concatenate([_new_images(40), portion]), vault)
        assert _digests(prepared.digests).isdisjoint(sealed)


def _stored(home: Path) -> Digests:
    return _digests(*(np.load(path) for path in home.glob("store/rows/*/raw/digests.npy")))


@pytest.fixture
def sealed_digits(frozen: Frozen, tmp_path: Path) -> Digests:
    """Digits, frozen; what their sealed rows are known by."""
    frozen(1)
    rows = load_digits()
    assert rows.x is not None
    sealed = _digests(row_digests(rows.x, kind=rows.kind)) - _stored(tmp_path / "home")
    assert len(sealed) == 359
    return sealed


@pytest.mark.slow
def test_a_new_seed_or_fraction_after_a_freeze(sealed_digits: Digests, train: Run, tmp_path: Path) -> None:
    for number, override in enumerate(("split.seed=1", "split.fractions=[0.8,0.1,0.1]", "split.stratify=false")):
        done = train(f"hydra.run.dir=other{number}", override)
        assert done.returncode == 3, done.stderr
        assert "was frozen with another test part" in done.stderr
    assert train("hydra.run.dir=val", "split.val_seed=1").returncode == 0
    assert _stored(tmp_path / "home").isdisjoint(sealed_digits)


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
def test_folds_over_all_rows(  # noqa: PLR0917
    sealed_digits: Digests, train: Run, holdfast: Run, project: Path, tmp_path: Path, vault: str
) -> None:
    """Each fold goes on with the vault, or without one: what is sealed is in none of them."""
    (project / "folds.py").write_text(FOLDS)
    (project / "conf" / "data").mkdir(parents=True)
    option = "name: folds\nresident: auto\nnum_workers: 0\nsource:\n  _target_: folds.load\n  fold: 0\n"
    (project / "conf" / "data" / "folds.yaml").write_text(option + "path: null\n")
    before = _stored(tmp_path / "home")
    for fold in (0, 1):
        overrides = ("data=folds", f"data.source.fold={fold}", "trusted_modules=[folds]", f"vault={vault}")
        done = train(*overrides, f"hydra.run.dir=fold{fold}")
        assert done.returncode == 0, done.stderr
        words = "sealed rows stay out" if vault == "once" else "rows left out that are sealed in another vault"
        assert words in done.stderr
    assert _stored(tmp_path / "home") == before
    assert before.isdisjoint(sealed_digits)
    assert len(list((tmp_path / "home" / "vaults").glob("[!.]*"))) == 1
    assert answer(holdfast("vault", "verify", "--json"))["findings"] == []
