"""Every option trains for two epochs, as the jobs of one sweep a group."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from commands import run_command
from holdfast.config.groups import CONF

ROOT = Path(__file__).resolve().parents[2]
DATA_ELSEWHERE = ("arrays", "csv", "custom", "feather", "hub", "image_folder", "jsonl", "memory")
DATA_ELSEWHERE += ("memory_arrays", "mnist", "parquet")
# options that do not go with digits, or are tried elsewhere
ELSEWHERE = {
    ("augment", "color"),
    *(("data", name) for name in DATA_ELSEWHERE),
    ("logger", "many"),
    ("logger", "mlflow"),
    ("logger", "wandb"),
    ("loss", "binary_cross_entropy"),
    ("loss", "huber"),
    ("loss", "mae"),
    ("loss", "mse"),
    ("loss", "reconstruction"),
    ("model", "timm"),
    *(("split", name) for name in ("group", "official", "predefined", "time")),
    ("trainer", "ddp"),
    ("trainer", "fsdp"),
    ("trainer", "gpu"),
}
MORE = {
    "augment": [("augment=[crop,mirror]", "augment.crop.padding=1", "model=cnn")],
    "averaging": [("compile=true", "averaging=ema", "model=cnn")],
    "mixing": [("data=breast_cancer", "mixing=mixup")],
    "data": [
        ("data=breast_cancer", "loss=binary_cross_entropy"),
        ("data=breast_cancer", "loss=focal", "loss.class_weights=balanced"),
        *(("data=diabetes", f"loss={loss}") for loss in ("mse", "mae", "huber")),
    ],
    "loss": [("loss.class_weights=balanced",), ("loss=cross_entropy", "loss.label_smoothing=0.1")],
    "model": [
        ("model=autoencoder", "loss=reconstruction"),
        *(("model=resnet", f"model.depth={depth}", "model.width=4") for depth in (9, 18)),
    ],
    "optimizer": [("optimizer=lbfgs", "batch_size=full", "lr=1"), ("optimizer=sgd", "batch_size=full")],
    "schedule": [("schedule.momentum=[0.5,0.99]", "schedule.warmup=1epochs", "optimizer=nesterov")],
    "trainer": [("trainer.precision=bf16-mixed", "trainer.accumulate_grad_batches=2", "trainer.gradient_clip_val=1")],
}
TRAINED = (
    "finetune",
    "augment",
    "data",
    "averaging",
    "early_stopping",
    "init",
    "logger",
    "loss",
    "mixing",
    "model",
    "optimizer",
    "rates",
    "regularization",
    "schedule",
    "split",
    "trainer",
    "transform",
    "tta",
)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


def train(work: Path, *words: str) -> None:
    environment = {**os.environ, "HOLDFAST_HOME": str(work.with_name(f"{work.name}-home"))}
    done = run_command("train", "max_epochs=2", *words, cwd=work, environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("group", TRAINED)
def test_every_option_of_a_group_trains(group: str, work: Path) -> None:
    options = sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    options = [option for option in options if (group, option) not in ELSEWHERE]
    assert options
    if group in ("split", "data"):  # each has other test rows, which jobs of one sweep share
        for option in options:
            train(work, f"{group}={option}", f"hydra.run.dir={group}/{option}")
    else:
        train(work, "-m", f"{group}={','.join(options)},{options[0]}", f"hydra.sweep.dir={group}")
    for number, words in enumerate(MORE.get(group, [])):
        train(work, *words, f"hydra.run.dir={group}/more{number}")
    records = [json.loads(path.read_text()) for path in (work / group).glob("*/run.json")]
    assert len(records) >= len(options)
    assert {record["status"] for record in records} == {"completed"}
    assert all(len(record["history"]) == 2 for record in records)


def test_splits_by_columns_train(work: Path) -> None:
    lines = [
        f"{row % 7},{row * 13 % 101},{row // 5},{row % 25},{('train', 'val', 'test')[row % 3]},{row % 2}"
        for row in range(300)
    ]
    (work / "rows.csv").write_text("\n".join(["a,b,day,patient,part,y", *lines]))
    words = ["data=csv", "data.path=rows.csv", "data.target=y", "batch_size=16"]
    columns = ["data.group=patient", "data.split_column=part"]
    for split, more in (
        ("predefined", ["data.split_column=part"]),
        ("group", columns),
        ("time", ["data.time=day", "data.split_column=part", "data.drop=[patient]"]),
        ("kfold", ["split.test=group", "split.fold=4", *columns]),
    ):
        folder = f"columns/{split}"
        train(work, *words, f"split={split}", *more, f"hydra.run.dir={folder}")
        assert json.loads((work / folder / "run.json").read_text())["status"] == "completed"
        (work / "holdfast.lock").unlink(missing_ok=True)
