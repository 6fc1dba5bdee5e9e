from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.core.files import canonical_json, sha256_hex
from holdfast.vault import registry
from holdfast.vault.ledger import ledger
from holdfast.vault.manifest import folder_of
from holdfast.vault.verify import verify_home

from .conftest import Make, seal


@pytest.fixture
def vault(home: Path, rows: Any, make_request: Make) -> str:
    return seal(make_request(*rows))


def _words() -> list[str]:
    return [f"{finding.kind}: {Path(finding.where).name} {finding.what}" for finding in verify_home()]


def _freeze(vault: str, number: int = 0) -> str:
    content = canonical_json({"files": {"run.json": sha256_hex(b"{}")}, "number": number})
    folder = folder_of(vault) / "selections" / sha256_hex(content)
    folder.mkdir()
    (folder / "selection.json").write_bytes(content)
    (folder / "run.json").write_bytes(b"{}")
    registry.append(vault, "freeze", {}, selection=folder.name)
    return folder.name


def _open(vault: str, selection: str) -> None:
    registry.append(vault, "open.intent", {}, selection=selection, opening=1)
    path = folder_of(vault) / "openings" / f"{selection}.sealed"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"sealed")
    body = {"file": sha256_hex(b"sealed"), "predictions": "0" * 64}
    registry.append(vault, "open.predicted", body, selection=selection, opening=1)
    registry.append(vault, "open.result", {}, selection=selection, opening=1, bits=3.0)


def test_a_whole_home_has_no_findings(home: Path, vault: str, rows: Any, make_request: Make) -> None:
    assert _words() == []
    seal(make_request(*rows, slice(10), replaces=(vault,)))
    assert _words() == []
    assert verify_home([("store", make_request(*rows).forms.digests[40:])]) == []


def test_an_empty_home_has_no_findings(home: Path) -> None:
    assert _words() == []


def test_a_frozen_and_opened_vault_has_no_findings(vault: str) -> None:
    _open(vault, _freeze(vault))
    assert _words() == []


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("x.sealed", "file: x.sealed was changed"),
        ("y.sealed", "file: y.sealed was changed"),
        ("fingerprints.bin", "file: fingerprints.bin was changed"),
        ("targets.bin", "file: targets.bin was changed"),
        ("development.bin", "file: development.bin was changed"),
        ("manifest.json", "manifest"),
        ("ledger/00000000.json", "entry "),
        ("ledger/00000001.json", "entry 1"),
        ("selections/*/selection.json", "selection: selection.json was changed since the freeze"),
        ("selections/*/run.json", "selection: run.json was changed since the freeze"),
        ("openings/*.sealed", "file: "),
    ],
)
def test_one_changed_bit_is_found(vault: str, name: str, word: str) -> None:
    _open(vault, _freeze(vault))
    (path,) = folder_of(vault).glob(name)
    _flip(path)
    words = _words()
    assert any(word in text for text in words), words


def test_a_missing_file_is_found(vault: str) -> None:
    (folder_of(vault) / "x.sealed").unlink()
    assert _words() == ["file: x.sealed is missing"]
    shutil.rmtree(folder_of(vault))
    assert _words() == [f"vault: {vault} the vault's folder is gone"]


def _rewrite(path: Path, **changes: Any) -> None:
    path.write_bytes(canonical_json({**json.loads(path.read_bytes()), **changes}))


def _put(path: Path, old: bytes, new: bytes) -> None:
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))


