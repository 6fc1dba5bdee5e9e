"""The process that computes metrics of the user's own: `python -m holdfast.evaluation.own_metrics`.

It sees predictions and targets and runs a user's code, so it is confined as the predictor is, is asked for numbers
alone, and computes no other metric: those are the scorer's.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np

from holdfast.config.check import check_recorded
from holdfast.core import child
from holdfast.core.messages import Array, Header
from holdfast.ensembles.scores import score
from holdfast.evaluation.statistics.resampling import drawn_rows
from holdfast.evaluation.statistics.sampling import Sampling


def answer(header: Header, arrays: list[Array]) -> tuple[Header, Sequence[Array]]:
    """(1 + draws, metrics) values on all rows, then on rows that are drawn anew.

    Args:
        header: "config" with the nodes `metrics` and `trusted_modules`; "names", "task", "num_outputs"; how many
            "draws" there are, and their "seed".
        arrays: Targets, predictions, and the groups of the rows where there are any.
    """
    check_recorded(header["config"], ("metrics",))
    y, predictions, *groups = arrays
    sampling = Sampling(groups=groups[0] if groups else None, seed=header["seed"])
    samples = [np.arange(len(y)), *islice(drawn_rows(len(y), sampling), header["draws"])]
    options = {"task": header["task"], "num_outputs": header["num_outputs"], "target_std": 1.0}
    own, names = header["config"]["metrics"], header["names"]
    values = np.empty((len(samples), len(names)))
    for row, sample in enumerate(samples):
        measured = score(predictions[sample], y[sample], names=names, own=own, **options)
        values[row] = [measured[name] for name in names]
    return {}, [values]


if __name__ == "__main__":
    raise SystemExit(child.answer_questions(answer))
