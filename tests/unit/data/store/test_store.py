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
    assert np.array_equal(store.open_prepared(prepared.id).x, prepared.x)


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
    assert touched.folder == after.folder


def test_a_file_that_only_the_source_knew_of_is_watched(home: Path, tmp_path: Path) -> None:
    for index in range(20):
        Image.new("L", (2, 2), 10 * index).save(tmp_path / f"{index}.png")
    (tmp_path / "i.csv").write_text("path,label\n" + "".join(f"{i}.png,{'ab'[i % 2]}\n" for i in range(20)))

    def request() -> dict[str, Any]:
        source = {"_target_": "holdfast.data.sources.image_folder.load"}
        data = {"name": "i", "source": {**source, "index": str(tmp_path / "i.csv")}}
        return store.make_request(data, {"_target_": "holdfast.data.splits.Holdout"}, {})

    answer_request(request())
    assert store.find_prepared(request()) is not None
    Image.new("L", (2, 2), 255).save(tmp_path / "3.png")
    os.utime(tmp_path / "3.png", (1, 1))
    assert store.find_prepared(request()) is None
    (tmp_path / "3.png").unlink()
    assert store.find_prepared(request()) is None


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
    with pytest.raises(InputError, match=f"has no rows {old.vault[:12]}; next: run its data option once more"):
        store.open_prepared(old.id)
    back = prepare_mine()
    assert back.vault not in (old.vault, new.vault), "it was sealed anew once more"
    assert np.array_equal(np.sort(back.x, axis=0), np.sort(np.array(old.x), axis=0))


def test_rows_equal_to_a_declared_test_row_are_left_out(prepare_mine: Prepare) -> None:
    prepared = prepare_mine(split={"_target_": "holdfast.data.splits.Predefined"}, official=True)
    assert (prepared.num_test, prepared.num_left_out, len(prepared.x)) == (20, 1, 79)
    assert not (prepared.x == all_rows()[-1]).all(axis=1).any()


def test_damaged_rows_are_prepared_again(prepare_mine: Prepare) -> None:
    prepared = prepare_mine()
    x, digests = np.array(prepared.x), np.array(prepared.digests)
    raw = prepared.folder.parents[1] / "raw"
    for path in (prepared.folder / "x.npy", raw / "y.npy", raw / "digests.npy"):
        content = path.read_bytes()
        for damage in (content[:-4], b"", None):
            path.unlink()
            if damage is not None:
                path.write_bytes(damage)
            again = prepare_mine()
            assert (again.id, path.read_bytes()) == (prepared.id, content)
    for folder in (prepared.folder, raw):
        (folder / "meta.json").write_text("{")
        assert prepare_mine().id == prepared.id
    assert np.array_equal(prepare_mine().x, x)
    assert np.array_equal(prepare_mine().digests, digests)


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
        "data.source: my_rows.fail failed in my_rows.py, line 22 (RuntimeError: the disk is on fire); "
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


def views_of(home: Path) -> list[Path]:
    return sorted((home / "store" / "rows").glob("[!.]*/views/[!.]*"))


@pytest.mark.slow
def test_killed_at_any_moment_leaves_nothing_half_made(prepare_mine: Prepare, home: Path) -> None:
    former = prepare_mine(split={"seed": 1})
    for delay in np.linspace(0.05, 0.6, 14):
        process = start(start_new_session=True)
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        for view in views_of(home):
            assert len(store.read_view(view).x) == 80
    prepared = prepare_mine()
    assert len(prepared.x) == 80
    assert not former.folder.exists()
    assert views_of(home) == [prepared.folder]
    assert not (home / "store" / "pending").exists()


