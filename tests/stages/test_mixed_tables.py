"""A CSV of numbers, texts and gaps, from the command line to the opened vault, against predictions made by hand."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from commands import run_command

ROOT = Path(__file__).resolve().parents[2]
NUMBERS, TEXTS = ["lot", "area", "rooms"], ["town", "heating"]
pytestmark = pytest.mark.slow


def houses() -> pd.DataFrame:
    random = np.random.default_rng(0)
    num = 900
    town = random.choice(np.array(["Aachen", "Bonn", "Celle"], object), num, p=[0.6, 0.3, 0.1])
    town[:60] = [f"hamlet {index}" for index in range(60)]  # each in one row: some are val's or test's alone
    area, rooms = random.gamma(5, 20, num).round(2), random.integers(1, 9, num).astype(float)
    price = 1000 * area + 20000 * rooms + 50000 * (town == "Bonn") + random.normal(0, 1e4, num)
    area[random.random(num) < 0.1] = np.nan
    heating = random.choice(np.array(["gas", "oil", None], object), num)
    lot = random.permutation(num) + 0.5
    cheap = np.where(price < np.median(price), "yes", "no")
    columns = {"town": town, "lot": lot, "area": area, "heating": heating, "rooms": rooms}
    return pd.DataFrame({**columns, "cheap": cheap, "price": price.round(2)})


def typed(folder: Path, *words: str) -> str:
    environment = {**os.environ, "HOLDFAST_HOME": str(folder.with_name(f"{folder.name}-home"))}
    verb = words if words[0] == "train" else ("holdfast", *words)
    done = run_command(*verb, cwd=folder, environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def inputs(frame: pd.DataFrame, train: pd.DataFrame) -> tuple[NDArray[Any], list[NDArray[np.int64]], list[int]]:
    """Numbers and indicators, and for each text its place among those of train rows (0: none), by pandas."""
    numbers = ((frame[NUMBERS] - train[NUMBERS].mean()) / train[NUMBERS].std(ddof=0)).fillna(0.0)
    numbers["no area"] = frame["area"].isna().astype(float)
    places, sizes = [], []
    for name in TEXTS:
        known = sorted(train[name].fillna("").unique())
        places.append(np.array([known.index(text) + 1 if text in known else 0 for text in frame[name].fillna("")]))
        sizes.append(len(known))
    return numbers.to_numpy(), places, sizes


def by_hand(state: dict[str, NDArray[Any]], model: str, frame: pd.DataFrame, train: pd.DataFrame) -> NDArray[Any]:
    """Outputs of the network from its weights."""
    numbers, places, sizes = inputs(frame, train)
    if model == "tabular_mlp":
        tables = [state[f"model.1.tables.{index}.weight"] for index in range(len(TEXTS))]
        x = np.concatenate([numbers, *(table[place] for table, place in zip(tables, places, strict=True))], axis=1)
    else:
        hot = [np.eye(size + 1)[place][:, 1:] for size, place in zip(sizes, places, strict=True)]
        x = np.concatenate([numbers, *hot], axis=1)
    maps = [name.removesuffix(".bias") for name in state if name.startswith("model.") and name.endswith(".bias")]
    assert len(maps) == (1 if model == "linear" else 2)
    for index, name in enumerate(maps):
        x = (x if index == 0 else np.maximum(x, 0)) @ state[f"{name}.weight"].T + state[f"{name}.bias"]
    return x[:, 0] * state["target_std"] + state["target_mean"]


@pytest.mark.parametrize(("model", "target"), [("linear", "cheap"), ("mlp", "price"), ("tabular_mlp", "price")])
def test_predictions_are_those_of_an_independent_computation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, target: str
) -> None:
    frame = houses()
    frame.drop(columns={"cheap": "price", "price": "cheap"}[target]).to_csv(tmp_path / "houses.csv", index=False)
    hidden = ["model.hidden=[8]", "model.norm=none"] if model != "linear" else []
    words = ["data=csv", "data.path=houses.csv", f"data.target={target}", f"model={model}", *hidden]
    typed(tmp_path, "train", *words, "max_epochs=5", "lr=0.01", "trainer=cpu", "hydra.run.dir=run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())

    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path.with_name(f"{tmp_path.name}-home")))
    from holdfast.data.loading.datamodule import DataModule
    from holdfast.data.splits import Holdout
    from holdfast.data.store.store import open_prepared
    from holdfast.training.restore import load_model

    prepared = open_prepared(record["data"]["rows"])
    data = DataModule(prepared, Holdout(), batch_size=64, seed=0)
    assert data.val_sha256 == record["data"]["val_sha256"]
    lots = prepared.x[:, [column.name for column in prepared.columns].index("lot")]
    by_lot = frame.set_index("lot", drop=False)
    train, val = by_lot.loc[lots[data.train_rows]], by_lot.loc[lots[data.val_rows]]
    test = by_lot.drop(index=lots)
    assert set(val["town"]) - set(train["town"]), "texts that val rows have and train rows not"
    assert set(test["town"]) - set(train["town"]) - set(val["town"])
    stored = json.dumps(record["data"]["columns"])
    assert not any(f'"{text}"' in stored for text in set(test["town"]) - set(train["town"]) - set(val["town"]))

    path = tmp_path / "run" / record["best"]["checkpoint"]
    weights = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    state = {name: value.double().numpy() for name, value in weights.items()}
    outputs = by_hand(state, model, val, train)
    if target == "cheap":
        outputs = 1 / (1 + np.exp(-outputs))
    monkeypatch.delenv("HOLDFAST_HOME")
    predicted = load_model(tmp_path / "run").predict(prepared.x[data.val_rows])
    np.testing.assert_allclose(predicted, outputs, rtol=1e-4, atol=1e-5)

    frozen = json.loads(typed(tmp_path, "freeze", "run", "--json"))
    opened = json.loads(typed(tmp_path, "open", frozen["selection"], "--json"))
    outputs = by_hand(state, model, test, train)
    if target == "price":
        name, value = "rmse", float(np.sqrt(np.square(outputs - test["price"]).mean()))
    else:
        name, value = "accuracy", float(((outputs > 0) == (test["cheap"] == "yes")).mean())
    assert opened["metrics"][name]["value"] == pytest.approx(value, rel=1e-4)
