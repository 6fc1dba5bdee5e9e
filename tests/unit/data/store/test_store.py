from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from holdfast.core.errors import HoldfastError, InputError, Interrupted, RunFailed, VaultRefused
from holdfast.data.splits import Holdout, SplitFacts
from holdfast.data.store import store
from holdfast.data.store.store import Prepared
from holdfast.data.store.worker import answer_request
from holdfast.vault.rows.identity import row_digests

Prepare = Callable[..., Prepared]


def all_rows(num_rows: int = 100, seed: int = 0) -> np.ndarray:  # type: ignore[type-arg]
    return np.random.default_rng(seed).normal(size=(num_rows, 3)).astype(np.float32)


def test_development_rows_are_in_the_store_and_test_rows_nowhere(prepare_mine: Prepare, home: Path) -> None:
    prepared = prepare_mine()
    x = all_rows()
    digests = row_digests(x, kind="table", feature_names=("a", "b", "c"))
    test = Holdout().test_rows(SplitFacts(digests, np.arange(100) % 2))
    assert np.array_equal(prepared.x, x[~test])
    assert np.array_equal(prepared.digests, digests[~test])
    assert (prepared.num_test, prepared.num_left_out, prepared.name) == (20, 0, "mine")
    assert (prepared.task, prepared.kind, prepared.class_names) == ("binary", "table", ("no", "yes"))
    assert prepared.feature_names == ("a", "b", "c")
    assert isinstance(prepared.x, np.memmap)
    content = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert x[~test][0].tobytes() in content
    assert not any(
        row.tobytes() in content or digest.tobytes() in content
        for row, digest in zip(x[test], digests[test], strict=True)
    )
    assert np.array_equal(store.open_prepared(prepared.vault).x, prepared.x)


def test_a_known_request_starts_no_process(prepare_mine: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepare_mine()

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "run", refuse)
    start = time.perf_counter()
    second = prepare_mine(split={"val_seed": 7, "fractions": [0.7, 0.1, 0.2]})
    assert time.perf_counter() - start < 0.05
    assert second.vault == first.vault
    assert "my_rows" not in sys.modules


def test_a_changed_file_is_noticed(prepare_mine: Prepare) -> None:
    Path("numbers.txt").write_text("one")
    before = prepare_mine(path="numbers.txt")
    assert before.x[0, 0] == 3
    Path("numbers.txt").write_text("three")
    assert prepare_mine(path="numbers.txt").x[0, 0] == 5
    Path("numbers.txt").write_text("seven")
    after = prepare_mine(path="numbers.txt")
    os.utime("numbers.txt", (1, 1))
    touched = prepare_mine(path="numbers.txt")
    assert touched.vault == after.vault, "the same content has the same vault"


def test_a_file_that_only_the_source_knew_of_is_watched(home: Path, tmp_path: Path) -> None:
    for index in range(20):
        Image.new("L", (2, 2), 10 * index).save(tmp_path / f"{index}.png")
    (tmp_path / "i.csv").write_text("path,label\n" + "".join(f"{i}.png,{'ab'[i % 2]}\n" for i in range(20)))

    def request() -> dict[str, Any]:
        source = {"_target_": "holdfast.data.sources.image_folder.load", "_partial_": True}
        data = {"name": "i", "source": {**source, "index": str(tmp_path / "i.csv")}}
        return store.make_request(data, {"_target_": "holdfast.data.splits.Holdout", "_partial_": True}, {})

    answer_request(request())
    assert store.find_prepared(request()) is not None
    Image.new("L", (2, 2), 255).save(tmp_path / "3.png")
    os.utime(tmp_path / "3.png", (1, 1))
    assert store.find_prepared(request()) is None
    (tmp_path / "3.png").unlink()
    assert store.find_prepared(request()) is None