KILLED = """
import json, os, signal, sys
from holdfast.data.store import store, worker, write
from holdfast.vault import sealing
step, request = sys.argv[1], json.loads(sys.argv[2])
module, name, when = step.split()
target = globals()[module]
called = getattr(target, name)

def kill(*given, **options):
    if when == "after":
        called(*given, **options)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(target, name, kill)
worker.answer_request(request)
"""
STEPS = {
    "before anything has its name": "sealing sync_folder before",
    "once it is sealed": "worker seal after",
    "while the raw rows are written": "write _save_blocks after",
    "once the raw rows have their name": "worker write_raw after",
    "while the view is written": "write _write_view after",
    "once the view has its name": "worker write_view after",
    "once the answer stands": "worker write_atomic after",
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_killed_preparation_is_finished_by_the_next_start(
    prepare_mine: Prepare, home: Path, step: str, is_first: bool
) -> None:
    """Rows are sealed for the first time, or sealed anew."""
    old = None if is_first else prepare_mine(split={"seed": 1})
    source = {"_target_": "my_rows.load"}
    split = {"_target_": "holdfast.data.splits.Holdout"}
    request = store.make_request({"name": "mine", "source": source}, split, {})
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    command = [sys.executable, "-c", KILLED, STEPS[step], json.dumps(request)]
    killed = subprocess.run(command, env=environment, check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    former = old.vault if old is not None else ""
    sealed = {path.name for path in (home / "vaults").glob("[0-9a-f]*")} - {former}
    assert len(sealed) == (0 if step.startswith("before") else 1)
    again = prepare_mine()
    assert {again.vault} == (sealed or {again.vault})
    assert again.vault != former
    assert (len(again.x), again.num_test) == (80, 20)
    assert views_of(home) == [again.folder], "nothing of the rows that were train rows and are sealed now"
    assert list((home / "store" / "rows").rglob(".*")) == []
    assert not (home / "store" / "pending").exists()
    assert prepare_mine().id == again.id


def test_rows_of_no_vault_are_removed_where_the_sealing_was_killed(prepare_mine: Prepare, home: Path) -> None:
    source = {"_target_": "my_rows.load"}
    split = {"_target_": "holdfast.data.splits.Holdout"}
    data = {"name": "mine", "source": source}
    everything = store.prepare(data, split, {"policy": "none"})
    assert len(everything.x) == 100
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    request = json.dumps(store.make_request(data, split, {}))
    command = [sys.executable, "-c", KILLED, STEPS["once it is sealed"], request]
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL
    assert everything.folder.exists()
    prepared = prepare_mine()
    assert views_of(home) == [prepared.folder]
    without = store.prepare(data, split, {"policy": "none"})
    assert (len(without.x), without.num_left_out) == (80, 20)


def test_a_refusal_leaves_the_store_as_it_was(prepare_mine: Prepare, home: Path) -> None:
    prepared = prepare_mine()
    with pytest.raises(HoldfastError):
        prepare_mine(split={"fractions": [0.5, 0.2, 0.3]}, num_rows=2)
    assert prepare_mine().folder == prepared.folder
    assert not (home / "store" / "pending").exists()


def test_views_and_appended_rows_stand_beside_each_other(prepare_mine: Prepare, tmp_path: Path, home: Path) -> None:
    lines = [f"{i / 7},{i % 3},{i % 2}" for i in range(60)]

    def prepare(**settings: Any) -> Prepared:
        Path("t.csv").write_text("\n".join(["a,b,y", *lines]))
        source: dict[str, Any] = {"_target_": "holdfast.data.sources.table.load", "path": "t.csv", "format": "csv"}
        source["settings"] = {"target": "y", **settings}
        return store.prepare({"name": "t", "source": source}, {"_target_": "holdfast.data.splits.Holdout"}, {})

    first, second = prepare(), prepare(drop=["a"])
    assert (first.vault, first.folder.parent) == (second.vault, second.folder.parent)
    assert first.folder != second.folder
    assert np.array_equal(second.x[:, 0], first.x[:, 1])
    lines += [f"{i / 7},1,0" for i in range(60, 70)]
    more = prepare()
    assert (more.vault, len(more.x)) == (first.vault, len(first.x) + 10)
    assert more.folder.parent != first.folder.parent
    assert more.notes[-1] == f"goes on with vault {first.vault[:8]}: 12 sealed rows stay out"
    assert [store.open_prepared(prepared.id).x.shape for prepared in (first, second, more)] == [
        (48, 2),
        (48, 1),
        (58, 2),
    ]
    assert len(views_of(home)) == 3
