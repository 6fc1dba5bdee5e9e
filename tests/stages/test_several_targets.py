"""A table with two targets on its whole way: trained, averaged, frozen, opened, predicted and exported."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import holdfast
from holdfast.core.errors import InputError

NUM_ROWS = 240


@pytest.fixture
def houses(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A German export: rents and prices follow area and place, in units that are far apart."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    random = np.random.default_rng(0)
    area, place = random.uniform(20, 200, NUM_ROWS), random.integers(0, 3, NUM_ROWS)
    worth = area * (1 + 0.3 * place)
    prices, rents = 3000 * worth + random.normal(0, 9000, NUM_ROWS), 12 * worth + random.normal(0, 40, NUM_ROWS)
    lines = [
        f"{area[i]:.2f};{'abc'[place[i]]};{prices[i]:.2f};{rents[i]:.2f}".replace(".", ",") for i in range(NUM_ROWS)
    ]
    (folder / "houses.csv").write_text("Fläche;Lage;Preis;Miete\n" + "\n".join(lines) + "\n")
    return folder / "houses.csv"


def words(*more: str, target: str = "[Preis,Miete]") -> list[str]:
    return ["data=csv", "data.path=houses.csv", f"data.target={target}", "max_epochs=12", "lr=0.01", *more]


@pytest.mark.slow
@pytest.mark.parametrize(
    "more", [[], ["ensemble=seeds", "ensemble.size=2"], ["ensemble=folds", "split=kfold", "split.num_folds=2"]]
)
def test_two_targets_from_the_table_to_the_opened_report(houses: Path, more: list[str]) -> None:
    run = holdfast.train(words(*more))
    best = json.loads((run.folder / "run.json").read_text())["best"]
    assert list(best["by_target"]) == ["Preis", "Miete"]
    for name in ("val/mae", "val/rmse", "val/r2"):
        assert best["metrics"][name] == pytest.approx(np.mean([each[name] for each in best["by_target"].values()]))
    assert best["by_target"]["Miete"]["val/rmse"] < 300 < best["by_target"]["Preis"]["val/rmse"]
    text = (run.folder / "report.html").read_text()
    assert "The metrics above are means over the targets." in text
    opened = holdfast.open_selection(holdfast.freeze(run).selection)
    targets = {target["name"]: target["metrics"] for target in opened.targets}
    assert list(targets) == ["Preis", "Miete"]
    for name in ("mae", "rmse", "r2"):
        assert opened.metrics[name]["value"] == pytest.approx(
            np.mean([each[name]["value"] for each in targets.values()])
        )
        assert all(each[name]["low"] < each[name]["value"] < each[name]["high"] for each in targets.values())
    assert opened.metrics["r2"]["value"] > 0.8
    predicted = run.predict(pd.DataFrame({"Fläche": [100.0, 50.0], "Lage": ["a", "c"]}))
    assert list(predicted)[:2] == ["prediction_Preis", "prediction_Miete"]
    assert predicted["prediction_Preis"].tolist() == pytest.approx([300_000, 240_000], rel=0.4)
    assert predicted["prediction_Miete"].tolist() == pytest.approx([1200, 960], rel=0.4)
    assert list(predicted)[2:] == (["spread_Preis", "spread_Miete"] if more else [])


@pytest.mark.slow
def test_a_frame_and_arrays_in_memory(houses: Path) -> None:
    frame = pd.read_csv(houses, sep=";", decimal=",")
    options = ["max_epochs=2", "logger=none", "check=baseline"]
    run = holdfast.train(options, data=frame, target=["Preis", "Miete"])
    assert run.record["data"]["class_names"] == ["Preis", "Miete"]
    (baseline,) = [check for check in run.record["checks"] if check["name"] == "baseline"]
    assert baseline["evidence"]["scores"]["trees"] > 0.8
    y = frame[["Preis", "Miete"]].to_numpy() * 1.5
    run = holdfast.train(options, data=np.random.default_rng(1).normal(size=(NUM_ROWS, 3)), target=y)
    assert (run.record["data"]["task"], list(run.record["best"]["by_target"])) == ("multitarget", ["y0", "y1"])


class OneTooMany(nn.Module):
    """A model with an output more than there are targets."""

    def __init__(self, input_shape: tuple[int, ...], num_outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(input_shape[0], num_outputs + 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give the outputs of rows."""
        outputs: torch.Tensor = self.layer(x)
        return outputs


@pytest.mark.parametrize(("target", "num_targets"), [("[Preis,Miete]", 2), ("Preis", 1)])
def test_a_wrong_shape_is_told_before_rows_are_prepared(
    houses: Path, target: str, num_targets: int, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError) as caught:
        holdfast.train(words("data.task=regression", target=target), parts={"model": OneTooMany})
    assert f"gives outputs of the shape (2, {num_targets + 1}) for 2 rows" in str(caught.value)
    assert f"let the last layer give {num_targets}" in str(caught.value)
    assert "preparing" not in capfd.readouterr().err


def test_one_target_decides_when_training_stops_and_which_epoch_is_kept(houses: Path) -> None:
    more = ["monitor=val/rmse/Miete", "mode=max", "early_stopping=patience", "early_stopping.num_epochs=1"]
    run = holdfast.train(words(*more))  # the error gets smaller, which is no improvement here
    best, values = run.record["best"], [entry["val/rmse/Miete"] for entry in run.record["history"]]
    assert (best["monitor"], best["mode"], best["epoch"], len(values)) == ("val/rmse/Miete", "max", 1, 2)
    assert best["value"] == values[0] == best["by_target"]["Miete"]["val/rmse"]
    assert Path(best["checkpoint"]).name == f"best-epoch01-val_rmse_Miete{values[0]:.4f}.ckpt"
    assert "val/rmse/Miete" in (run.folder / "metrics.csv").read_text()


@pytest.mark.slow
def test_a_run_that_one_target_chose_is_averaged_frozen_and_opened(houses: Path) -> None:
    more = ["ensemble=seeds", "ensemble.size=2", "ensemble.weights=greedy"]
    run = holdfast.train(words("monitor=val/rmse/Miete", *more))
    assert run.record["best"]["value"] == run.record["best"]["by_target"]["Miete"]["val/rmse"]
    selection = holdfast.freeze(run).selection
    holdfast.open_selection(selection)
    other = holdfast.freeze(holdfast.train(words("monitor=val/rmse/Miete", "seed=1"))).selection
    opened = holdfast.open_selection(other, reason="another seed")
    assert list(opened.metrics) == ["rmse/Miete"]
    assert 0 < opened.metrics["rmse/Miete"]["value"] < 300


def test_a_target_that_there_is_not_is_told_before_rows_are_prepared(
    houses: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(
        InputError, match="allowed: val/rmse/Preis, val/rmse/Miete; next: did you mean 'val/rmse/Miete'"
    ):
        holdfast.train(words("monitor=val/rmse/Mite"))
    assert "preparing" not in capfd.readouterr().err
