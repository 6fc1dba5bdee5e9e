"""The process that runs a user's code on rows: `python -m holdfast.evaluation.predictor`. It never sees a target.

Rows come in, predictions of a fixed shape go out. The process is confined (`core.confined`). Where the rows are sealed,
what the code prints, and the text of an error, is withheld by the process that asks (`evaluation.processes`): a text
can carry rows, and nothing that is said here need be true.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from holdfast.core import child
from holdfast.core.messages import Array, Header
from holdfast.core.tasks import task_of

Answer = tuple[Header, Sequence[Array]]


def answer(header: Header, arrays: list[Array]) -> Answer:
    """Answer one question, which names the members of each model in "models", and how they are combined."""
    return QUESTIONS[header["ask"]](header, arrays)


def _predict(header: Header, arrays: list[Array]) -> Answer:
    """(models, n, ...) predictions of rows by each model."""
    from holdfast.training.restore import Network, load_model

    predictions = []
    for model in header["models"]:
        members = model["members"]
        modules = [
            load_model(Path(member["folder"]), member["checkpoint"], sha256=member.get("sha256")).module
            for member in members
        ]
        weights = [member["weight"] for member in members]
        network = Network(modules, weights, combine=model["combine"], temperature=model["temperature"])
        predictions.append(network.predict(arrays[0], batch_size=header["batch_size"]))
    return {}, [np.stack(predictions)]


def _log_probabilities(header: Header, arrays: list[Array]) -> Answer:
    """Log-probabilities of one model in float64, from its logits: (rows, classes), or (..., 2) of no and yes."""
    import torch
    from torch.nn import functional

    from holdfast.training.restore import load_model

    (model,), (x,), size = header["models"], arrays, header["batch_size"]
    (member,) = model["members"]
    restored = load_model(Path(member["folder"]), member["checkpoint"])
    parts = []
    with torch.inference_mode():
        for start in range(0, len(x), size):
            logits = restored.module(torch.from_numpy(np.array(x[start : start + size]))).double()
            if logits.ndim == 2 and not task_of(restored.shapes.task).is_labels:
                parts.append(functional.log_softmax(logits, dim=1))
            else:
                parts.append(torch.stack([functional.logsigmoid(-logits), functional.logsigmoid(logits)], dim=-1))
    return {}, [torch.cat(parts).numpy()]


def _statistics(header: Header, arrays: list[Array]) -> Answer:
    """Arrays that the modules of one model hold of given train statistics; "names" has the member and its name."""
    from holdfast.data.statistics import statistics_from_arrays
    from holdfast.training.restore import statistics_state

    statistics = statistics_from_arrays(dict(zip(header["names"], arrays, strict=True)) | {"kind": header["kind"]})
    state = {
        f"{index}/{name}": value
        for index, member in enumerate(header["models"][0]["members"])
        for name, value in statistics_state(Path(member["folder"]), member["checkpoint"], statistics)
    }
    return {"names": list(state)}, list(state.values())


QUESTIONS = {"predict": _predict, "log_probabilities": _log_probabilities, "statistics": _statistics}


if __name__ == "__main__":
    raise SystemExit(child.answer_questions(answer))
