from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from holdfast.core.messages import ArrayBlocks
from holdfast.data.statistics import TrainStatistics
from holdfast.data.store import store, worker
from holdfast.ensembles.scores import score
from holdfast.evaluation import processes
from holdfast.training import checkpoints

SPLIT = {"_target_": "holdfast.data.splits.Holdout", "fractions": [0.6, 0.2, 0.2], "seed": 0}
DATA = {"name": "breast_cancer", "source": {"_target_": "holdfast.data.sources.embedded.breast_cancer"}}

VIEW = {"form": "array", "shape": [30], "dtype": "float32"}

# a record without anything particular
WHOLE: dict[str, Any] = {
    "schema": 1,
    "id": "run",
    "kind": "fit",
    "status": "completed",
    "created": "2026-01-01T00:00:00.000+00:00",
    "heartbeat": "2026-01-01T00:00:00.000+00:00",
    "host": "somewhere",
    "pid": 1,
    "cwd": "/",
    "seed": 0,
    "config": {},
    "choices": {},
    "timings": {},
    "overrides": [],
    "history": [],
    "resumes": [],
    "best": None,
    "data": None,
    "ensemble": None,
    "error": None,
}

Make = Callable[..., Path]


def predict_rows(x: NDArray[Any], weight: float = 1.0) -> NDArray[np.float32]:
    """A classifier of one number: P(benign) falls with the mean radius."""
    return (1 / (1 + np.exp(weight * (x[:, 0].astype(np.float64) - 15)))).astype(np.float32)


def whole(rows: ArrayBlocks) -> NDArray[Any]:
    """Rows that came in blocks."""
    x = np.concatenate([np.zeros((0, *rows.shape[1:]), rows.dtype), *rows.blocks])
    assert (x.dtype, x.shape) == (rows.dtype, rows.shape)
    return x


class FakePredictor:
    """Predicts in this process; the weight stands in the checkpoint."""

    failure: BaseException | None = None
    not_confined: ClassVar[list[str]] = []
    seen: list[NDArray[Any]]

    def __init__(self, models: list[dict[str, Any]], folder: Path) -> None:
        self.weights = [
            [(float((folder / m["folder"] / m["checkpoint"]).read_text()), m["weight"]) for m in model["members"]]
            for model in models
        ]

    def __enter__(self) -> FakePredictor:
        return self

    def __exit__(self, *_: object) -> None: ...

    def predict(
        self, rows: ArrayBlocks, columns: tuple[int, ...], *, is_sealed: bool, batch_size: int = 1024
    ) -> NDArray[np.float32]:
        x = whole(rows)
        if is_sealed and FakePredictor.failure is not None:
            raise FakePredictor.failure
        if is_sealed:
            FakePredictor.seen.append(x)
        predictions = [sum(share * predict_rows(x, weight) for weight, share in members) for members in self.weights]
        return np.stack(predictions).astype(np.float32)

    def log_probabilities(self, rows: ArrayBlocks, columns: tuple[int, ...]) -> NDArray[np.float64]:
        logits = self.weights[0][0][0] * (whole(rows)[:, 0].astype(np.float64) - 15)
        return -np.logaddexp(0, np.stack([-logits, logits], axis=1))

    def statistics_state(self, statistics: TrainStatistics) -> dict[str, NDArray[Any]]:
        return {}


class FakeChild:
    """Answers in this process."""

    def __init__(self, module: str, **_: Any) -> None:
        self.answer = importlib.import_module(module).answer

    def __enter__(self) -> FakeChild:
        return self

    def __exit__(self, *_: object) -> None: ...

    def ask(self, header: dict[str, Any], *arrays: NDArray[Any]) -> tuple[dict[str, Any], list[NDArray[Any]]]:
        answer, results = self.answer(json.loads(json.dumps(header)), list(arrays))
        return json.loads(json.dumps(answer)), results


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `holdfast.lock` of whoever runs the tests names other vaults."""
    monkeypatch.chdir(tmp_path_factory.mktemp("work"))


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Predictor and scorer without processes."""
    FakePredictor.failure, FakePredictor.seen = None, []
    monkeypatch.setattr(processes, "Predictor", FakePredictor)
    monkeypatch.setattr(checkpoints, "read_checkpoint", _content_of)
    monkeypatch.setattr(processes, "Child", FakeChild)


def _content_of(path: Path) -> dict[str, Any]:
    """A checkpoint that says what the record beside it says."""
    record = json.loads((path.parents[1] / "run.json").read_text())
    said = {"best": record["best"], "data": record["data"], "pretrained": record.get("pretrained", [])}
    return {"state_dict": {}, "holdfast": {"shapes": {"view": VIEW}, **said}}


def prepare_here(settings: dict[str, Any]) -> store.Prepared:
    """Rows under a vault with some settings, prepared in this process."""
    request = store.make_request(DATA, SPLIT, settings)
    worker.answer_request(request)
    prepared = store.find_prepared(request)
    assert prepared is not None
    return prepared


@pytest.fixture
def prepared(home: Path, request: pytest.FixtureRequest) -> store.Prepared:
    """Sealed with the settings of the group `vault` that a test asks for."""
    return prepare_here(getattr(request, "param", {}))


@pytest.fixture
def make_run(tmp_path: Path, prepared: store.Prepared, in_process: None) -> Make:
    """A completed run whose checkpoint is a number."""
    from holdfast.data.loading.train_val import compute
    from holdfast.data.splits import Holdout

    val = compute(prepared, Holdout(**{k: v for k, v in SPLIT.items() if k != "_target_"})).val

    def make(name: str = "run", weight: float = 1.0, **changes: Any) -> Path:
        scored = score(
            predict_rows(prepared.x[val], weight), prepared.y[val], task="binary", num_outputs=1, target_std=1.0
        )
        folder = tmp_path / "outputs" / name
        (folder / "checkpoints").mkdir(parents=True)
        (folder / "checkpoints" / "best.ckpt").write_text(str(weight))
        metrics = {f"val/{name}": value for name, value in scored.items()}
        data = {
            "name": prepared.name,
            "task": "binary",
            "kind": "table",
            "row_shape": list(prepared.x.shape[1:]),
            "dtype": str(prepared.x.dtype),
            "class_names": list(prepared.class_names),
            "vault": prepared.vault,
            "num_outputs": 1,
            "rows": prepared.id,
            "view": prepared.view,
            "val_sha256": store.val_sha256(prepared, val),
        }
        best = {"monitor": "val/loss", "mode": "min", "value": metrics["val/loss"], "epoch": 1}
        record = {
            **WHOLE,
            "id": name,
            "data": data,
            "precision": "32-true",
            "device": "cpu",
            "config": {"split": SPLIT, "loss": {"_target_": "holdfast.losses.auto"}},
            "best": {**best, "checkpoint": "checkpoints/best.ckpt", "metrics": metrics},
        }
        (folder / "run.json").write_text(json.dumps({**record, **changes}))
        return folder

    return make
