"""Carries out an act again and again, and strikes each time before its next durable step.

`python steps.py kill|fill|limit seal|prepare|freeze|open HOME [RUN OTHER]` copies HOME for every step and forks.
Before its n-th call that changes the disk the child dies by SIGKILL (`kill`), finds the disk full (`fill`: HOME lies on
a small tmpfs), or may not write another byte (`limit`: RLIMIT_FSIZE), until one child gets through unharmed. After each
strike the act is done once more, by a process that is left alone, and what must hold then is asserted. Prints the
number of steps.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import itertools
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

CALLS = ("fsync", "link", "rename", "replace", "unlink", "mkdir", "rmdir")
STRUCK, DECRYPTED, PRINTED = "struck", "decrypted", "printed"
make_folder = os.mkdir
FULL = ("No space left on device", "File too large", "free some space")


def kill(home: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fill(home: Path) -> None:
    with contextlib.suppress(OSError), (home / "ballast").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(2**16))


def limit(home: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # Python ignores SIGXFSZ: a write fails with EFBIG


def strike_at(step: int, strike: Callable[[Path], None], home: Path) -> None:
    """Strike before the `step`-th call of `CALLS`."""
    count = itertools.count()

    def struck(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*values: Any, **options: Any) -> Any:
            if next(count) == step:
                mark(STRUCK)
                strike(home)
            return real(*values, **options)

        return call

    for name in CALLS:
        setattr(os, name, struck(getattr(os, name)))


def forked(work: Callable[[], None], home: Path) -> int:
    """The exit status of `work` in a process of its own: 0, or minus the signal."""
    pid = os.fork()
    if pid == 0:
        os.environ["HOLDFAST_HOME"] = str(home)
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def strike_everywhere(
    strike: Callable[[Path], None], act: Callable[[], None], check: Callable[[], None], home: Path
) -> int:
    """Strike at every step of `act`; returns how many there are."""
    from holdfast.core.errors import HoldfastError

    folder = tempfile.mkdtemp()
    for step in itertools.count():
        copy = home.with_name(f"{home.name}-{step}")
        shutil.copytree(home, copy) if home.exists() else copy.mkdir()
        os.environ["MARKS"] = os.path.join(folder, str(step))
        make_folder(os.environ["MARKS"])

        def attempt(step: int = step, copy: Path = copy) -> None:
            strike_at(step, strike, copy)
            try:
                act()
            except HoldfastError as error:
                if not any(word in str(error) for word in FULL):
                    raise

        code = forked(attempt, copy)
        assert code in (0, -signal.SIGKILL), f"step {step} ended with {code}"
        (copy / "ballast").unlink(missing_ok=True)
        assert forked(check, copy) == 0, f"after the strike at step {step}"
        shutil.rmtree(copy)
        if STRUCK not in marks():
            return step
    raise AssertionError


# --- sealing ----------------------------------------------------------------------------------------------------------


def sealing() -> None:
    """Seal another test part of rows that are sealed: the most that sealing ever does."""
    from holdfast.data.rows import ArrayRows
    from holdfast.vault import lifecycle, registry
    from holdfast.vault.known_rows import RowForms
    from holdfast.vault.registry import in_force
    from holdfast.vault.rows.identity import row_digests
    from holdfast.vault.sealing import SealRequest, seal

    random = np.random.default_rng(7)
    x, y = random.normal(size=(100, 5)).astype(np.float32), random.integers(0, 2, 100)
    digests = row_digests(x, kind="table")
    raw = ArrayRows(x, digests, "table")
    for size in (20, 10):
        with registry.locked():
            lifecycle.recover()
            former = {record["vault"]: record["num_test"] for record in in_force()}
            if size in former.values():
                continue
            seal(
                SealRequest(
                    source={"name": "points"},
                    test_rule={"size": size},
                    task="binary",
                    kind="table",
                    target="answer",
                    layout=raw.layout,
                    pieces=raw.pieces,
                    forms=RowForms(digests, y, ("no", "yes")),
                    test=np.arange(100) < size,
                    development=np.arange(100) >= size,
                    is_common=np.zeros(100, bool),
                    settings={},
                    counts={},
                    replaces=tuple(former),
                )
            )
    assert [record["num_test"] for record in in_force()] == [10]


def sealing_is_mended() -> None:
    from holdfast.core import places
    from holdfast.vault import registry
    from holdfast.vault.keys import key_files
    from holdfast.vault.verify import verify_home

    sealing()
    (current,) = (record["vault"] for record in registry.in_force())
    assert verify_home() == []
    left = {path.name for path in places.keys().iterdir()}
    assert left == {"fingerprint.key", *(key_files.key_path(current, part).name for part in key_files.PARTS)}
    assert len(list(places.vaults().glob("*/x.sealed"))) == 1
    assert not list(places.vaults().glob(".*"))


# --- preparing --------------------------------------------------------------------------------------------------------


def write_table() -> None:
    """A mixed table in the working folder."""
    sizes = np.random.default_rng(7).normal(size=200).tolist()
    lines = [f"{size},{'abcd'[row % 4]}{row % 7},{('no', 'yes')[row % 2]}" for row, size in enumerate(sizes)]
    Path("table.csv").write_text("\n".join(["size,word,answer", *lines]))


def preparing() -> None:
    """Prepare rows, then the same rows with another test part."""
    from holdfast.data.store import store, worker

    source = {"_target_": "holdfast.data.sources.table.load", "path": "table.csv", "format": "csv"}
    source |= {"settings": {"target": "answer"}}
    for seed in (1, 0):
        split = {"_target_": "holdfast.data.splits.Holdout", "seed": seed}
        request = store.make_request({"name": "table", "source": source}, split, {})
        worker.answer_request(request)
        prepared = store.find_prepared(request)
        assert prepared is not None
        assert (len(prepared.x), prepared.num_test) == (160, 40)


def preparing_is_mended() -> None:
    from holdfast.core import places
    from holdfast.data.store import store
    from holdfast.vault import registry
    from holdfast.vault.verify import verify_home

    rows = places.store() / "rows"
    for view in rows.glob("[!.]*/views/[!.]*"):
        prepared = store.read_view(view)
        assert (len(prepared.x), prepared.num_test) == (160, 40)
    preparing()
    (current,) = (record["vault"] for record in registry.in_force())
    left = {path.relative_to(rows).parts[0] for path in rows.rglob("*") if path.is_file()}
    assert {store.vault_of(rows / name) for name in left} == {current}
    (view,) = rows.glob("*/views/*")
    assert {path.name for path in places.store().iterdir()} - {"decided"} == {".lock", "requests", "rows"}
    assert not list(rows.rglob(".*"))
    assert verify_home([("store", store.read_view(view).digests)]) == []


# --- freezing and opening ---------------------------------------------------------------------------------------------


class ChildInside:
    """The work of a child without its process, so that a fork dies as a whole."""

    not_confined: tuple[str, ...] = ()

    def __init__(self, module: str, **_: Any) -> None:
        self.answer = importlib.import_module(module).answer

    def __enter__(self) -> ChildInside:
        return self

    def __exit__(self, *_: object) -> None: ...

    def close(self) -> None: ...

    def withhold(self) -> None:
        mark(DECRYPTED)

    def ask(self, header: dict[str, Any], *arrays: Any) -> Any:
        questions = [np.concatenate([*array.blocks]) if hasattr(array, "blocks") else array for array in arrays]
        answer, answers = self.answer(json.loads(json.dumps(header)), questions)
        return json.loads(json.dumps(answer)), list(answers)


def mark(word: str) -> None:
    """A folder: it can be made when no byte can be written."""
    with contextlib.suppress(FileExistsError):
        make_folder(os.path.join(os.environ["MARKS"], word))


def marks() -> list[str]:
    return os.listdir(os.environ["MARKS"])


def prepare_evaluation() -> None:
    """Import what is heavy once, before the forks."""
    import torch

    from holdfast.evaluation import predictor, processes, scorer
    from holdfast.training import restore

    del predictor, scorer, restore
    torch.set_num_threads(1)
    processes.Child = ChildInside  # type: ignore[assignment, misc]


def freeze(run: str) -> str:
    from holdfast.evaluation.freeze.freezing import freeze_runs

    return freeze_runs([Path(run)]).selection


def freezing(run: str) -> None:
    freeze(run)


def freezing_is_mended(run: str) -> None:
    from holdfast.vault import registry
    from holdfast.vault.verify import verify_home

    selection = freeze(run)
    (record,) = registry.records()
    assert [e.selection for e in registry.read_ledger(record["vault"]) if e.type == "freeze"] == [selection]
    assert verify_home() == []


def opening(selection: str) -> None:
    from holdfast.evaluation.opening.final import open_vault

    open_vault(selection)
    mark(PRINTED)


def opening_is_mended(selection: str, other: str) -> None:
    from holdfast.core.errors import VaultRefused
    from holdfast.evaluation.opening.final import open_vault
    from holdfast.vault import registry
    from holdfast.vault.verify import verify_home

    (record,) = registry.records()
    types = [entry.type for entry in registry.read_ledger(record["vault"])]
    assert DECRYPTED not in marks() or "open.intent" in types
    assert PRINTED not in marks() or "open.result" in types
    if "open.intent" in types:
        try:
            open_vault(other)
        except VaultRefused:
            pass
        else:
            raise AssertionError("another selection was opened")
    assert open_vault(selection)[0].opening == 1
    types = [entry.type for entry in registry.read_ledger(record["vault"])]
    assert [type for type in types if type.startswith("open.")] == ["open.intent", "open.predicted", "open.result"]
    assert verify_home() == []


def main(how: str, act: str, home: str, *runs: str) -> None:
    strike = {"kill": kill, "fill": fill, "limit": limit}[how]
    home, runs = os.path.abspath(home), tuple(map(os.path.abspath, runs))
    os.chdir(tempfile.mkdtemp())  # a project's lock would notice that its home was copied, and struck
    if act in ("seal", "prepare"):
        import holdfast.data.store.worker
        import holdfast.vault.verify  # noqa: F401

        write_table()
        acts = {"seal": (sealing, sealing_is_mended), "prepare": (preparing, preparing_is_mended)}
        print(strike_everywhere(strike, *acts[act], Path(home)))
        return
    # The lock of the runs' project would notice as well.
    runs = tuple(shutil.copytree(run, os.path.join(tempfile.mkdtemp(), os.path.basename(run))) for run in runs)
    os.environ["HOLDFAST_HOME"] = home
    prepare_evaluation()
    if act == "freeze":
        warm = Path(home).with_name("warm")
        shutil.copytree(home, warm)
        os.environ["HOLDFAST_HOME"] = str(warm)
        freeze(runs[0])
        print(strike_everywhere(strike, lambda: freezing(runs[0]), lambda: freezing_is_mended(runs[0]), Path(home)))
        return
    first, other = map(freeze, runs)
    check = functools.partial(opening_is_mended, first, other)
    print(strike_everywhere(strike, lambda: opening(first), check, Path(home)))


if __name__ == "__main__":
    main(*sys.argv[1:])
