"""A table of a user's: inspected, trained on, predicted on and exported; predictions computed again by hand."""

from __future__ import annotations

import csv
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commands import run_command

ROOT = Path(__file__).resolve().parents[2]
TOWNS = ("Bonn", "Köln", "Ulm")
Run = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("project")


@pytest.fixture(scope="module")
def typed(project: Path) -> Run:
    def run(*words: str, code: int = 0, home: str = "home") -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "HOLDFAST_HOME": str(project.with_name(f"{project.name}-{home}")),
            "COLUMNS": "200",
        }
        done = run_command(*words, cwd=project, environment=environment)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


@pytest.fixture(scope="module")
def run(typed: Run, project: Path) -> Path:
    """A linear model of a price by a town and two numbers, one of them often missing."""
    generator = np.random.default_rng(0)
    with (project / "houses.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "town", "size", "age", "price"])
        for index in range(400):
            town, size, age = generator.integers(0, 3), generator.uniform(20, 200), generator.integers(0, 90)
            price = 3 * size + 50 * town + generator.normal(0, 10)
            rows.writerow([f"H{index}", TOWNS[town], f"{size:.2f}", "" if index % 7 == 0 else age, f"{price:.2f}"])
    options = ("data=csv", "data.path=houses.csv", "data.target=price", "data.drop=id", "model=linear", "lr=0.05")
    typed("train", *options, "max_epochs=3", "logger=none", "hydra.run.dir=run")
    return project / "run"


NEW = [
    {"name": "a", "town": "Ulm", "size": "80", "age": "10"},
    {"name": "b", "town": "Bonn", "size": "120.5", "age": ""},
    {"name": "c", "town": "Atlantis", "size": "33", "age": "70"},
    {"name": "d", "town": "", "size": "", "age": "5"},
]


def by_hand(run: Path) -> list[float]:
    """Impute, standardise, indicate, one-hot and multiply: by what the checkpoint holds and nothing of ours."""
    import torch

    record = json.loads((run / "run.json").read_text())
    columns = {column["name"]: column for column in record["data"]["columns"]}
    content = torch.load(run / record["best"]["checkpoint"], weights_only=True)["state_dict"]
    state = {name: value.double().numpy() for name, value in content.items()}
    weight, bias = (
        next(state[k] for k in state if k.startswith("model.") and k.endswith(e)) for e in ("weight", "bias")
    )
    mean, std = numbers_of(run)
    vocabulary = [text for text in columns["town"]["categories"] if text not in columns["town"]["unseen"]]
    predictions = []
    for row in NEW:
        numbers, missing = [], []
        for name in ("size", "age"):
            value = float(row[name]) if row[name] else mean[name]
            numbers.append((value - mean[name]) / std[name])
            if columns[name]["has_missing"]:
                missing.append(float(not row[name]))
        hot = [float(row["town"] == text) for text in vocabulary]  # a town that no train row has: all zero
        output = float(weight.ravel() @ np.array([*numbers, *missing, *hot]) + bias.ravel()[0])
        predictions.append(output * float(state["target_std"]) + float(state["target_mean"]))
    return predictions


def numbers_of(run: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Mean and standard deviation of the train rows' numbers, taken anew from the store."""

    from holdfast.config.resolve import build_option
    from holdfast.data.store.store import open_prepared

    record = json.loads((run / "run.json").read_text())
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HOLDFAST_HOME", str(run.parent.with_name(f"{run.parent.name}-home")))
        prepared = open_prepared(record["data"]["rows"])
    from holdfast.data.loading.train_val import compute

    derived = compute(prepared, build_option(record["config"]["split"])())
    x = np.asarray(prepared.x[derived.train], np.float64)
    names = prepared.feature_names
    return (
        {name: float(np.nanmean(x[:, names.index(name)])) for name in ("size", "age")},
        {name: float(np.nanstd(x[:, names.index(name)])) for name in ("size", "age")},
    )


def test_predictions_are_those_of_an_independent_computation(typed: Run, run: Path, project: Path) -> None:
    with (project / "new.csv").open("w", newline="") as file:
        rows = csv.DictWriter(file, ["age", "name", "size", "town"])
        rows.writeheader()
        rows.writerows(NEW)
    done = typed("holdfast", "predict", "run", "--input", "new.csv", "--output", "p.csv", "--id", "name", home="none")
    assert "p.csv (4 rows)" in done.stdout
    assert not (project / "none").exists(), "the run's folder is all that is needed"
    with (project / "p.csv").open() as file:
        predicted = list(csv.DictReader(file))
    assert [row["name"] for row in predicted] == ["a", "b", "c", "d"]
    np.testing.assert_allclose([float(row["prediction"]) for row in predicted], by_hand(run), rtol=1e-4)


def test_sealed_rows_are_refused(typed: Run, run: Path, project: Path) -> None:
    done = typed("holdfast", "predict", "run", "--input", "houses.csv", "--output", "q.csv", code=3)
    assert "80 of the first 400 rows are sealed in vault" in done.stderr
    assert not (project / "q.csv").exists()


@pytest.mark.parametrize("form", ["onnx", "torch_export", "safetensors"])
def test_an_exported_table(typed: Run, run: Path, form: str) -> None:
    if form == "onnx":
        pytest.importorskip("onnxruntime")
    answer: dict[str, Any] = json.loads(typed("holdfast", "export", "run", "--format", form, "--json").stdout)
    assert answer["check"]["of"] == "val rows of houses.csv"
    assert answer["check"]["max_difference"] <= answer["check"]["tolerance"]
    described = json.loads((run.parent / answer["description"]).read_text())
    assert [column["name"] for column in described["input"]["columns"]] == ["town", "size", "age"]


def test_the_data_and_the_run_are_shown(typed: Run, run: Path, project: Path) -> None:
    options = ("data=csv", "data.path=houses.csv", "data.target=price", "data.drop=id")
    answer = json.loads(typed("holdfast", "data", "inspect", *options, "--json").stdout)
    assert answer["rows"] == {"train": 240, "val": 80, "test": 80, "left_out": 0, "looked_at": 320}
    assert {column["name"]: column["missing_train"] > 0 for column in answer["columns"]} == {
        "town": False,
        "size": False,
        "age": True,
    }
    assert "<svg" in (project / answer["page"]).read_text()
    assert "Leak checks" not in (run / "report.html").read_text()
    assert "run/report.html" in typed("holdfast", "report", "run").stdout
    page = (run / "report.html").read_text()
    for words in ("Leak checks", "Prediction minus value", "loss, logarithmic"):
        assert words in page
