"""Runs beside each other: each ends in its own way, and the others do not see it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from holdfast import Stop
from holdfast.core.errors import InputError
from holdfast.experiment.compose import OptionsLoader, compose_job, options_loader
from holdfast.experiment.experiment import Experiment
from holdfast.experiment.run import Run
from holdfast.experiment.run_many import run_many

BREAKING = """
import ctypes, os, resource, signal
import pytorch_lightning as pl


class Break(pl.Callback):
    def __init__(self, way):
        self.way = way

    def on_train_batch_end(self, *_):
        if self.way == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.way == "exit":
            os._exit(7)
        if self.way == "memory":
            resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32))
            bytearray(2**40)
        if self.way == "crash":
            ctypes.string_at(0)
        if self.way == "raise":
            raise ValueError("a word of one's own")
"""
OPTION = "# breaks a run\nbreak: {_target_: breaking.Break, way: null}\n"
SMALL = ["max_epochs=2", "logger=none", "model.hidden=[8]", "check=none"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a callback that breaks runs."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "conf" / "callbacks").mkdir(parents=True)
    (folder / "conf" / "callbacks" / "breaking.yaml").write_text(OPTION)
    (folder / "breaking.py").write_text(BREAKING)
    return folder


@pytest.fixture
def loader(place: Path, monkeypatch: pytest.MonkeyPatch) -> OptionsLoader:
    monkeypatch.chdir(place)
    monkeypatch.setenv("HOLDFAST_HOME", str(place.with_name(f"{place.name}-home")))
    return options_loader()


def experiment(loader: OptionsLoader, name: str, *words: str) -> Experiment:
    made = Experiment.of(compose_job([*SMALL, *words], loader, Path("runs") / name, 0))
    made.title = name
    return made


def broken(loader: OptionsLoader, way: str) -> Experiment:
    words = ["callbacks=breaking", f"callbacks.break.way={way}", "trusted_modules=[breaking]"]
    return experiment(loader, way, *words)


class Stopping:
    """Sees every epoch, and prunes one run after its first."""

    def __init__(self, experiment: Experiment) -> None:
        self.name = experiment.folder.name
        self.epochs: list[int] = []

    def epoch(self, number: int, metrics: Mapping[str, float]) -> Stop | None:
        assert metrics["val/loss"] > 0
        self.epochs.append(number)
        return Stop("not promising", is_pruned=True) if self.name == "pruned" else None


def test_the_next_run_begins_before_the_last_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []

    class Workers:
        def __init__(self, *_: object) -> None:
            self.runs: list[str] = []

        @property
        def has_free(self) -> bool:
            return not self.runs

        def start(self, name: str) -> None:
            self.runs.append(name)
            events.append(f"{name} begins")

        def wait(self) -> list[Callable[[], str]]:
            return [partial(self.end, self.runs.pop())]

        def end(self, name: str) -> str:
            events.append(f"{name} is closed")
            return name

        def close(self) -> None:
            events.append("all end")

    monkeypatch.setattr("holdfast.experiment.run_many._Workers", Workers)
    monkeypatch.setattr("holdfast.experiment.run_many._fetch", lambda names: (next(names, None), True))
    runs: Any = run_many(["a", "b"])  # type: ignore[list-item]
    assert [next(runs), next(runs)] == ["a", "b"]
    runs.close()
    assert events == ["a begins", "b begins", "a is closed", "b is closed", "all end"]


@pytest.mark.slow
def test_runs_that_break_leave_the_others_alone(loader: OptionsLoader, capfd: pytest.CaptureFixture[str]) -> None:
    ways = ("kill", "exit", "memory", "crash", "raise")
    reporters: dict[str, Stopping] = {}

    def reporter(asked: Experiment) -> Stopping:
        return reporters.setdefault(asked.folder.name, Stopping(asked))

    def experiments() -> Iterator[Experiment | None]:
        yield experiment(loader, "healthy", "max_epochs=3")
        for way in ways:
            yield broken(loader, way)
        yield None
        yield experiment(loader, "diverging", "lr=1e9")
        yield experiment(loader, "wrong", "++model.hidden=-1")
        yield experiment(loader, "pruned", "max_epochs=1000")
        yield experiment(loader, "long", "max_epochs=30")
        yield experiment(loader, "short", "max_epochs=1")

    runs = {run.folder.name: run for run in run_many(experiments(), 2, reporter)}
    assert list(runs).index("short") < list(runs).index("long"), "each is given when it has ended"
    assert set(runs) == {"healthy", *ways, "diverging", "wrong", "pruned", "long", "short"}
    statuses = {name: run.status for name, run in runs.items()}
    healthy = {"healthy": "completed", "long": "completed", "short": "completed", "pruned": "pruned"}
    assert statuses == {**dict.fromkeys(runs, "failed"), **healthy}
    reasons = {name: str(run.record["stop_reason"]) for name, run in runs.items()}
    assert reasons["kill"].startswith(
        "run: its process was ended by signal 9 (Killed); next: too little memory may be the cause"
    )
    assert reasons["crash"].startswith("run: its process was ended by signal 11 (Segmentation fault); next: look")
    assert reasons["exit"].startswith("run: its process ended with exit code 7")
    assert reasons["memory"].startswith("MemoryError")
    assert reasons["raise"] == "ValueError: a word of one's own"
    assert reasons["diverging"].startswith("train/loss: is nan")
    assert reasons["wrong"].startswith("model.hidden: ")
    assert reasons["pruned"] == "not promising"
    assert runs["diverging"].record["error"]["code"] == "diverged"
    assert runs["wrong"].record["error"]["code"] == "input"
    assert reporters["healthy"].epochs == [1, 2, 3]
    assert reporters["pruned"].epochs == [1]
    out, err = capfd.readouterr()
    assert "epoch 1/" not in out, "the lines of several runs would mix"
    assert re.search(r"^healthy  completed  val/loss [\d.]+  [\d.]+ s$", out, re.MULTILINE)
    assert "kill  failed  run: its process was ended by signal 9 (Killed)\n" in out
    assert "error: train/loss: is nan" in err
    assert (runs["healthy"].folder / ".hydra" / "overrides.yaml").read_text().startswith("- max_epochs=2\n")


@pytest.mark.slow
def test_a_run_is_that_of_a_process_of_its_own(loader: OptionsLoader, capfd: pytest.CaptureFixture[str]) -> None:
    (one,) = run_many([experiment(loader, "one")])
    (again,) = run_many([experiment(loader, "again")])
    assert "\nagain\nepoch 1/2" in capfd.readouterr().out, "what one worker prints is on our console"
    alone = experiment(loader, "alone")
    alone.run()
    assert bits_of(one) == bits_of(again) == bits_of(Run(alone.folder))


def bits_of(run: Run) -> list[dict[str, float]]:
    return [{name: value for name, value in entry.items() if name != "seconds"} for entry in run.record["history"]]


@pytest.mark.slow
def test_runs_share_a_process_as_long_as_they_leave_nothing_behind(loader: OptionsLoader) -> None:
    def experiments() -> Iterator[Experiment]:
        yield experiment(loader, "clean")
        yield experiment(loader, "other", "max_epochs=1", "seed=5", "model.dropout=0.5", "threads=2")
        yield experiment(loader, "second")
        yield experiment(loader, "strict", "trainer.deterministic=true")  # Lightning sets a variable of cuBLAS
        yield experiment(loader, "third")
        yield broken(loader, "not")  # code of the user's, which does nothing
        yield experiment(loader, "fourth")
        yield experiment(loader, "entered", "hydra.job.chdir=true")
        yield experiment(loader, "fifth")
        yield experiment(loader, "exploding", "lr=1e9")
        yield experiment(loader, "sixth")

    runs = list(run_many(experiments()))
    groups = [[run.folder.name for run in group] for _, group in groupby(runs, lambda run: run.record["pid"])]
    leaving = [["third", "not"], ["fourth", "entered"], ["fifth", "exploding"]]
    assert groups == [["clean", "other", "second", "strict"], *leaving, ["sixth"]]
    ordinals = {"second", "third", "fourth", "fifth", "sixth"}
    assert all(bits_of(run) == bits_of(runs[0]) for run in runs if run.folder.name in ordinals)


@pytest.mark.slow
def test_a_process_that_is_killed_between_two_runs_is_replaced(loader: OptionsLoader) -> None:
    def experiments() -> Iterator[Experiment | None]:
        yield experiment(loader, "before", "max_epochs=1")
        while not Path("runs/before/run.json").exists() or Run("runs/before").record["finished"] is None:
            yield None
        pid = Run("runs/before").record["pid"]
        os.kill(pid, signal.SIGKILL)
        while Path(f"/proc/{pid}").exists():
            yield None
        yield experiment(loader, "behind", "max_epochs=1")

    before, behind = run_many(experiments())
    assert before.status == behind.status == "completed"
    assert before.record["pid"] != behind.record["pid"]


@pytest.mark.slow
def test_a_warm_process_that_is_killed_is_replaced(loader: OptionsLoader) -> None:
    class Killing:
        def __init__(self, experiment: Experiment) -> None:
            self.folder = experiment.folder

        def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
            if self.folder.name == "orphaned":
                pid = Run(self.folder).record["pid"]
                parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
                os.killpg(parent, signal.SIGKILL)

    experiments = [experiment(loader, "orphaned", "max_epochs=1000"), experiment(loader, "after")]
    runs = list(run_many(experiments, 1, Killing))
    assert [(run.folder.name, run.status) for run in runs] == [("orphaned", "failed"), ("after", "completed")]
    assert runs[0].record["stop_reason"].startswith("run: its process was killed")


@pytest.mark.slow
def test_whoever_looks_away_ends_the_runs(loader: OptionsLoader) -> None:
    runs = run_many([experiment(loader, "first", "max_epochs=1"), experiment(loader, "endless", "max_epochs=99999")], 2)
    assert next(runs).folder.name == "first"
    while not (Path("runs/endless/run.json")).exists():
        time.sleep(0.05)
    runs.close()
    deadline = time.monotonic() + 10  # the system takes a moment
    while Run("runs/endless").status == "running" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert Run("runs/endless").status == "interrupted"


def test_a_part_of_a_notebook_is_refused(loader: OptionsLoader) -> None:
    own = experiment(loader, "own")
    own.config.model["_target_"] = "__main__.Net"
    with pytest.raises(InputError, match=r"model: __main__.Net is not in a file, and other processes cannot import it"):
        list(run_many([own]))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_interrupts_all_runs_and_they_can_go_on(
    place: Path, loader: OptionsLoader, number: signal.Signals
) -> None:
    program = f"""
        from pathlib import Path
        from holdfast.core.errors import Interrupted
        from holdfast.experiment.compose import compose_job, options_loader
        from holdfast.experiment.experiment import Experiment
        from holdfast.experiment.run_many import run_many

        words, loader = {SMALL!r} + ["max_epochs=99999"], options_loader()
        folders = [Path(f"stopped{int(number)}/{{i}}") for i in range(4)]
        try:
            for run in run_many((Experiment.of(compose_job(words, loader, f, 0)) for f in folders), 2):
                print("ended", run.folder.name, run.status, flush=True)
        except Interrupted as error:
            print("interrupted by", error.signal_number)
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", textwrap.dedent(program)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, text=True, **pipes) as process:
        while not all(Path(f"stopped{int(number)}/{i}/checkpoints/last.ckpt").exists() for i in range(2)):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert "go on with" not in err, "that is for the sweep to say, once"
    lines = [line for line in out.splitlines() if line.startswith(("ended", "interrupted by"))]
    assert sorted(lines[:2]) == ["ended 0 interrupted", "ended 1 interrupted"]
    assert lines[2:] == [f"interrupted by {int(number)}"]
    assert not Path(f"stopped{int(number)}/2").exists()
    record = Run(f"stopped{int(number)}/0").record
    assert record["stop_reason"] == f"run: interrupted by signal {int(number)}"