def test_contents_are_looked_at_when_asked(prepare_mine: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare() -> Prepared:
        source = {"_target_": "my_rows.load", "_partial_": True, "path": "numbers.txt"}
        data = {"name": "mine", "source": source, "verify": True}
        return store.prepare(data, {"_target_": "holdfast.data.splits.Holdout", "_partial_": True}, {})

    Path("numbers.txt").write_text("one")
    os.utime("numbers.txt", (1, 1))
    before = prepare()
    Path("numbers.txt").write_text("seven"[:3])
    os.utime("numbers.txt", (1, 1))
    assert prepare_mine(path="numbers.txt").vault == before.vault, "the same size and time"
    started = []
    monkeypatch.setattr(store, "_run_preparation", started.append)
    with pytest.raises(RunFailed):
        prepare()
    Path("numbers.txt").write_text("one")  # another time, the same contents
    assert prepare().vault == before.vault
    assert len(started) == 1


def test_a_changed_module_is_noticed(prepare_mine: Prepare) -> None:
    before = prepare_mine()
    Path("my_rows.py").write_text(Path("my_rows.py").read_text().replace('("no", "yes")', '("off", "on")'))
    after = prepare_mine()
    assert after.class_names == ("off", "on")
    assert after.vault != before.vault


def test_rows_of_a_vault_that_was_sealed_anew_are_removed(prepare_mine: Prepare) -> None:
    old = prepare_mine()
    new = prepare_mine(split={"seed": 1})
    assert new.vault != old.vault
    assert not old.folder.exists()
    with pytest.raises(
        InputError, match=f"has no rows for vault {old.vault[:12]}; next: run its data option once more"
    ):
        store.open_prepared(old.vault)
    back = prepare_mine()
    assert back.vault not in (old.vault, new.vault), "it was sealed anew once more"
    assert np.array_equal(np.sort(back.x, axis=0), np.sort(np.array(old.x), axis=0))


def test_rows_equal_to_an_official_test_row_are_left_out(prepare_mine: Prepare) -> None:
    prepared = prepare_mine(split={"_target_": "holdfast.data.splits.Official"}, official=True)
    assert (prepared.num_test, prepared.num_left_out, len(prepared.x)) == (20, 1, 79)
    assert not (prepared.x == all_rows()[-1]).all(axis=1).any()


def test_damaged_rows_are_prepared_again(prepare_mine: Prepare) -> None:
    prepared = prepare_mine()
    content = (prepared.folder / "x.npy").read_bytes()
    for damage in (content[:-4], b"", None):
        (prepared.folder / "x.npy").unlink()
        if damage is not None:
            (prepared.folder / "x.npy").write_bytes(damage)
        assert np.array_equal(prepare_mine().x, prepared.x)
    (prepared.folder / "meta.json").write_text("{")
    assert prepare_mine().vault == prepared.vault


def test_a_vault_that_was_deleted_is_not_replaced_in_silence(prepare_mine: Prepare, home: Path) -> None:
    prepared = prepare_mine()
    shutil.rmtree(home / "vaults" / prepared.vault)
    with pytest.raises(VaultRefused, match="holds these rows, and its folder is gone"):
        prepare_mine()


def test_errors_come_back_as_they_were(prepare_mine: Prepare, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(
        InputError, match=r"split.fractions: leaves no row for test \(10 rows, 10 different\)"
    ) as caught:
        prepare_mine(num_rows=10, split={"fractions": [0.6, 0.38, 0.02]})
    assert caught.value.exit_code == 2
    with pytest.raises(InputError, match=r"data.source._target_: my_rows.lode cannot be imported"):
        prepare_mine("lode")
    with pytest.raises(InputError) as caught:
        prepare_mine("fail", what="disk")
    assert str(caught.value) == (
        "data.source: my_rows.fail failed in my_rows.py, line 21 (RuntimeError: the disk is on fire); "
        "next: python -c \"import my_rows; my_rows.fail(what='disk')\" shows the whole traceback"
    )
    assert "Traceback" not in capfd.readouterr().err
    with pytest.raises(RunFailed, match="the process was ended by signal 9 and gave no answer"):
        prepare_mine("die")
    with pytest.raises(Interrupted) as interrupted:
        prepare_mine("interrupt")
    assert interrupted.value.exit_code == 130


def test_impossible_split_is_refused_before_a_process_starts(prepare_mine: Prepare, home: Path) -> None:
    with pytest.raises(InputError, match=r"split.fractions: is .* with sum 1.3"):
        prepare_mine(split={"fractions": [0.9, 0.2, 0.2]})
    assert not home.exists()


def test_a_store_that_cannot_be_written(prepare_mine: Prepare, home: Path) -> None:
    home.write_text("a file")
    with pytest.raises(InputError, match=r"cannot be written .*; next: set HOLDFAST_HOME to a folder of yours"):
        prepare_mine()


SCRIPT = """
import sys, json
from holdfast.data.store.store import prepare
split = {"_target_": "holdfast.data.splits.Holdout", **json.loads(sys.argv[1])}
prepared = prepare({"name": "mine", "source": {"_target_": "my_rows.load"}}, split, {})
assert not {"torch", "sklearn", "cryptography"} & set(sys.modules), "too much is imported"
print(prepared.vault, len(prepared.x))
"""


def start(split: dict[str, object] | None = None, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SCRIPT, json.dumps(split or {})]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload,no-any-return]


def test_two_processes_prepare_once(prepare_mine: Prepare, home: Path) -> None:
    processes = [start() for _ in range(3)]
    answers = [process.communicate() for process in processes]
    assert len({out for out, _ in answers}) == 1
    assert answers[0][0].split()[1] == "80"
    assert sum("preparing mine (once)" in err for _, err in answers) == 1
    assert len(list((home / "vaults").glob("[0-9a-f]*"))) == 1


@pytest.mark.slow
def test_killed_at_any_moment_leaves_nothing_half_made(prepare_mine: Prepare, home: Path) -> None:
    former = prepare_mine(split={"seed": 1})
    for delay in np.linspace(0.05, 0.6, 14):
        process = start(start_new_session=True)
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        folders = [path for path in (home / "store" / "rows").glob("*") if not path.name.startswith(".")]
        for folder in folders:
            assert len(store.read_folder(folder).x) == 80
    prepared = prepare_mine()
    assert len(prepared.x) == 80
    assert not former.folder.exists()
    assert [path.name for path in (home / "store" / "rows").iterdir()] == [prepared.vault]
    assert not (home / "store" / "pending").exists()


def test_killed_between_sealing_and_writing(prepare_mine: Prepare, home: Path) -> None:
    old = prepare_mine()
    shutil.copytree(old.folder, home / "kept")
    new = prepare_mine(split={"seed": 1})
    # As if the process had been killed just after the new vault had its name.
    shutil.move(home / "kept", old.folder)
    shutil.rmtree(new.folder)
    (home / "store" / "rows" / ".0123.tmp").mkdir()
    (home / "store" / "pending").touch()
    again = prepare_mine(split={"seed": 1})
    assert again.vault == new.vault
    assert [path.name for path in (home / "store" / "rows").iterdir()] == [new.vault]


def test_a_refusal_leaves_the_store_as_it_was(prepare_mine: Prepare, home: Path) -> None:
    prepared = prepare_mine()
    with pytest.raises(HoldfastError):
        prepare_mine(split={"fractions": [0.5, 0.2, 0.3]}, num_rows=2)
    assert prepare_mine().folder == prepared.folder
    assert not (home / "store" / "pending").exists()
