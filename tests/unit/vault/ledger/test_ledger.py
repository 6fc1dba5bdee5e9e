from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from holdfast.core.errors import VaultRefused
from holdfast.core.files import canonical_json
from holdfast.vault.ledger import ledger

VAULT = "a" * 32
SELECTION = "5" * 64
FORK = multiprocessing.get_context("fork")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "ledger"
    path.mkdir()
    ledger.code_sha256()
    return path


def _add(folder: Path, type: str = "verify", **options: Any) -> ledger.Entry:
    return ledger.append(folder, type, {"n": 1}, vault=VAULT, **options)


def test_entries_are_a_chain_of_hashes(folder: Path) -> None:
    first = _add(folder, "seal", expected_head="")
    second = _add(folder, "open.result", selection=SELECTION, opening=1, bits=3.5)
    third = _add(folder, "disclose", bits=2)
    assert [entry.index for entry in ledger.read(folder)] == [0, 1, 2]
    assert [entry.fields["prev"] for entry in (first, second, third)] == ["0" * 64, first.sha256, second.sha256]
    assert third.fields["total_bits"] == 5.5
    assert ledger.read(folder) == [first, second, third]
    assert ledger.read(folder)[-1] == third
    assert sorted(path.name for path in folder.iterdir()) == [f"0000000{i}.json" for i in range(3)]


def test_an_entry_is_added_only_at_the_head_that_was_seen(folder: Path) -> None:
    head = _add(folder, expected_head="").sha256
    _add(folder, expected_head=head)
    for stale in ("", head):
        with pytest.raises(ledger.LedgerMoved, match="another process added an entry first"):
            _add(folder, expected_head=stale)
    assert len(ledger.read(folder)) == 2


def _race(folder: Path, head: str, start: Any, wins: Any) -> None:
    start.wait()
    try:
        _add(folder, "open.intent", expected_head=head)
    except ledger.LedgerMoved:
        return
    wins.put(os.getpid())


def test_of_sixteen_processes_one_adds_the_intent(folder: Path) -> None:
    for _ in range(2):
        head = _add(folder).sha256
        start, wins = FORK.Event(), FORK.SimpleQueue()
        racers = [FORK.Process(target=_race, args=(folder, head, start, wins)) for _ in range(16)]
        for racer in racers:
            racer.start()
        start.set()
        for racer in racers:
            racer.join()
        winner = wins.get()
        assert wins.empty()
        assert ledger.read(folder)[-1].fields["pid"] == winner
    assert [entry.type for entry in ledger.read(folder)] == ["verify", "open.intent"] * 2


def _write_many(folder: Path, count: int) -> None:
    for _ in range(count):
        _add(folder)


def test_writers_that_are_killed_leave_a_whole_chain(folder: Path) -> None:
    writers = [FORK.Process(target=_write_many, args=(folder, 10_000)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        time.sleep(0.1)
        os.kill(writer.pid or 0, signal.SIGKILL)
        writer.join()
    entries = ledger.read(folder)
    assert len(entries) > 4
    _add(folder)
    assert len(ledger.read(folder)) == len(entries) + 1


@pytest.mark.slow
def test_sixteen_writers_of_fifty_entries_make_eight_hundred(folder: Path) -> None:
    writers = [FORK.Process(target=_write_many, args=(folder, 50)) for _ in range(16)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(ledger.read(folder)) == 800


def test_a_repeated_answer_of_a_network_disk_is_a_win(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def link_twice(source: Path, target: Path) -> None:
        link(source, target)
        raise FileExistsError(errno.EEXIST, "File exists")

    monkeypatch.setattr(os, "link", link_twice)
    assert _add(folder, expected_head="").index == 0


def test_a_full_disk_adds_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(VaultRefused, match=r"open.intent could not be written .No space left on device."):
        _add(folder, "open.intent")
    assert list(folder.iterdir()) == []


def _entry(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "00000000.json").read_bytes())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"version": 2}, "has version 2, known is 1"),
        ({"type": "peek"}, "has the unknown type 'peek'"),
        ({"type": ["seal"]}, "has the unknown type"),
        ({"more": 1}, r"its fields are not the known ones: \['more'\]"),
        ({"bits": -1.0}, "wrong value in bits"),
        ({"index": True}, "wrong value in index"),
        ({"prev": "zz"}, "wrong value in prev"),
        ({"selection": "5"}, "wrong value in selection"),
        ({"opening": 0}, "wrong value in opening"),
        ({"body": []}, "wrong value in body"),
        ({"framework": {}}, "wrong value in framework"),
    ],
)
def test_malformed_entries_are_told(folder: Path, change: dict[str, Any], reason: str) -> None:
    _add(folder)
    (folder / "00000000.json").write_bytes(canonical_json({**_entry(folder), **change}))
    with pytest.raises(VaultRefused, match=reason):
        ledger.read(folder)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Expecting value"),
        (b"[]", "is no JSON object"),
        (b'{"a":1,"a":2}', "names a field twice"),
        (b'{"a":NaN}', "holds NaN"),
        (b'{"a":-Infinity}', "holds -Infinity"),
        (b"\xff\xfe", "codec can't decode"),
        (b"[" * 100_000, "recursion"),
        (b" " * (2**20 + 1), "is larger than 1048576 bytes"),
    ],
)
def test_malformed_bytes_are_told(folder: Path, content: bytes, reason: str) -> None:
    (folder / "00000000.json").write_bytes(content)
    with pytest.raises(VaultRefused, match=reason):
        ledger.read(folder)


def test_another_form_of_the_same_values_is_refused(folder: Path) -> None:
    _add(folder)
    (folder / "00000000.json").write_text(json.dumps(_entry(folder), indent=1))
    with pytest.raises(VaultRefused, match="is not in canonical form"):
        ledger.read(folder)


def test_a_missing_entry_breaks_the_chain(folder: Path) -> None:
    for _ in range(3):
        _add(folder)
    (folder / "00000001.json").unlink()
    with pytest.raises(VaultRefused, match="entry 1 is missing"):
        ledger.read(folder)
