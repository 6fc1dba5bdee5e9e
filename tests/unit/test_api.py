from __future__ import annotations

import functools
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from torch import Tensor, nn

import holdfast
from holdfast.core.errors import InputError

pytestmark = pytest.mark.usefixtures("project")
SMALL = ["model.hidden=[8]", "max_epochs=2", "logger=none"]


def make_frame(rows: int = 200) -> pd.DataFrame:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"area": random.normal(size=rows), "rooms": random.integers(1, 6, rows)})
    frame["place"] = random.choice(["east", "west", "north"], rows)
    frame["price"] = 3 * frame.area + frame.rooms + (frame.place == "east") + 0.1 * random.normal(size=rows)
    return frame


class Net(nn.Module):
    """A network of the caller's own."""

    def __init__(self, *, input_shape: tuple[int, ...], num_outputs: int, width: int = 4) -> None:
        super().__init__()
        num_inputs = math.prod(input_shape)
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(num_inputs, width), nn.ReLU(), nn.Linear(width, num_outputs)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def test_a_frame_is_trained_on_frozen_and_opened(project: Path) -> None:
    frame = make_frame()
    run = holdfast.train([*SMALL, "lr=0.01"], data=frame, target="price")
    assert run.status == "completed"
    assert run.record["data"]["train_rows"] + run.record["data"]["val_rows"] == 160
    assert list(run.history["epoch"]) == [1, 2]
    assert run.metrics["val/loss"] == run.history["val/loss"].min()
    frozen = holdfast.freeze(run)
    opened = holdfast.open_selection(frozen)
    assert opened.n == 40
    assert holdfast.open_selection(frozen.selection[:8]).replayed
    assert "svg" in run._repr_html_() or "html" in run._repr_html_()
    assert list(holdfast.runs(project / "outputs")["status"]) == ["completed"]


def test_the_same_rows_in_another_frame_are_the_same_data() -> None:
    frame = make_frame()
    first = holdfast.train(SMALL, data=frame, target="price").record["data"]
    again = holdfast.train(SMALL, data=pa.Table.from_pandas(frame), target="price").record["data"]
    assert (first["vault"], first["val_sha256"]) == (again["vault"], again["val_sha256"])
    frame.to_csv("houses.csv", index=False)
    file = holdfast.train([*SMALL, "data=csv", "data.path=houses.csv", "data.target=price"]).record["data"]
    assert file["vault"] == first["vault"]


def test_predictions_are_a_frame() -> None:
    frame = make_frame()
    run = holdfast.train(SMALL, data=frame, target="price")
    new = make_frame()[["place", "rooms", "area"]].assign(area=lambda f: f.area + 9).set_index(np.arange(200) + 1000)
    predictions = run.predict(new)
    assert list(predictions.columns) == ["prediction"]
    assert list(predictions.index) == list(new.index)
    assert np.allclose(run.predict(new, batch_size=7)["prediction"], predictions["prediction"], atol=1e-5)
    with pytest.raises(InputError, match=r"^rows: has no column 'area', which the run needs"):
        run.predict(new.drop(columns="area"))
    with pytest.raises(holdfast.VaultRefused, match="sealed in vault"):
        run.predict(frame.drop(columns="price"))


