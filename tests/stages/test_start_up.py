"""Costs of a start; deferring imports changes no bit of a result."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
HEAVY = (
    "torch._dynamo.",
    "torch._inductor",
    "scipy.signal.",
    "scipy.stats",
    "matplotlib",
    "sympy",
    "pandas",
    "sklearn",
)
MOST_MODULES = 2_400  # 2,290 when this was written
MOST_CPU = 2.3  # times that of `import torch`; 1.8 when this was written


def start(folder: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "HOLDFAST_HOME": str(folder.with_name(f"{folder.name}-home")), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(folder: Path, *words: str, code: int = 0, **environment: str) -> str:
    process = start(folder, *words, **environment)
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, out + err
    return err


def imported(errors: str) -> set[str]:
    return set(re.findall(r"^import time: .*\| +(\S+)$", errors, re.MULTILINE))


def test_a_run_imports_nothing_heavy_that_it_does_not_use(tmp_path: Path) -> None:
    train = str(ROOT / "train.py")
    run(tmp_path, train, "max_epochs=1")  # digits are prepared, by a process of its own
    modules = imported(run(tmp_path, "-X", "importtime", train, "max_epochs=1"))
    assert {"torch", "lightning_fabric"} <= modules
    assert [module for module in modules if module.startswith(HEAVY)] == []
    assert len(modules) <= MOST_MODULES


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("data=csv", "data.path=nofile.csv"), "data.path: nofile.csv does not exist"),
        (("data=csv", "data.path=t.csv", "data.target=prise"), "there is no column 'prise'"),
        (("data=parquet", "data.path=nofile.parquet", "data.target=a"), "data.path: nofile.parquet does not exist"),
        (("data=jsonl", "data.path=t.csv", "data.types.a=nonsense", "data.target=a"), "data.types.a: is 'nonsense'"),
        (("data=image_folder", "data.path=nofolder"), "data.path: nofolder does not exist"),
        (("data=arrays", "data.path=nofile.npy"), "data.path: nofile.npy does not exist"),
        (("data=mnist", "data.path=."), "has no train-images-idx3-ubyte"),
        (("split.fractions=[0.9,0.2,0.2]",), "split.fractions: is [0.9, 0.2, 0.2] with sum 1.3"),
        (("-m", "seed=0,1", "data=csv", "data.path=nofile.csv"), "data.path: nofile.csv does not exist"),
    ],
)
def test_what_a_look_at_the_source_tells_is_told_before_torch_is_imported(
    words: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text("a,b,price\n1,2,3\n")
    errors = run(tmp_path, "-X", "importtime", str(ROOT / "train.py"), *words, code=2)
    assert message in errors
    assert not {"torch", "pytorch_lightning"} & imported(errors)
    assert not (tmp_path / "outputs").exists()


def cpu_seconds(folder: Path, *words: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run(folder, *words)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.slow
def test_a_whole_run_costs_little_more_than_importing_torch(tmp_path: Path) -> None:
    train = str(ROOT / "train.py")
    run(tmp_path, train, "max_epochs=1")
    ratios = [
        cpu_seconds(tmp_path, train, "max_epochs=1") / cpu_seconds(tmp_path, "-c", "import torch") for _ in range(5)
    ]
    assert statistics.median(ratios) <= MOST_CPU, ratios


def outcome(folder: Path) -> tuple[list[dict[str, Any]], dict[str, torch.Tensor]]:
    history = json.loads((folder / "run.json").read_text())["history"]
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    return [{k: v for k, v in entry.items() if k != "seconds"} for entry in history], checkpoint["state_dict"]


def assert_equal_bits(folder: Path, other: Path) -> None:
    (history, weights), (other_history, other_weights) = outcome(folder), outcome(other)
    assert history == other_history
    assert weights.keys() == other_weights.keys()
    assert all(torch.equal(weights[name], other_weights[name]) for name in weights)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("optimizer=adamw", "model.dropout=0.2", "schedule=one_cycle"),
        ("optimizer=muon", "averaging=ema"),
        ("model=cnn", "augment=[crop,mirror]", "mixing=mixup", "data.subset=0.2"),
        ("compile=true",),
        ("deterministic=true", "trainer.gradient_clip_val=1"),
        ("trainer=ddp_cpu",),
    ],
    ids=" ".join,
)
def test_deferring_imports_changes_no_bit(words: tuple[str, ...], tmp_path: Path) -> None:
    for name, plain in (("deferred", "0"), ("plain", "1")):
        command = (str(ROOT / "train.py"), "max_epochs=3", f"hydra.run.dir={name}", *words)
        run(tmp_path, *command, HOLDFAST_PLAIN_IMPORTS=plain)
    assert_equal_bits(tmp_path / "deferred", tmp_path / "plain")


@pytest.mark.slow
def test_nor_does_it_where_a_run_is_ended_and_goes_on(tmp_path: Path) -> None:
    words = ("max_epochs=60", "model.dropout=0.2", "optimizer=adam")
    run(tmp_path, str(ROOT / "train.py"), "hydra.run.dir=plain", *words, HOLDFAST_PLAIN_IMPORTS="1")
    process = start(tmp_path, str(ROOT / "train.py"), "hydra.run.dir=deferred", *words)
    record = tmp_path / "deferred" / "run.json"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (record.exists() and len(json.loads(record.read_text())["history"]) > 5):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143
    run(tmp_path, str(ROOT / "train.py"), "resume=deferred")
    assert_equal_bits(tmp_path / "deferred", tmp_path / "plain")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["torch_export", "onnx"])
def test_nor_in_what_is_exported(form: str, tmp_path: Path) -> None:
    run(tmp_path, str(ROOT / "train.py"), "max_epochs=1", "hydra.run.dir=run")
    command = ("-m", "holdfast.cli.main", "export", "run", "--format", form, "--output")
    for name, plain in (("deferred", "0"), ("plain", "1")):
        run(tmp_path, *command, name, HOLDFAST_PLAIN_IMPORTS=plain)  # is kept if it predicts the same
    assert (tmp_path / "deferred").exists()
    assert (tmp_path / "plain").exists()


@pytest.mark.slow
def test_a_compiled_run_is_compiled(tmp_path: Path) -> None:
    (tmp_path / "conf" / "callbacks").mkdir(parents=True)
    (tmp_path / "conf" / "callbacks" / "probe.yaml").write_text(
        "# what was compiled\nprobe: {_target_: probe.Frames}\n"
    )
    (tmp_path / "probe.py").write_text(
        "import pathlib, pytorch_lightning as pl, torch\n\n\nclass Frames(pl.Callback):\n"
        "    def on_train_end(self, *_):\n"
        "        frames = torch._dynamo.utils.counters['frames']\n"
        "        pathlib.Path('frames').write_text(str(frames['ok']))\n"
    )
    words = ("compile=true", "max_epochs=1", "callbacks=probe", "trusted_modules=[probe]")
    run(tmp_path, str(ROOT / "train.py"), *words)
    assert int((tmp_path / "frames").read_text()) > 0
