"""`holdfast check ...`: the pre-flight checks of an experiment; trains nothing."""

from __future__ import annotations

import contextlib
import io
import json

from holdfast.cli.arguments import Json, Overrides
from holdfast.config.resolve import import_from_here
from holdfast.core.errors import RunFailed
from holdfast.core.run_record import read_run


def check(overrides: Overrides = None, as_json: Json = False) -> None:
    """Check an experiment before it is trained: gradients, common mistakes, and more; trains nothing.

    check=gradient chooses one check. With --json the verdicts are the answer, whatever they are.
    """
    from holdfast.experiment.experiment import Experiment

    import_from_here()
    experiment = Experiment.compose([*(overrides or []), "stage=check"])
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