LEDGER_ATTACKS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "the last entry deleted": (
        lambda folder: (folder / "00000002.json").unlink(),
        r"head: entry 2 was the head seen last .*: cut, or an old copy",
    ),
    "an entry deleted": (lambda folder: (folder / "00000001.json").unlink(), "ledger: entry 1 is missing"),
    "the last entry rewritten": (
        lambda folder: _rewrite(folder / "00000002.json", body={"n": 9}),
        "head: entry 2 is not the head seen last .*: rewritten, or forked",
    ),
    "an entry rewritten": (
        lambda folder: _rewrite(folder / "00000001.json", body={"n": 9}),
        "ledger: entry 2 does not follow from the entry before it",
    ),
    "two entries swapped": (
        lambda folder: (
            (folder / "00000001.json").rename(folder / "hold"),
            (folder / "00000002.json").rename(folder / "00000001.json"),
            (folder / "hold").rename(folder / "00000002.json"),
        ),
        "ledger: entry 1 says that it is entry 2",
    ),
    "another vault's entry": (
        lambda folder: _rewrite(folder / "00000002.json", vault="f" * 32),
        "ledger: entry 2 belongs to vault 'ffff",
    ),
    "a strange file": (
        lambda folder: (folder / "notes.txt").write_text("x"),
        "ledger: notes.txt is no entry of a ledger",
    ),
    "a folder in its place": (
        lambda folder: ((folder / "00000002.json").unlink(), (folder / "00000002.json").mkdir()),
        "ledger: entry 2 is no entry of a ledger",
    ),
    "a pipe in its place": (
        lambda folder: ((folder / "00000002.json").unlink(), os.mkfifo(folder / "00000002.json")),
        "ledger: entry 2 is no entry of a ledger: .*is no regular file",
    ),
    "a link in its place": (
        lambda folder: (
            (folder / "00000002.json").rename(folder.parent / "moved"),
            (folder / "00000002.json").symlink_to("../moved"),
        ),
        "ledger: entry 2 is no entry of a ledger: is a link",
    ),
    "a link to nothing": (
        lambda folder: ((folder / "00000002.json").unlink(), (folder / "00000002.json").symlink_to("nowhere")),
        "ledger: entry 2 is no entry of a ledger: is a link",
    ),
    "nothing in it": (
        lambda folder: (folder / "00000002.json").write_bytes(b""),
        "ledger: entry 2 is no entry of a ledger",
    ),
    "no text": (
        lambda folder: (folder / "00000002.json").write_bytes(b'{"type":"\xff"}'),
        "ledger: entry 2 is no entry of a ledger: 'utf-8' codec",
    ),
    "nested deeply": (
        lambda folder: _put(folder / "00000002.json", b'"body":{}', b'"body":' + b'{"a":' * 9000 + b"1" + b"}" * 9000),
        "ledger: entry 2 is no entry of a ledger: maximum recursion depth",
    ),
    "not a number": (
        lambda folder: _put(folder / "00000002.json", b'"bits":0.0', b'"bits":NaN'),
        "ledger: entry 2 is no entry of a ledger: holds NaN",
    ),
    "an endless number": (
        lambda folder: _put(folder / "00000002.json", b'"bits":0.0', b'"bits":1e999'),
        "ledger: entry 2 is no entry of a ledger: Out of range",
    ),
    "a number of a million digits": (
        lambda folder: _put(folder / "00000002.json", b'"pid":', b'"pid":' + b"9" * 10**6),
        "ledger: entry 2 is no entry of a ledger: Exceeds the limit",
    ),
    "a field twice": (
        lambda folder: _put(folder / "00000002.json", b'"body":{', b'"body":{"a":1,"a":1'),
        "ledger: entry 2 is no entry of a ledger: names a field twice",
    ),
    "half a letter": (
        lambda folder: _put(folder / "00000002.json", b'"body":{', rb'"body":{"a":"\ud800"'),
        "ledger: entry 2 is no entry of a ledger: 'utf-8' codec",
    ),
    "a type that is none": (
        lambda folder: _rewrite(folder / "00000002.json", type=["seal"]),
        "ledger: entry 2 is no entry of a ledger: has the unknown type",
    ),
    "a later version": (
        lambda folder: _rewrite(folder / "00000002.json", version=2),
        "ledger: entry 2 is no entry of a ledger: has version 2, known is 1",
    ),
    "100 MB": (
        lambda folder: os.truncate(folder / "00000002.json", 100 * 2**20),
        "ledger: entry 2 is no entry of a ledger: is larger than 1048576 bytes",
    ),
    "NaN": (
        lambda folder: (folder / "00000002.json").write_text('{"bits":NaN}'),
        "ledger: entry 2 is no entry of a ledger: holds NaN",
    ),
    "a future version": (
        lambda folder: _rewrite(folder / "00000002.json", version=2),
        "ledger: entry 2 is no entry of a ledger: has version 2, known is 1",
    ),
    "an unknown type": (
        lambda folder: _rewrite(folder / "00000002.json", type="peek"),
        "ledger: entry 2 is no entry of a ledger: has the unknown type 'peek'",
    ),
    "the sum of bits": (
        lambda folder: _rewrite(folder / "00000002.json", total_bits=5.0),
        "ledger: entry 2 its total of bits is not the sum so far",
    ),
    "all entries gone": (shutil.rmtree, "ledger: ledger there is no ledger"),
}


@pytest.mark.parametrize("attack", LEDGER_ATTACKS)
def test_attacks_on_the_ledger_are_found(vault: str, attack: str) -> None:
    for _ in range(2):
        registry.append(vault, "verify", {})
    action, word = LEDGER_ATTACKS[attack]
    action(folder_of(vault) / "ledger")
    import re

    words = _words()
    assert any(re.search(word, text) for text in words), words


