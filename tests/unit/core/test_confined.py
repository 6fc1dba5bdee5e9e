"""What code that is not ours tries, in a process with sealed rows: each attempt as an attacker made it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from holdfast.core.child import OURS

PROBE = """
import ctypes, json, mmap, os, socket, sys, tempfile

SECRET = b"ROWS"
system = ctypes.CDLL(None, use_errno=True)


def daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            import time
            for _ in range(100):
                time.sleep(0.05)
            os._exit(0)
        os._exit(0)
    os.wait()
    return "started"


def shown():
    system.umount2(os.environ["HOLDFAST_KEYS"].encode(), 0)
    system.unshare(0x10000000 | 0x20000)
    system.umount2(os.environ["HOLDFAST_KEYS"].encode(), 0)
    return os.listdir(os.environ["HOLDFAST_KEYS"])


def mapped():
    with open("existing", "r+b") as file:
        mmap.mmap(file.fileno(), 4)[:] = SECRET


def server(family, address):
    with socket.socket(family) as line:
        line.connect(address)
        line.send(SECRET)


def outside(name, flags):
    os.close(os.open(f"/proc/{os.environ['OUTER']}/{name}", flags))


ATTEMPTS = {
    "new file": lambda: open("new", "wb").write(SECRET),
    "mapped file": mapped,
    "pipe with a name": lambda: os.write(os.open("pipe", os.O_RDWR | os.O_NONBLOCK), SECRET),
    "text of a link": lambda: os.symlink("ROWS", "link"),
    "attribute": lambda: os.setxattr("existing", "user.rows", SECRET),
    "time of a file": lambda: os.utime("existing", (7, 7)),
    "mode of a file": lambda: os.chmod("existing", 0o600),
    "name of a file": lambda: os.rename("existing", "ROWS"),
    "terminal": lambda: os.open("/dev/tty", os.O_RDWR),
    "TCP": lambda: server(socket.AF_INET, ("127.0.0.1", int(os.environ["PORT"]))),
    "socket with a name": lambda: server(socket.AF_UNIX, "socket"),
    "another's output": lambda: outside("fd/1", os.O_WRONLY),
    "another's memory": lambda: outside("mem", os.O_RDONLY),
    "signal": lambda: os.kill(int(os.environ["OUTER"]), 0),
    "keys": lambda: 1 / len(shown()),
}

results = {}
for name, attempt in ATTEMPTS.items():
    try:
        attempt()
        results[name] = "possible"
    except (OSError, ZeroDivisionError) as error:
        results[name] = type(error).__name__
with tempfile.TemporaryFile() as file:
    file.write(b"a temporary file is one's own")
results["daemon"] = daemon()
os.write(1, json.dumps(results).encode() + b"\\n")
"""


@pytest.fixture
def probed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], dict[str, Any]]:
    """What the system does not offer, and what became of each attempt."""
    (tmp_path / "probe.py").write_text(PROBE)
    (tmp_path / "existing").write_bytes(b"1234")
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "y.key").touch()
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as named:
        named.bind("socket")  # a relative path: the folder of a test is too long for one
        named.listen()
        environment = {
            **os.environ,
            "HOLDFAST_KEYS": str(tmp_path / "keys"),
            "OUTER": str(os.getpid()),
            "PORT": str(server.getsockname()[1]),
            "PYTHONPATH": os.pathsep.join([OURS, str(tmp_path)]),
        }
        command = [sys.executable, "-P", "-m", "holdfast.core.confined", "probe"]
        done = subprocess.run(command, env=environment, capture_output=True, check=True, timeout=30)
    missing, results = map(json.loads, done.stdout.splitlines())
    if missing:
        pytest.skip(f"this system has {missing}")
    return missing, results


def test_nothing_that_was_tried_leads_out(probed: tuple[list[str], dict[str, Any]], tmp_path: Path) -> None:
    _, results = probed
    assert {name for name, result in results.items() if result == "possible"} == set()
    assert (tmp_path / "existing").read_bytes() == b"1234"
    assert not (tmp_path / "new").exists()


def test_a_daemon_ends_with_the_process(probed: tuple[list[str], dict[str, Any]]) -> None:
    _, results = probed
    assert results["daemon"] == "started"
    time.sleep(0.2)
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not [line for line in lines if b"holdfast.core.confined\0probe" in line]


def test_what_a_system_does_not_offer_is_said() -> None:
    """Docker often refuses namespaces: then the opening says what the code could have done."""
    program = (
        "import json; from holdfast.core import confined; confined.libc.unshare = lambda flags: -1; "
        "print(json.dumps(confined.confine())); open('rows', 'w').write('ROWS')"
    )
    environment = {**os.environ, "PYTHONPATH": OURS}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False, timeout=30
    )
    (words, *_) = json.loads(done.stdout)
    assert words.startswith("no namespaces: it could have used the network and other processes (")
    assert done.returncode == 1, done.stderr
