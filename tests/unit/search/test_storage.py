from __future__ import annotations

import json
import multiprocessing
import sqlite3
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from holdfast.core.errors import InputError
from holdfast.search.storage import JOURNAL, PIECE_BYTES, lock_of, open_storage, take_off_half_a_line


def study_in(folder: Path) -> optuna.Study:
    storage = open_storage(folder, None, lock_of(folder))
    return optuna.create_study(storage=storage, study_name="s", load_if_exists=True)


@pytest.mark.parametrize("torn", [b"{", b'{"op_code": 4, "worker_id": "a"}', b"\0" * 100, b"x" * (2 * PIECE_BYTES)])
def test_half_a_line_is_taken_off_before_anything_is_appended(tmp_path: Path, torn: bytes) -> None:
    study = study_in(tmp_path)
    study.tell(study.ask(), 1.0)
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(torn)
    for reader in (study, study_in(tmp_path)):
        trial = reader.ask()
        reader.tell(trial, 2.0)
    again = study_in(tmp_path)
    assert [trial.value for trial in again.trials] == [1.0, 2.0, 2.0]
    assert all(json.loads(line) for line in (tmp_path / JOURNAL).read_text().splitlines())


def test_the_epochs_of_a_trial_are_not_waited_for_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = study_in(tmp_path)
    synced: list[int] = []
    monkeypatch.setattr("os.fsync", synced.append)
    trial = study.ask()
    begun = len(synced)
    assert begun
    trial.report(0.5, 1)
    trial.report(0.4, 2)
    assert len(synced) == begun
    study.tell(trial, 0.4)
    assert len(synced) > begun
    (read,) = study_in(tmp_path).trials
    assert read.intermediate_values == {1: 0.5, 2: 0.4}


def test_optuna_alone_loses_the_study_by_half_a_line(tmp_path: Path) -> None:
    """The reason for our lock; when this test fails, Optuna has mended it."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    def theirs() -> optuna.Study:
        storage = JournalStorage(JournalFileBackend(str(tmp_path / JOURNAL)))
        return optuna.create_study(storage=storage, study_name="s", load_if_exists=True)

    study = theirs()
    study.ask()
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(b"{")
    with pytest.raises(json.JSONDecodeError):
        _ask_three_times(study)
    with pytest.raises(json.JSONDecodeError):
        theirs()


def _ask_three_times(study: optuna.Study) -> None:
    for _ in range(3):
        study.ask()


@pytest.mark.parametrize(
    ("content", "whole"), [(b"", b""), (b"a", b""), (b"a\n", b"a\n"), (b"a\nb", b"a\n"), (b"\n", b"\n")]
)
def test_a_file_is_cut_behind_its_last_line_end(tmp_path: Path, content: bytes, whole: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    take_off_half_a_line(path)
    assert path.read_bytes() == whole


def _tell_many(folder: str, count: int) -> None:
    study = study_in(Path(folder))
    for _ in range(count):
        study.tell(study.ask(), 0.5)


def test_processes_append_one_after_the_other(tmp_path: Path) -> None:
    study_in(tmp_path)
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_tell_many, args=(str(tmp_path), 20)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    trials = study_in(tmp_path).trials
    assert [trial.number for trial in trials] == list(range(60))
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}


def test_a_database_is_named_by_its_url(tmp_path: Path) -> None:
    path = tmp_path / "trials.db"
    study = optuna.create_study(storage=open_storage(tmp_path, f"sqlite:///{path}", lock_of(tmp_path)))
    study.tell(study.ask(), 3.0)
    assert not (tmp_path / JOURNAL).exists()
    with sqlite3.connect(path) as connection:
        assert connection.execute("select value from trial_values").fetchall() == [(3.0,)]
    connection.close()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite:////nowhere/at/all.db", "sweep.storage: sqlite:////nowhere/at/all.db cannot be read or written"),
        ("nonsense", "sweep.storage: nonsense cannot be read or written"),
        ("mysql://a/b", "sweep.storage: mysql://a/b cannot be read or written"),
    ],
)
def test_a_storage_that_cannot_be_written_is_told(tmp_path: Path, url: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        open_storage(tmp_path, url, lock_of(tmp_path))
    assert str(caught.value).startswith(words)
    assert "allowed: sqlite:///FILE, or null" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_journal_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_text("something else\nand more\n")
    words = (
        r"hydra.sweep.dir: .*journal.log cannot be read or written \(.*\); next: start the sweep anew in another folder"
    )
    with pytest.raises(InputError, match=words):
        open_storage(tmp_path, None, lock_of(tmp_path))
