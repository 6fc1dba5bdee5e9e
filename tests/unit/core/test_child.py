from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.core.child import OURS, Child
from holdfast.core.errors import InputError, Interrupted, RunFailed, VaultRefused

MODULE = """
import contextlib, os, signal, sys, time
from holdfast.core import child
from holdfast.core.errors import InputError, Problem, VaultRefused, raise_problems


def answer(header, arrays):
    act = header["act"]
    if act == "print":
        print("a word on stdout", flush=True)
        os.write(2, b"a word on stderr\\n")
    if act == "input":
        raise_problems([Problem("a", "is wrong"), Problem("b", "is wrong", next="mend it")])
    if act == "vault":
        raise VaultRefused("file", "was changed: row 1")
    if act == "fail":
        raise {"ValueError": ValueError, "own": type("Row1", (Exception,), {})}[header["type"]]("row 1")
    if act == "exit":
        os._exit(header["code"])
    if act == "signal":
        os.kill(os.getpid(), header["number"])
        time.sleep(10)
    if act == "lie":
        for descriptor in range(3, 10):
            with contextlib.suppress(OSError):
                os.write(descriptor, b"row 1 2 3")
        os._exit(0)
    if act == "sleep":
        os.write(2, b"started\\n")
        time.sleep(30)
    return {"done": header["act"], "stdin": sys.stdin.read()}, [2 * array for array in arrays]


if __name__ == "__main__":
    raise SystemExit(child.answer_questions(answer))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a module that answers."""
    (tmp_path / "answering.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def start(folder: Path, is_confined: bool) -> Child:
    return Child("answering", name="answerer", path=[OURS, str(folder)], is_confined=is_confined)


@pytest.fixture(params=[False, True], ids=["open", "confined"])
def answering(request: pytest.FixtureRequest, folder: Path) -> Iterator[Child]:
    with start(folder, request.param) as process:
        yield process


only_confined = pytest.mark.parametrize("answering", [True], indirect=True)


def test_questions_are_answered_one_after_the_other(answering: Child) -> None:
    for number in range(3):
        header, (doubled,) = answering.ask({"act": ""}, np.full((2, 3), number))
        assert header == {"done": "", "stdin": ""}
        assert np.array_equal(doubled, np.full((2, 3), 2 * number))


@pytest.mark.parametrize("is_confined", [False, True])
def test_what_is_printed_is_no_answer(folder: Path, is_confined: bool, capfd: pytest.CaptureFixture[str]) -> None:
    with start(folder, is_confined) as answering:
        assert answering.ask({"act": "print"})[0]["done"] == "print"
    printed = capfd.readouterr()
    assert (printed.out, sorted(printed.err.splitlines())) == ("", ["a word on stderr", "a word on stdout"])


def test_errors_are_those_that_were_raised(answering: Child, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError) as raised:
        answering.ask({"act": "input"})
    assert str(raised.value) == "a: is wrong\nb: is wrong; next: mend it"
    with pytest.raises(VaultRefused, match="file: was changed: row 1"):
        answering.ask({"act": "vault"})
    with pytest.raises(RunFailed, match="answerer: failed with ValueError: row 1"):
        answering.ask({"act": "fail", "type": "ValueError"})
    assert answering.ask({"act": "more"})[0]["done"] == "more", "it goes on"


@only_confined
def test_what_is_withheld_is_told_in_known_words(answering: Child, capfd: pytest.CaptureFixture[str]) -> None:
    answering.withhold()
    for question, words, kind in (
        ({"act": "fail", "type": "ValueError"}, "failed with ValueError", RunFailed),
        ({"act": "fail", "type": "own"}, "failed with an exception type of its own", RunFailed),
        ({"act": "input"}, "failed with an exception type of its own", RunFailed),
        ({"act": "vault"}, "failed with an exception type of its own", VaultRefused),
    ):
        with pytest.raises(kind, match=f"answerer: {words}; its text is withheld, as it could carry rows"):
            answering.ask(question)
    answering.ask({"act": "print"})
    with pytest.raises(RunFailed) as raised:
        answering.ask({"act": "exit", "code": 77})
    assert str(raised.value) == "answerer: the process ended and gave no answer"
    answering.close()
    assert capfd.readouterr() == ("", "")


@only_confined
@pytest.mark.parametrize("error", ["row 1", {"code": ["row 1"], "type": ["row 1"]}, {"code": "row 1", "type": "row 1"}])
def test_errors_that_lie_are_told_in_known_words(answering: Child, error: Any) -> None:
    answering.withhold()
    with pytest.raises(RunFailed, match="failed with an exception type of its own; its text is withheld"):
        answering._raise_error(error)


def test_a_process_that_ends_is_told(answering: Child) -> None:
    with pytest.raises(RunFailed, match="answerer: the process ended with 77 and gave no answer"):
        answering.ask({"act": "exit", "code": 77})
    with pytest.raises(RunFailed, match="gave no answer"):
        answering.ask({"act": ""}, np.zeros(2**20))


@pytest.mark.parametrize("answering", [False], indirect=True)
def test_a_process_that_is_interrupted_is_told(answering: Child) -> None:
    with pytest.raises(Interrupted) as raised:
        answering.ask({"act": "signal", "number": int(signal.SIGINT)})
    assert raised.value.exit_code == 130


@only_confined
def test_a_process_that_is_killed_is_told(answering: Child) -> None:
    answering.send({"act": "sleep"})
    answering._process.terminate()
    with pytest.raises(RunFailed, match="was ended by signal 15 and gave no answer"):
        answering.answer()


def test_what_is_no_message_is_withheld(answering: Child) -> None:
    with pytest.raises(RunFailed, match="answerer: gave an answer that cannot be read; it is withheld, as it could"):
        answering.ask({"act": "lie"})


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are looked for in /proc")
@pytest.mark.parametrize("is_confined", [False, True])
def test_it_ends_with_its_parent(folder: Path, is_confined: bool) -> None:
    program = "import sys; from holdfast.core.child import OURS, Child; "
    program += f"Child('answering', name='a', path=[OURS, '.'], is_confined={is_confined}).ask({{'act': 'sleep'}})"
    environment = {**os.environ, "PYTHONPATH": OURS}
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE) as parent:
        assert parent.stderr is not None
        assert parent.stderr.readline() == b"started\n"
        (answerer,) = _children(parent.pid)
        answerers = [answerer, *_children(answerer)]
        parent.kill()
    deadline = time.monotonic() + 20
    while any(map(_lives, answerers)):
        assert time.monotonic() < deadline, "it goes on without its parent"
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux ends processes with their parent")
def test_a_process_can_end_with_the_one_that_has_started_it() -> None:
    waiting = "from holdfast.core.child import end_with_parent; end_with_parent(); print(1, flush=True); input()"
    starting = (
        "import os, subprocess, sys\n"
        f"command = [sys.executable, '-c', {waiting!r}]\n"
        "process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "process.stdout.read(1)\n"
        "keeps_stdin_open = os.fork()\n"
        "print(process.pid, keeps_stdin_open, flush=True) if keeps_stdin_open else input()"
    )
    with subprocess.Popen([sys.executable, "-c", starting], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline().split()[0])
        parent.wait(10)
        end = time.monotonic() + 10
        while Path(f"/proc/{child}").exists() and "Z" not in Path(f"/proc/{child}/stat").read_text().split()[2]:
            assert time.monotonic() < end
            time.sleep(0.05)
