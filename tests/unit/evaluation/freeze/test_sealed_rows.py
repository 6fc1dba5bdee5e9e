from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from holdfast.core import places
from holdfast.core.errors import VaultRefused
from holdfast.data.statistics import TrainStatistics, channel_statistics, train_statistics
from holdfast.data.store.store import Prepared
from holdfast.evaluation.freeze import sealed_rows
from holdfast.evaluation.freeze.sealed_rows import refuse_sealed_rows, refuse_sealed_train_rows
from holdfast.vault.rows import digest_sets
from holdfast.vault.rows.identity import row_digests

Array = np.ndarray[Any, Any]
Known = tuple[TrainStatistics, digest_sets.Fingerprints, Array]
KEY = b"of a vault from another home; 32"  # not the one in this HOLDFAST_HOME


def _form(x: Array, kind: str) -> Known:
    """The statistics of the first half of some rows, and the fingerprints of the second."""
    half = len(x) // 2
    statistics = train_statistics(x, np.zeros(len(x), np.int64), np.arange(half), kind=kind, num_classes=2)
    digests = row_digests(x[half:], kind=kind)
    path = places.home() / f"{kind}.fingerprints"
    path.parent.mkdir(exist_ok=True)
    digest_sets.write_records(path, [digest_sets.fingerprints_of(digests, KEY)], np.zeros(half, bool))
    sealed = digest_sets.Fingerprints(path, KEY)
    return statistics, sealed, x[half:]


@pytest.fixture
def table(home: Path) -> Known:
    x = np.round(np.random.default_rng(0).normal(12.0, 5.0, (80, 6)), 2).astype(np.float32)
    return _form(x, "table")


@pytest.fixture
def images(home: Path) -> Known:
    return _form(np.random.default_rng(0).integers(0, 256, (40, 4, 5, 3)).astype(np.uint8), "image")


def _standardised(form: TrainStatistics, x: Array, dtype: type = np.float32) -> Array:
    return ((x - form.mean.astype(dtype)) / form.std.astype(dtype)).astype(dtype)


def _refuses(case: Known, content: Any, num: int = 1) -> None:
    form, known, _ = case
    with pytest.raises(VaultRefused, match=r"best.ckpt: holds sealed test rows in \S+ \(\d+ found\)") as caught:
        refuse_sealed_rows("best.ckpt", content, form, [known])
    assert int(str(caught.value).split("(")[1].split()[0]) >= num


def test_rows_of_a_table_are_found_in_many_places(table: Known) -> None:
    form, _, sealed = table
    tensor = torch.from_numpy(sealed)
    places = {
        "buffer": {"state_dict": {"model.memory": tensor}},
        "one row": {"state_dict": {"b": tensor[3]}},
        "flat": {"state_dict": {"b": tensor.flatten()}},
        "transposed": {"b": tensor.T.contiguous()},
        "with targets": {"b": torch.cat([tensor, torch.ones(len(tensor), 1)], dim=1)},
        "targets first": {"b": torch.cat([torch.ones(len(tensor), 1), tensor], dim=1)},
        "double": {"b": tensor.double()},
        "batches": {"b": tensor[:36].reshape(6, 6, 6)},
        "among others": {"b": torch.cat([torch.randn(100, 6), tensor[:1]])},
        "hparams": {"hyper_parameters": {"seen": sealed[:3].tolist()}},
        "callback": {"callbacks": {"Mine": {"worst": [{"row": sealed[0].tolist()}]}}},
        "bytes": {"callbacks": {"Mine": sealed[:2].tobytes()}},
        "standardised": {"b": torch.from_numpy(_standardised(form, sealed))},
        "standardised flat": {"b": torch.from_numpy(_standardised(form, sealed).ravel())},
    }
    for content in places.values():
        _refuses(table, content)
    _refuses(table, places["buffer"], num=len(sealed))
    _refuses(table, places["standardised"], num=len(sealed))


def test_images_are_found_as_they_are_usually_held(images: Known) -> None:
    form, _, sealed = images
    scaled = sealed.astype(np.float32) / 255
    mean, std = channel_statistics(form)
    standardised = ((sealed - mean.astype(np.float32)) / std.astype(np.float32)).astype(np.float32)
    for rows in (sealed, scaled, standardised, _standardised(form, sealed), sealed.astype(np.float32), sealed / 255.0):
        for content in (rows, np.moveaxis(rows, 3, 1), rows.reshape(len(rows), -1), rows[:1]):
            _refuses(images, {"b": torch.from_numpy(np.ascontiguousarray(content))})
    _refuses(images, {"b": torch.from_numpy(scaled).half()})
    _refuses(images, {"b": sealed[:1].tolist()})


def test_weights_and_train_rows_are_let_through(table: Known, images: Known) -> None:
    for form, known, sealed in (table, images):
        torch.manual_seed(0)
        content = {
            "weights": torch.randn(500, sealed[0].size),
            "zeros": torch.zeros(10, sealed[0].size),
            "steps": torch.arange(7 * sealed[0].size),
            "mean": torch.from_numpy(form.mean),
            "other rows": torch.from_numpy(sealed + sealed.dtype.type(1)),
            "history": [{"epoch": 1, "loss": 0.5}] * 20,
            "none": None,
            "empty": torch.zeros(0),
        }
        refuse_sealed_rows("best.ckpt", content, form, [known])


def test_rows_that_were_written_into_the_store_are_found(images: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may write below HOLDFAST_HOME puts test rows, by their classes, in the place of train rows."""
    monkeypatch.setattr(sealed_rows, "BLOCK_ROWS", 4)
    _, known, sealed = images
    x = np.random.default_rng(1).integers(0, 256, (10, *sealed.shape[1:])).astype(np.uint8)
    prepared = cast("Prepared", SimpleNamespace(x=x, kind="image", folder=Path("store")))
    refuse_sealed_train_rows(prepared, [known])
    x[5:7] = sealed[:2]
    with pytest.raises(VaultRefused, match=r"^store: 2 of the rows from 4 on are sealed test rows: the store was chan"):
        refuse_sealed_train_rows(prepared, [known])
