"""`ensemble=seeds`: models that differ in nothing but the seed, and the mean of what they predict.

Each member is a whole run in `members/<n>/` of the ensemble's folder. An ensemble that goes on trains what is missing.
"""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from holdfast.core.advice import setting
from holdfast.core.errors import InputError, RunFailed
from holdfast.core.run_record import FILE_NAME, RunRecord, read_run
from holdfast.ensembles.members import Ensemble, judge

FOLDER = "members"
MOST_SEED = 2**32 - 1


def check_seeds(config: DictConfig) -> None:
    """Refuse members that would have no seed.

    Raises:
        InputError: The last one is beyond the greatest seed.
    """
    last = config.seed + config.ensemble.size - 1
    if last > MOST_SEED:
        raise InputError(
            "ensemble.size", f"is {config.ensemble.size}: the last seed would be {last}", f"up to {MOST_SEED}"
        )


def seeds(*, experiment: Ensemble, record: RunRecord, size: int = 5, stack: bool = True) -> None:
    """Train the members that are not there yet, average them on the val rows, and write both into the record.

    Same model, different initialisations (CS231n, "Model ensembles"; Lakshminarayanan et al. 2017, "Deep ensembles").

    Args:
        experiment: What each member trains, but for the seed.
        record: Of the ensemble's own run.
        size: Members; the first has the seed of the experiment, the next one that plus 1.
        stack: Whether they are trained together where that is possible and faster.

    Raises:
        RunFailed: A member failed.
        Interrupted: A signal came; the ensemble can go on.
    """
    from holdfast.training.stacking import train

    folders = [Path(FOLDER) / str(number) for number in range(size)]
    missing = [
        experiment.member(record.folder / folder, experiment.config.seed + number)
        for number, folder in enumerate(folders)
        if not _is_completed(record.folder / folder)
    ]
    for together in [missing] if stack else [[member] for member in missing]:
        train(together)
    failed = [folder for folder in folders if not _is_completed(record.folder / folder)]
    if failed:
        reason = read_run(record.folder / failed[0])["stop_reason"]
        problem = f"{len(failed)} of {size} failed; {failed[0]}: {reason}"
        raise RunFailed("members", problem, next=f"{setting('resume', record.folder)} trains them again")
    judge(record, folders, [1.0 / size] * size)
    record.update(stop_reason=f"trained and averaged {size} runs")


def _is_completed(folder: Path) -> bool:
    return (folder / FILE_NAME).exists() and read_run(folder)["status"] == "completed"
