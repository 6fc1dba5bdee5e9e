"""Whole commands in the key modes that leave no key here: a passphrase is typed, a private key lies elsewhere."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from .conftest import ROOT, STEPS, Run, answer, ledger_types

pytestmark = pytest.mark.slow

PASSPHRASE = "correct horse battery staple"
TRAIN = [sys.executable, str(ROOT / "train.py"), "max_epochs=1", "trainer=cpu", "hydra.run.dir=run"]
HOLDFAST = [sys.executable, "-m", "holdfast.cli.main"]


def on_terminal(
    command: Sequence[str], typed: Sequence[str], *, cwd: Path, environment: dict[str, str]
) -> tuple[int, str]:
    """Exit code and output of a command on a terminal of its own, on which a line is typed at each question."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execvpe(command[0], list(command), environment)
    output, lines, deadline = "", list(typed), time.monotonic() + 300
    while time.monotonic() < deadline:
        try:
            piece = os.read(terminal, 4096).decode()
        except OSError:
            break
        output += piece
        if piece.endswith((": ", ":")) and lines and ("passphrase" in piece or "the same again" in piece):
            os.write(terminal, lines.pop(0).encode() + b"\n")
    os.close(terminal)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert not lines, f"{lines} were never asked for: {output}"
    return code, output


@contextmanager
def told_by_no_process(secret: str) -> Iterator[None]:
    """Look at the command lines and environments of all processes again and again: nobody may be handed the secret."""
    places, is_over = set[str](), threading.Event()

    def look() -> None:
        while not is_over.wait(0.05):
            for place in ("cmdline", "environ"):
                for path in Path("/proc").glob(f"[0-9]*/{place}"):
                    with suppress(OSError):  # it has ended, or is somebody else's
                        if secret.encode() in path.read_bytes():
                            places.add(str(path))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield
    finally:
        is_over.set()
        looking.join()
    assert not places


def without_terminal(command: Sequence[str], *, cwd: Path, environment: dict[str, str]) -> tuple[int, str]:
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, stdin=subprocess.DEVNULL, start_new_session=True,
        text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_a_passphrase_is_typed_and_nothing_else(project: Path, environment: dict[str, str], holdfast: Run) -> None:
    home, train = project.parent / "home", [*TRAIN, "vault.key_mode=passphrase"]
    code, output = without_terminal(train, cwd=project, environment=environment)
    assert (code, "there is no terminal to type it on" in output) == (3, True), output
    code, output = on_terminal(train, [PASSPHRASE, "another"], cwd=project, environment=environment)
    assert (code, "the two differ" in output) == (3, True), output
    assert not ledger_types(home)
    with told_by_no_process(PASSPHRASE):
        code, output = on_terminal(train, [PASSPHRASE, PASSPHRASE], cwd=project, environment=environment)
    assert code == 0, output
    assert not list((home / "keys").glob("*.[xy].key"))

    selection = answer(holdfast("freeze", "run", "--json"))["selection"]
    opening = [*HOLDFAST, "open", selection]
    variables = dict.fromkeys(("HOLDFAST_PASSPHRASE", "HOLDFAST_VAULT_PASSPHRASE", "PASSPHRASE"), PASSPHRASE)
    code, output = without_terminal(opening, cwd=project, environment=environment | variables)
    assert (code, "there is no terminal to type it on" in output) == (3, True), output
    assert holdfast("open", selection, "--passphrase", PASSPHRASE).returncode == 2
    for wrong, words in (("wrong", "nothing was spent"), ("", "is empty")):
        code, output = on_terminal(opening, [wrong], cwd=project, environment=environment)
        assert (code, words in output) == (3, True), output
    assert ledger_types(home) == ["seal", "freeze"]

    with told_by_no_process(PASSPHRASE):
        code, output = on_terminal(opening, [PASSPHRASE], cwd=project, environment=environment)
    assert (code, "opening 1 of 1" in output) == (0, True), output
    assert PASSPHRASE not in output, "what is typed is not shown"
    assert ledger_types(home)[2:] == STEPS
    assert answer(holdfast("vault", "verify", "--json"))["ok"]
    written = [path for root in (home, project) for path in root.rglob("*") if path.is_file()]
    assert not [path for path in written if PASSPHRASE.encode() in path.read_bytes()]


def test_a_private_key_opens_and_a_public_one_trains(
    project: Path, environment: dict[str, str], holdfast: Run, train: Run
) -> None:
    home, safe = project.parent / "home", project.parent / "safe"
    safe.mkdir()
    for name in ("mine", "theirs"):
        assert holdfast("vault", "keygen", str(safe / name)).returncode == 0
    assert (safe / "mine").stat().st_mode & 0o777 == 0o600
    assert "exists already" in holdfast("vault", "keygen", str(safe / "mine")).stderr
    mode = "vault.key_mode=keyfile"
    done = train(mode)
    assert (done.returncode, "vault.public_key: is missing" in done.stderr) == (2, True)
    done = train(mode, f"vault.public_key={safe / 'mine'}")
    assert (done.returncode, "training never needs the private key" in done.stderr) == (2, True)
    (project / "mine.pub").write_bytes((safe / "mine.pub").read_bytes())
    hidden = shutil.move(safe / "mine", project.parent / "elsewhere")  # training has the public key only
    done = train(mode, "vault.public_key=mine.pub", "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    shutil.move(hidden, safe / "mine")
    selection = answer(holdfast("freeze", "run", "--json"))["selection"]

    inside, tracked = project / "inside", project.parent / "tracked"
    for folder in (project, tracked):
        subprocess.run(["git", "init", "-q", str(folder)], check=True)
    for place in (inside, tracked / "key", safe / "open", safe / "empty"):
        shutil.copy(safe / "mine", place)
    (safe / "open").chmod(0o640)
    (safe / "empty").write_bytes(b"")
    subprocess.run(["git", "-C", str(tracked), "add", "key"], check=True)
    for path, words in {
        None: "needs the private key it was sealed for",
        safe / "theirs": "is another vault's key",
        safe / "mine.pub": "the key is open to other users",
        safe / "open": "the key is open to other users",
        safe / "empty": "the key file is empty",
        safe / "nowhere": "the key cannot be read",
        inside: "a key must not lie inside the project",
        tracked / "key": "the key is tracked by git",
    }.items():
        done = holdfast("open", selection, *([] if path is None else ["--key", str(path)]))
        assert (done.returncode, words in done.stderr) == (3, True), done.stderr
    assert ledger_types(home) == ["seal", "freeze"]

    opened = answer(holdfast("open", selection, "--key", str(safe / "mine"), "--json"))
    assert opened["opening"] == 1
    assert ledger_types(home)[2:] == STEPS
    assert answer(holdfast("vault", "verify", "--json"))["ok"]
    assert not list((home / "keys").glob("*.[xy].key"))
    key = (safe / "mine").read_bytes().split(b'"key":"')[1][:64]
    assert not [path for path in home.rglob("*") if path.is_file() and key in path.read_bytes()]