def test_arrays_are_data_too() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(150, 5)).astype(np.float32), random.choice(["cat", "dog", "eel"], 150)
    run = holdfast.train(SMALL, data=x, target=y)
    assert run.record["data"]["class_names"] == ["cat", "dog", "eel"]
    predictions = run.predict(random.normal(size=(4, 5)).astype(np.float32))
    assert list(predictions.columns) == ["prediction", "probability_cat", "probability_dog", "probability_eel"]
    assert np.allclose(predictions.iloc[:, 1:].sum(axis=1), 1)
    assert run.model()(__import__("torch").zeros(2, 5)).shape == (2, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": "x.csv", "target": "price"}, "data: is a str; allowed: a DataFrame"),
        ({"data": np.zeros((9, 2))}, 'target: is missing; .* next: target="price"'),
        ({"target": "price"}, "target: is given without data"),
        ({"data": np.zeros((9, 2)), "target": np.zeros(8)}, "target: has 8 entries for 9 rows"),
        ({"data": pd.DataFrame({"a": [1, "b", {}]}), "target": "a"}, "data: is no table that Arrow can hold"),
        ({"data": make_frame(), "target": "prise"}, r"data\.target: .*'prise'.*did you mean 'price'"),
        ({"data": make_frame(), "target": 3}, "data.target: there is no column '3'; allowed: the columns are"),
    ],
)
def test_rows_that_will_not_do(project: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        holdfast.train(SMALL, **options)
    assert not (project / "outputs").exists()


def test_rows_and_an_option_of_data() -> None:
    with pytest.raises(InputError, match="data: is given beside an override that chooses the rows"):
        holdfast.train(["data=digits"], data=make_frame(), target="price")


def test_a_part_of_the_callers_own() -> None:
    run = holdfast.train(["max_epochs=1", "logger=none"], parts={"model": functools.partial(Net, width=3)})
    assert run.record["parts"] == {"model": {"_target_": "test_api.Net", "width": 3}}
    assert run.model()(__import__("torch").zeros(1, 8, 8, 1, dtype=__import__("torch").uint8)).shape == (1, 10)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"modle": Net}, "parts: has 'modle', which is no group .* did you mean 'model'"),
        ({"model": 3}, "model: is 3; allowed: a class or a function"),
        ({"model": lambda x: x}, "model: .* is defined inside of something else"),
        ({"model": functools.partial(Net, 3)}, "model: has arguments without names"),
        ({"model": functools.partial(Net, width=object())}, "model: has an argument that no record can hold"),
    ],
)
def test_parts_that_will_not_do(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        holdfast.train(SMALL, parts=parts)


def test_a_sweep_gives_its_runs_best_first() -> None:
    runs = holdfast.sweep(["lr=1e-5,1e-2", *SMALL])
    assert [run.status for run in runs] == ["completed", "completed"]
    assert runs[0].config["lr"] == 1e-2
    assert runs[0].value < runs[1].value


def test_a_notebook_trains_its_own_class_and_sweeps(project: Path) -> None:
    """A script without a guard, as a notebook is: its jobs do not run it again."""
    script = project / "notebook.py"
    script.write_text(
        "import holdfast\n"
        "from torch import nn\n"
        "print('begins')\n"
        "def own(*, input_shape, num_outputs):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, num_outputs))\n"
        "run = holdfast.train(['max_epochs=1', 'logger=none'], parts={'model': own})\n"
        "rows = __import__('numpy').zeros((3, 8, 8), 'uint8')\n"
        "print('model', run.config['model']['_target_'], len(run.predict(rows)))\n"
        "print(len(holdfast.sweep(['seed=0,1', 'max_epochs=1', 'logger=none'])))\n"
        "try:\n"
        "    holdfast.freeze(run)\n"
        "except holdfast.InputError as error:\n"
        "    print('error:', error)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, cwd=project, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("begins") == 1
    assert "model __main__.own 3" in done.stdout
    error = next(line for line in done.stdout.splitlines() if line.startswith("error:"))
    assert "its model is __main__.own, which is in a notebook or a script" in error
    assert "parts={'model': MODULE.own}" in error


def test_the_top_level_is_light() -> None:
    program = (
        "import sys, holdfast; assert not {'torch', 'hydra', 'numpy', 'pandas'} & set(sys.modules); holdfast.train"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert sorted(holdfast.PUBLIC) == sorted(holdfast.__all__)
    assert set(holdfast.PUBLIC) <= set(dir(holdfast))
    with pytest.raises(AttributeError, match="module 'holdfast' has no attribute 'trian'"):
        holdfast.trian  # noqa: B018


@pytest.mark.parametrize(
    ("change", "target", "words"),
    [
        (
            lambda frame: frame.set_axis(["a", "a", *frame.columns[2:]], axis=1),
            "price",
            "several columns have the name 'a'",
        ),
        (lambda frame: frame.iloc[:0], "price", "data: has a header and no rows"),
        (lambda frame: frame.assign(price=float("nan")), "price", "data.target: row 0, column 'price': has no value"),
        (lambda frame: frame, {"price": 1}, "target: has the type dict, and data is a table"),
    ],
)
def test_a_mistake_in_a_frame_names_no_file(change: Any, target: Any, words: str, project: Path) -> None:
    with pytest.raises(holdfast.InputError) as raised:
        holdfast.train(SMALL, data=change(make_frame()), target=target)
    assert words in str(raised.value)
    assert "rows.arrow" not in str(raised.value)


def test_columns_may_be_numbered(project: Path) -> None:
    frame = make_frame()
    run = holdfast.train(SMALL, data=frame.set_axis(range(frame.shape[1]), axis=1), target=frame.shape[1] - 1)
    assert run.status == "completed"


@pytest.mark.parametrize("train", [holdfast.train, holdfast.sweep])
def test_overrides_are_a_list(train: Any) -> None:
    with pytest.raises(holdfast.InputError, match=r"overrides: is one text; allowed: a list of texts"):
        train("optimizer=adam")
