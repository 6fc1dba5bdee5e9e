"""Runs a module that must tell nobody anything: `python -P -m holdfast.core.confined MODULE`, on Linux.

The process has no network, sees no other process, and ends with all that it has started (namespaces); every file
system is read-only, the folder of keys is empty, and `/dev/shm` is its own, where temporary files go (a mount
namespace); it can write to no file, pipe with a name or terminal and look into no other process (Landlock), and makes
no socket (seccomp). What it still can do is to be watched: how long it takes, how much memory, by which name.

One line of JSON goes to stdout before the module is imported: a list of what this system does not allow. Nothing with
threads may be imported earlier: a process that has some enters no namespace of users.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import platform
import runpy
import signal
import struct
import sys
from collections.abc import Callable
from typing import Any

from holdfast.core import places

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER = 0x00020000, 0x08000000, 0x10000000
CLONE_NEWPID, CLONE_NEWNET = 0x20000000, 0x40000000
MS_REC_PRIVATE = 0x4000 | 0x40000
MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY = 442, -100, 0x8000, 1
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446
WRITE_FILE, ALL_BUT_READS = 1 << 1, 0x1FF2  # write, remove and make anything; no execute, no read
REFER, TRUNCATE = 1 << 13, 1 << 14
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 22, 38
CAPABILITY_VERSION = 0x20080522
SOCKETS = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}  # the architecture, and its number of `socket`
IO_URING_SETUP, X32 = 425, 0x40000000
PRIVATE_FOLDER = "/dev/shm"

libc: Any = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def confine() -> list[str]:
    """Confine this process; what could not be had, in words."""
    missing = []
    steps: tuple[tuple[str, Callable[[], None]], ...] = (
        ("namespaces: it could have used the network and other processes", _separate),
        ("Landlock: it could have written to files", _forbid_writing),
        ("seccomp: it could have used sockets", _forbid_sockets),
    )
    for words, step in steps:
        try:
            step()
        except (OSError, AttributeError, KeyError, TypeError) as error:
            missing.append(f"no {words} ({getattr(error, 'strerror', None) or 'not offered here'})")
    if missing:
        _forbid_bytes()
    return missing


def _forbid_bytes() -> None:
    """No byte can be appended to a file: the most that other systems offer."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _separate() -> None:
    """Enter namespaces of one's own, make all that is mounted read-only, and go on as their first process."""
    user, group = os.getuid(), os.getgid()
    _call(libc.unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC))
    try:
        maps = {"setgroups": "deny", "uid_map": f"{user} {user} 1", "gid_map": f"{group} {group} 1"}
        for name, content in maps.items():
            with open(f"/proc/self/{name}", "w") as file:
                file.write(content)
        _mount(None, "/", None, MS_REC_PRIVATE)
        attributes = struct.pack("QQQQ", MOUNT_ATTR_RDONLY, 0, 0, 0)
        _call(libc.syscall(MOUNT_SETATTR, AT_FDCWD, b"/", AT_RECURSIVE, attributes, len(attributes)))
        _mount("tmpfs", PRIVATE_FOLDER, "tmpfs", 0)
        os.environ["TMPDIR"] = PRIVATE_FOLDER
        if places.keys().is_dir():
            _mount("tmpfs", str(places.keys()), "tmpfs", 0)
        _call(libc.capset(struct.pack("II", CAPABILITY_VERSION, 0), bytes(24)))
    finally:  # without a fork this process could make no thread any more
        if pid := os.fork():
            _end_as(os.waitpid(pid, 0)[1])
        _call(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))


def _end_as(status: int) -> None:
    """End in the way in which the child has ended."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    os._exit(code)


def _forbid_writing() -> None:
    """No file can be opened for writing, made or removed, but for /dev/null and the folder that is one's own."""
    abi = _call(libc.syscall(LANDLOCK_CREATE_RULESET, None, 0, 1))
    rights = ALL_BUT_READS | (REFER if abi >= 2 else 0) | (TRUNCATE if abi >= 3 else 0)
    ruleset = _call(libc.syscall(LANDLOCK_CREATE_RULESET, struct.pack("Q", rights), 8, 0))
    allowed = [(os.devnull, WRITE_FILE)]
    if os.environ.get("TMPDIR") == PRIVATE_FOLDER:
        allowed.append((PRIVATE_FOLDER, rights))
    for path, its_rights in allowed:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        _call(libc.syscall(LANDLOCK_ADD_RULE, ruleset, 1, struct.pack("=Qi", its_rights, place), 0))
        os.close(place)
    _call(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _call(libc.syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)


def _forbid_sockets() -> None:
    """No socket can be made: one with a name in a file system leads out of every namespace."""
    architecture, socket = SOCKETS[platform.machine()]
    load, equal, above, answer = 0x20, 0x15, 0x35, 0x06
    refuse, allow = 0x00050001, 0x7FFF0000  # EPERM
    program = (
        *((load, 0, 0, 4), (equal, 0, 5, architecture)),
        *((load, 0, 0, 0), (above, 3, 0, X32), (equal, 2, 0, socket), (equal, 1, 0, IO_URING_SETUP)),
        *((answer, 0, 0, allow), (answer, 0, 0, refuse)),
    )
    steps = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    _call(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _call(libc.prctl(PR_SET_SECCOMP, 2, struct.pack("HxxxxxxP", len(program), ctypes.addressof(steps)), 0, 0))


def _mount(source: str | None, target: str, kind: str | None, flags: int) -> None:
    words = [word.encode() if word else None for word in (source, target, kind)]
    _call(libc.mount(*words, ctypes.c_ulong(flags), None))


def _call(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


if __name__ == "__main__":
    could_not = confine()
    os.write(1, json.dumps(could_not).encode() + b"\n")
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
