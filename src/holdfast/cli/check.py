"""`holdfast check ...`: the pre-flight checks of an experiment; trains nothing."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Sequence

from holdfast.config.resolve import look_here_last
from holdfast.core.errors import RunFailed
from holdfast.core.run_record import read_run


def check(overrides: Sequence[str], as_json: bool) -> None:
    """Run `stage=check` with these overrides.

    Args:
        overrides: As for `train.py`.
        as_json: Whether a script reads the answer: the verdicts, whatever they are.

    Raises:
        InputError: An override is wrong, or the parts do not fit.
        RunFailed: A check fails.
    """
    from holdfast.experiment.experiment import Experiment

    look_here_last()
    experiment = Experiment.compose([*overrides, "stage=check"])
    experiment.check()
    with contextlib.redirect_stdout(io.StringIO()) if as_json else contextlib.nullcontext():
        try:
            experiment.run()
        except RunFailed:
            if not as_json or not read_run(experiment.folder)["checks"]:
                raise
    if as_json:
        verdicts = read_run(experiment.folder)["checks"]
        print(json.dumps({"run": str(experiment.folder), "checks": verdicts}))
        if any(verdict["verdict"] == "fail" for verdict in verdicts):
            raise SystemExit(RunFailed.exit_code)