BODIES: list[Any] = [{}, {"files": []}, {"files": {"x.sealed": 7}}, {"manifest": None, "files": None}, {"models": 5}]
BODIES += [{"level": ["full"]}, {"file": {}}, {"outcomes": []}, {"outcomes": {"file": None}}, {"reason": {"a": 1}}]


@pytest.mark.parametrize("body", BODIES)
def test_bodies_that_say_nothing_are_findings_and_no_traceback(vault: str, body: dict[str, Any]) -> None:
    _open(vault, _freeze(vault))
    folder = folder_of(vault) / "ledger"
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        if json.loads(content)["body"] != body:
            _rewrite(path, body=body)
            assert verify_home(), path.name
        path.write_bytes(content)
    assert verify_home() == []


@pytest.mark.parametrize(
    "name", ["manifest.json", "fingerprints.bin", "targets.bin", "x.sealed", "selections/*/selection.json"]
)
def test_a_pipe_in_place_of_a_file_is_not_waited_for(vault: str, name: str) -> None:
    _open(vault, _freeze(vault))
    (path,) = folder_of(vault).glob(name)
    path.unlink()
    os.mkfifo(path)
    assert verify_home()
    for copied in registry.COPIED:
        remembered = registry.copy_of(vault, copied)
        remembered.unlink()
        os.mkfifo(remembered)
        assert verify_home()


@pytest.mark.parametrize("suffix", ["manifest", "fingerprints", "targets", "cells"])
def test_a_copy_in_the_registry_that_is_gone_or_another_is_found(home: Path, vault: str, suffix: str) -> None:
    """Without it rows of a vault whose folder is gone would be strangers."""
    path = home / "registry" / f"{vault}.{suffix}"
    path.write_bytes(path.read_bytes() + b"!")
    assert _words() == [f"registry: {path.name} was changed"]
    path.unlink()
    assert _words() == [f"registry: {path.name} is missing"]


def test_an_old_copy_of_the_vault_is_found(home: Path, vault: str) -> None:
    shutil.copytree(folder_of(vault), home / "copy")
    _open(vault, _freeze(vault))
    shutil.rmtree(folder_of(vault))
    (home / "copy").rename(folder_of(vault))
    assert [text for text in _words() if text.startswith("head: entry 4 was the head seen last")]


def test_steps_without_the_step_before_are_found(vault: str) -> None:
    selection = "5" * 64
    for type in ("open.result", "open.intent", "open.intent"):
        registry.append(vault, type, {}, selection=selection, opening=1)
    assert _words() == [
        "order: entry 1 is open.result without its open.predicted",
        "order: entry 2 opens a selection that was not frozen",
        "order: entry 3 opens a selection that was not frozen",
        "order: entry 3 is a second open.intent of the same opening",
    ]


def test_a_second_selection_breaks_the_policy(vault: str) -> None:
    first, second = _freeze(vault, 0), _freeze(vault, 1)
    _open(vault, first)
    _open(vault, second)
    assert _words() == [f"policy: entry 6 opens selection {second[:8]}, which the policy once does not allow"]


def test_sealed_rows_in_the_store_are_found(vault: str, rows: Any, make_request: Make) -> None:
    digests = make_request(*rows).forms.digests[:3]
    findings = verify_home([("store/rows", np.concatenate([digests, digests + 1]))])
    assert [(finding.kind, finding.what) for finding in findings] == [("store", "3 sealed rows lie in the open")]


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"version":1}', b"\xff", b"[" * 100_000])
@pytest.mark.parametrize("name", ["manifest.json", "ledger/00000000.json", "selections/*/selection.json"])
def test_rubbish_is_a_finding_and_no_traceback(vault: str, name: str, content: bytes) -> None:
    _freeze(vault)
    (path,) = folder_of(vault).glob(name)
    path.write_bytes(content)
    assert _words()


def test_a_rubbish_registry_is_a_finding(home: Path, vault: str) -> None:
    (home / "registry" / f"{vault}.json").write_bytes(b"{}")
    assert any(text.startswith("registry: ") for text in _words())


@pytest.mark.slow
def test_ten_thousand_entries_are_verified_in_five_seconds(vault: str) -> None:
    folder = folder_of(vault) / "ledger"
    last = ledger.read(folder)[0]
    for index in range(1, 10_000):
        fields = {**last.fields, "index": index, "prev": last.sha256, "type": "verify"}
        content = canonical_json(fields)
        (folder / f"{index:08d}.json").write_bytes(content)
        last = ledger.Entry(sha256_hex(content), fields)
    start = time.perf_counter()
    assert _words() == []
    assert time.perf_counter() - start < 5
