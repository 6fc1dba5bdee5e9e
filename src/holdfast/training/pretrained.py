"""The weights of another run to start from: `model.pretrained`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from holdfast.core.errors import InputError, Problem, raise_problems
from holdfast.core.files import sha256_file
from holdfast.core.run_record import FILE_NAME, read_run
from holdfast.models.head import head_names
from holdfast.training.checkpoints import FOLDER, LAST, STATE, read_checkpoint

WHERE = "model.pretrained"
MAX_TOLD = 3


def load_pretrained(model: nn.Module, given: str) -> list[dict[str, Any]]:
    """Copy the weights of another run into `model`; a head of another number of outputs stays as it was initialised.

    The statistics of its transform are not taken over: they are those of this run's train rows.

    `given` is a run's folder, for its best checkpoint, or a checkpoint in one.

    Returns:
        The field `pretrained` of the run record: where the weights come from, the nearest run first.

    Raises:
        InputError: There is no such run, or its body has another shape (both are named).
    """
    folder, path = _find(Path(given).expanduser())
    record, content = read_run(folder), read_checkpoint(path)
    state, prefix = content["state_dict"], "model."
    weights = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    own, head = model.state_dict(), head_names(model)
    anew = sorted(name for name in head if name not in weights or weights[name].shape != own[name].shape)
    if anew:  # a bias alone does not fit other weights
        anew = sorted(head)
    raise_problems(_differences(own, weights, head, str(path)))
    model.load_state_dict({**own, **{name: value for name, value in weights.items() if name not in head or not anew}})
    data = content[STATE]["data"]  # run.json can be edited
    entry = {
        "run": record["id"],
        "checkpoint": str(path.relative_to(folder)),
        "sha256": sha256_file(path),
        "vault": data["vault"],
        "data": data["name"],
        "rows": data["rows"],
        "loss": record["config"]["loss"]["_target_"],
        "initialised_anew": anew,
    }
    return [entry, *content[STATE]["pretrained"]]


def describe_pretraining(pretrained: list[dict[str, Any]]) -> str:
    """One line about where the weights come from."""
    first = pretrained[0]
    anew = f"; {', '.join(first['initialised_anew'])} initialised anew" if first["initialised_anew"] else ""
    return f"pretrained on {first['data']} in run {first['run']} ({first['checkpoint']}){anew}"


def _find(given: Path) -> tuple[Path, Path]:
    """The run's folder and the checkpoint."""
    if given.is_file():
        folder = given.absolute().parent.parent
        if given.absolute().parent.name != FOLDER or not (folder / FILE_NAME).is_file():
            problem = f"{given} does not lie in the folder of a run, which tells what it was trained on"
            raise InputError(WHERE, problem, allowed=f"RUN, or RUN/{FOLDER}/NAME.ckpt")
        return folder, given.absolute()
    if not given.is_dir():
        raise InputError(WHERE, f"there is no run or checkpoint {given}", next="`holdfast runs outputs` lists the runs")
    record = read_run(given)
    if record["kind"] != "fit" or not record["data"]:
        raise InputError(WHERE, f"{given} trained nothing", allowed="a run that trained one model")
    return given, given / (record["best"]["checkpoint"] if record["best"] else f"{FOLDER}/{LAST}")


def _differences(
    own: Mapping[str, Tensor], weights: Mapping[str, Tensor], head: frozenset[str], path: str
) -> list[Problem]:
    """Parameters of the body that only one of two models has, or that have another shape."""
    problems = []
    for name in [*own, *(name for name in weights if name not in own)]:
        here, there = (_shape(part[name]) if name in part else "not there" for part in (own, weights))
        if name not in head and here != there:
            problems.append(Problem(WHERE, f"{name} is {here} in this model and {there} in {path}"))
    if len(problems) > MAX_TOLD:
        more = Problem(WHERE, f"and {len(problems) - MAX_TOLD} more differ", next="take the model options of that run")
        return [*problems[:MAX_TOLD], more]
    return problems


def _shape(value: Tensor) -> str:
    return " x ".join(map(str, value.shape)) or "one number"
