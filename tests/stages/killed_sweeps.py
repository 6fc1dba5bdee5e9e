"""A sweep whose trials import no torch, to be killed at random: `python killed_sweeps.py FOLDER` is its master.

A trial counts its epochs into a file, as a run writes its checkpoint, and notes who has trained which. A worker leaves
its process id and that of its master in a file.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from holdfast.core import child
from holdfast.core.child import OURS, Child
from holdfast.core.files import write_atomic
from holdfast.core.messages import Array, Header
from holdfast.search.study import LeaseLost, Study, Trial
from holdfast.search.sweep import run_study

EPOCHS = 3
EPOCH_S = 0.3
LEASE_S = 3.0


class Launcher:
    def start_workers(self, folder: Path, name: str) -> Child:
        module = "killed_sweeps"
        process = Child(module, name="worker", path=[OURS, str(Path(__file__).parent)], has_console=True)
        process.send({"folder": str(folder), "worker": name})
        return process


def value_of(overrides: Sequence[str]) -> float:
    rate = dict(word.split("=") for word in overrides)["lr"]
    return float(rate) ** 2


def train(study: Study, trial: Trial, worker: str) -> None:
    trial.folder.mkdir(exist_ok=True)
    checkpoint, log = trial.folder / "epochs", trial.folder / "log"
    done = int(checkpoint.read_text()) if checkpoint.exists() else 0
    for epoch in range(done + 1, EPOCHS + 1):
        time.sleep(EPOCH_S)
        study.report(trial, epoch, value_of(trial.overrides) + EPOCHS - epoch)
        with log.open("a") as file:
            file.write(f"{worker} {epoch} {' '.join(trial.overrides)}\n")
        write_atomic(checkpoint, str(epoch))
    study.tell(trial, "completed", value_of(trial.overrides))


def answer(header: Header, arrays: list[Array]) -> tuple[Header, Sequence[Array]]:
    folder = Path(header["folder"])
    write_atomic(folder / f"worker-{header['worker']}", f"{os.getpid()} {os.getppid()}")
    study = Study.open(folder, worker=header["worker"], lease_s=LEASE_S)
    with study.kept_leases():
        while not study.is_over():
            if (trial := study.ask()) is None:
                time.sleep(0.05)
                continue
            try:
                train(study, trial, header["worker"])
            except LeaseLost:
                print("lost a lease", flush=True)
                study.give_back(trial)
    return {"interrupted": None}, ()


if __name__ == "__main__":
    if len(sys.argv) == 1:
        raise SystemExit(child.answer_questions(answer, when_alone=lambda: os.kill(os.getpid(), signal.SIGKILL)))
    print(run_study(Path(sys.argv[1]), Launcher()))
