"""Costs of a start until a run trains, of a job of a sweep, and of a busy machine in an epoch.

    python tests/benchmarks/start_up.py run      # CPU of a one-epoch run, and to its first step, against `import torch`
    python tests/benchmarks/start_up.py sweep    # 20 jobs of two epochs, one and two at a time
    python tests/benchmarks/start_up.py busy     # an epoch of a small MLP on MNIST, beside two busy processes and alone
    python tests/benchmarks/start_up.py steps    # one thread against two, by multiply-adds of a step (`threads=auto`)

Each prints medians; `run` and `busy` print ratios of pairs, measured in turn. `busy` needs MNIST (`HOLDFAST_TEST_DATA`
or ../shared/data).
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TRAIN = str(ROOT / "train.py")
MNIST = Path(os.environ.get("HOLDFAST_TEST_DATA", ROOT.parent / "shared" / "data")) / "mnist"
NUM_PAIRS = 5
# Ends the process at its first step and says what it has cost until then.
PROBE = """
import time
import pytorch_lightning as pl


class FirstStep(pl.Callback):
    def on_train_batch_end(self, *_):
        print(f"cpu {time.process_time():.3f}", flush=True)
        raise KeyboardInterrupt
"""


def cpu_seconds(folder: Path, *words: str) -> float:
    """User and system time of a process and of those that it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start(folder, *words).communicate()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "HOLDFAST_HOME": str(folder / "home")},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def run(folder: Path) -> None:
    (folder / "probe.py").write_text(PROBE)
    (folder / "conf" / "callbacks").mkdir(parents=True)
    (folder / "conf" / "callbacks" / "probe.yaml").write_text("# the first step\nprobe: {_target_: probe.FirstStep}\n")
    cpu_seconds(folder, TRAIN, "max_epochs=1")  # prepares the rows
    whole, first = [], []
    for _ in range(NUM_PAIRS):
        torch = cpu_seconds(folder, "-c", "import torch")
        whole.append(cpu_seconds(folder, TRAIN, "max_epochs=1") / torch)
        out, _err = start(folder, TRAIN, "max_epochs=1", "callbacks=probe", "trusted_modules=[probe]").communicate()
        first.append(float(out.partition("cpu ")[2].split()[0]) / torch)
    for name, ratios in (("a whole one-epoch run", whole), ("until its first step", first)):
        print(f"{name}: {statistics.median(ratios):.2f} times `import torch` ({min(ratios):.2f} to {max(ratios):.2f})")


def sweep(folder: Path) -> None:
    words = ["-m", "max_epochs=2", "lr=0.1,0.01", "seed=0,1,2,3,4,5,6,7,8,9"]
    cpu_seconds(folder, TRAIN, "max_epochs=1")
    for parallel in (1, 2):
        seconds = []
        for _ in range(3):
            began = time.perf_counter()
            start(folder, TRAIN, *words, f"hydra.launcher.workers={parallel}").communicate()
            seconds.append(time.perf_counter() - began)
        spread = f"{min(seconds):.1f} to {max(seconds):.1f}"
        print(f"20 jobs, {parallel} at a time: {statistics.median(seconds):.1f} s ({spread})")


def busy(folder: Path) -> None:
    quiet, slow = [], []
    epoch_seconds(folder)  # prepares the rows
    for _ in range(3):
        quiet += epoch_seconds(folder)
        with busy_processes(2):
            slow += epoch_seconds(folder)
    alone, beside = statistics.median(quiet), statistics.median(slow)
    print(f"an epoch alone: {alone:.2f} s; beside two busy processes: {beside:.2f} s ({max(slow):.2f} at most)")
    print(f"ratio {beside / alone:.2f}")


def epoch_seconds(folder: Path) -> list[float]:
    run_folder = Path(tempfile.mkdtemp(dir=folder))
    words = ["data=mnist", f"data.path={MNIST}", "max_epochs=3", "logger=none", f"hydra.run.dir={run_folder}/run"]
    start(folder, TRAIN, *words).communicate()
    history = json.loads((run_folder / "run" / "run.json").read_text())["history"]
    return [entry["seconds"] for entry in history]


@contextlib.contextmanager
def busy_processes(count: int) -> Iterator[None]:
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    time.sleep(0.5)
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def steps(_: Path) -> None:
    from holdfast.core.cores import set_spin_count

    set_spin_count()
    import torch
    from torch import nn

    for width, batch_size in ((64, 64), (128, 64), (128, 128), (256, 128), (512, 128), (1024, 128)):
        model = nn.Sequential(
            nn.Linear(784, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)
        )
        x, y = torch.randn(batch_size, 784), torch.randint(0, 10, (batch_size,))
        optimizer = torch.optim.AdamW(model.parameters(), fused=True)
        medians = {}
        for threads in (1, 2):
            torch.set_num_threads(threads)
            times = []
            for _step in range(300):
                began = time.perf_counter()
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x), y).backward()
                optimizer.step()
                times.append(time.perf_counter() - began)
            medians[threads] = statistics.median(times[50:])
        work = 3 * batch_size * (784 * width + width * width + 10 * width) / 1e6
        both = ", ".join(f"{1000 * seconds:.2f} ms with {threads}" for threads, seconds in medians.items())
        print(f"{work:7.1f} million multiply-adds a step: {both} (ratio {medians[1] / medians[2]:.2f})")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        {"run": run, "sweep": sweep, "busy": busy, "steps": steps}[sys.argv[1]](Path(place))
