"""A batch as the model gets it, against what a training step hands to the network."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import holdfast
from holdfast.experiment.experiment import Experiment
from holdfast.training.first_batch import batch_facts


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path_factory.getbasetemp() / "home-of-batches"))


def facts_and_inputs(*overrides: str) -> tuple[dict[str, Any], torch.Tensor]:
    experiment = Experiment.compose(["logger=none", *overrides])
    datamodule = experiment.prepare()
    state = torch.get_rng_state()
    facts = batch_facts(experiment.config, datamodule)
    assert torch.equal(state, torch.get_rng_state())
    return facts, experiment.build().module._as_input(datamodule.first_train_rows(8))


def pixels_of(facts: dict[str, Any]) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(facts["picture"]))) as picture:
        return np.asarray(picture)[..., 0]


def test_images_as_pictures() -> None:
    facts, inputs = facts_and_inputs("model=cnn")
    assert facts["shape"] == [1, 8, 8]
    assert facts["least"] == pytest.approx(float(inputs.min()))
    assert facts["std"] == pytest.approx(float(inputs.std(correction=0)), rel=1e-5)
    pixels = pixels_of(facts)
    assert pixels.shape == (2 * 72, 8 * 72)
    shown = pixels[14 * 6 : 22 * 6 : 6, 2 * 6 : 10 * 6 : 6]
    expected = (inputs[0, 0] - inputs.min()) / (inputs.max() - inputs.min()) * 255
    np.testing.assert_allclose(shown, expected.numpy(), atol=1)
    mixed, _ = facts_and_inputs("model=cnn", "mixing=mixup")
    assert pixels_of(mixed).shape == (4 * 72, 8 * 72)
    assert mixed["std"] < facts["std"]


def test_table_rows_as_standardised_values_by_name() -> None:
    numbers = np.random.default_rng(0).normal(size=(200, 2))
    frame = pd.DataFrame({"width": numbers[:, 0], "town": ["Ulm", "Bonn"] * 100, "depth": numbers[:, 1]})
    frame["y"] = np.arange(200) % 2
    frame.loc[::7, "width"] = np.nan
    run = holdfast.train(["max_epochs=1", "logger=none"], data=frame, target="y")
    page = (run.folder / "report.html").read_text()
    assert "A batch as the model gets it" in page
    for name in ("width", "depth", "width is missing", "town (index)"):
        assert f"<td>{name}</td>" in page
    facts, inputs = facts_and_inputs("data=breast_cancer")
    assert len(facts["columns"]) == facts["shape"][0] == inputs.shape[1]
    np.testing.assert_allclose([column["values"] for column in facts["columns"]], inputs.T.numpy(), rtol=1e-6)


def test_arrays_by_their_ranges(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(80, 4, 3)).astype(np.float32)
    np.savez(tmp_path / "set.npz", x=x, y=np.arange(80) % 2)
    facts, inputs = facts_and_inputs("data=arrays", "data.path=set.npz", "data.layout=array")
    assert not {"columns", "picture"} & facts.keys()
    assert (facts["rows"], facts["shape"], facts["not_finite"]) == (8, [4, 3], 0)
    assert facts["largest"] == pytest.approx(float(inputs.max()))
