"""Whole commands in processes of their own, forked from one that imported torch and Lightning: that saves seconds."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
Done = subprocess.CompletedProcess[str]

# Nothing of ours: each command imports Holdfast itself, as a user's does.
_LIBRARIES = ["torch", "torchmetrics", "pytorch_lightning", "tensorboard", "scipy.stats", "hydra", "typer", "pandas"]


def run_command(*words: str, cwd: Path, environment: dict[str, str], timeout: float = 300) -> Done:
    """Run `train ...` (train.py) or `holdfast VERB ...` and wait for it.

    A sweep is a process from scratch: its jobs are forked from a server of its own, with its environment.
    """
    if {"-m", "--multirun"} & set(words):
        command = {"train": [str(ROOT / "train.py")], "holdfast": ["-m", "holdfast.cli.main"]}[words[0]]
        return subprocess.run(
            [sys.executable, *command, *words[1:]],
            **{"cwd": cwd, "env": environment, "timeout": timeout},
            capture_output=True,
            text=True,
            check=False,
        )
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_LIBRARIES)
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "stdout"), Path(folder, "stderr")
        process = context.Process(target=_command, args=(words, str(cwd), environment, str(out), str(err)))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(words, timeout, out.read_text(), err.read_text())
        return subprocess.CompletedProcess(words, process.exitcode, out.read_text(), err.read_text())


def _command(words: tuple[str, ...], cwd: str, environment: dict[str, str], stdout: str, stderr: str) -> None:
    for number, file in ((1, stdout), (2, stderr)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = [cwd, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = [str(ROOT / "train.py"), *words[1:]]
    try:
        if words[0] == "train":
            sys.path[0] = str(ROOT)
            runpy.run_path(sys.argv[0], run_name="__main__")
        else:
            runpy.run_module("holdfast.cli.main", run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()
