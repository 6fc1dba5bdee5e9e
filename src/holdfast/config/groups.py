"""The makings of a config: where its options lie, what the targets of each group may be, and the run scalars."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PRIMARY = "holdfast"
NO_PART_OF_A_RUN = ("hydra", "sweep")  # nodes of the primary config
_PACKAGE = Path(__file__).resolve().parents[1]
_ROOT = _PACKAGE if (_PACKAGE / "conf").is_dir() else _PACKAGE.parents[1]
CONF = _ROOT / "conf"
RECIPES = _ROOT / "recipes"


@dataclass(frozen=True)
class Group:
    """The targets that a group may have, and how they are called."""

    # modules that a target may come from: a library's with all below them, our packages with their public names
    trusted: tuple[str, ...] = ()
    # arguments that Holdfast passes to a target that names them; a config must not set them
    supplied: tuple[str, ...] = ()
    fills: tuple[str, ...] = ()  # arguments that Holdfast passes where the config does not set them
    by_place: int = 0  # how many arguments Holdfast passes first, whatever their names
    calls: int = 0  # how many arguments each call of the part has. A function that needs them is the part itself
    is_optional: bool = False  # whether an option may be empty
    free: bool = False  # keys beside `_target_` that are not arguments: an option that holds targets in its values
    required: tuple[str, ...] = ()  # keys that an option of a free group must have
    only_entries: bool = False  # every value of an option is a target
    own: tuple[str, ...] = ()  # keys beside the arguments that Holdfast reads itself


GROUPS: dict[str, Group] = {
    "stage": Group(("holdfast.stages",), ("experiment", "record")),
    "data": Group(("holdfast.sources",), free=True, required=("name", "resident", "num_workers", "source")),
    "split": Group(("holdfast.splits",)),
    "transform": Group(("holdfast.transforms",), by_place=1),
    "augment": Group(("kornia.augmentation",), ("size",), calls=1, is_optional=True, free=True, only_entries=True),
    "mixing": Group(("holdfast.mixing",), by_place=1, is_optional=True),
    "tta": Group(("holdfast.tta",), by_place=1, is_optional=True),
    "averaging": Group(("holdfast.averaging",), is_optional=True),
    "model": Group(
        ("holdfast.models", "torch.nn"), ("input_shape", "num_outputs", "category_sizes"), own=("pretrained",)
    ),
    "init": Group(("holdfast.init", "torch.nn.init"), by_place=1, is_optional=True),
    "loss": Group(("holdfast.losses", "torch.nn"), ("task",), calls=2),
    "metrics": Group(
        ("torchmetrics",),
        ("task", "num_classes", "num_labels", "validate_args"),
        is_optional=True,
        free=True,
        only_entries=True,
        own=("mode",),
    ),
    "regularization": Group(("holdfast.regularization",), by_place=1, is_optional=True),
    "optimizer": Group(("torch.optim", "holdfast.optimizers"), fills=("lr",), by_place=1),
    "schedule": Group(
        ("holdfast.schedules", "torch.optim.lr_scheduler"),
        ("total_steps", "steps_per_epoch", "monitor", "mode"),
        by_place=1,
        own=("interval",),
    ),
    "finetune": Group(("holdfast.finetune",), is_optional=True),
    "rates": Group(("holdfast.rates",), by_place=1),
    "early_stopping": Group(("holdfast.early_stopping",), ("mode",), by_place=1, is_optional=True),
    "ensemble": Group(("holdfast.ensembles",), is_optional=True),
    "vault": Group(free=True),
    "check": Group(("holdfast.checks",), by_place=1, is_optional=True, own=("on_fail",)),
    "watch": Group(("holdfast.watch",), is_optional=True),
    "trainer": Group(
        ("pytorch_lightning.Trainer", "pytorch_lightning.trainer", "pytorch_lightning.strategies")
        + ("pytorch_lightning.profilers",),
        ("max_epochs", "callbacks", "plugins", "default_root_dir", "logger", "enable_checkpointing")
        + ("enable_progress_bar", "enable_model_summary", "num_sanity_val_steps"),
    ),
    "callbacks": Group(("pytorch_lightning.callbacks",), is_optional=True, free=True, only_entries=True),
    "logger": Group(("pytorch_lightning.loggers",), ("save_dir",), is_optional=True, free=True, only_entries=True),
    "debug": Group(is_optional=True, free=True),
    "paths": Group(free=True, required=("output",)),
}


@dataclass(frozen=True)
class Scalar:
    """The values that one key of the config may have; `allowed` says them in words, for the message."""

    allowed: str
    accepts: Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_list(value: Any, accepts: Callable[[Any], bool]) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(map(accepts, value))


def _is_count(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _count(least: int) -> Scalar:
    return Scalar(f"a whole number, {least} or more", lambda value: _is_count(value, least))


def _one_of(*words: str) -> Scalar:
    return Scalar(", ".join(words), lambda value: value in words)


YES_OR_NO = Scalar("true, false", lambda value: isinstance(value, bool))
SCALARS: dict[str, Scalar] = {
    "lr": Scalar("a positive number, or auto", lambda value: value == "auto" or (_is_number(value) and value > 0)),
    "seed": Scalar("a whole number from 0 to 4294967295", lambda value: _is_count(value, 0) and value < 2**32),
    "max_epochs": _count(1),
    "batch_size": Scalar("a whole number, 1 or more, or full", lambda value: value == "full" or _is_count(value, 1)),
    "deterministic": YES_OR_NO,
    "threads": Scalar("auto, or a whole number from 1", lambda value: value == "auto" or _is_count(value, 1)),
    "compile": YES_OR_NO,
    "monitor": Scalar("the name of a val metric, such as val/loss", _is_text),
    "mode": _one_of("auto", "min", "max"),
    "resume": Scalar("the folder of a run or a sweep", lambda value: value is None or _is_text(value)),
    "trusted_modules": Scalar("a list of module names", lambda value: _is_list(value, _is_text)),
}

# The node of the primary config that a sweep reads and no job sees.
SWEEP: dict[str, Scalar] = {
    "sweep.trials": Scalar("a whole number, 1 or more", lambda value: value is None or _is_count(value, 1)),
    "sweep.add": _count(0),
    "sweep.seeds": _count(1),
    "sweep.on_failure": _one_of("continue", "stop"),
    "sweep.dry_run": YES_OR_NO,
    "sweep.storage": Scalar(
        "null, or the URL of a database, such as sqlite:////DIR/study.db",
        lambda value: value is None or (isinstance(value, str) and "://" in value),
    ),
}

# Values that are no argument of a target, and so have no annotation to be checked by.
VALUES: dict[str, dict[str, Scalar]] = {
    "data": {
        "resident": Scalar("auto, true, false", lambda value: value == "auto" or isinstance(value, bool)),
        "num_workers": _count(0),
        "subset": Scalar(
            "a share of the train rows, above 0 and up to 1, as in 0.1, or a count, as in 500",
            lambda value: value is None or _is_count(value, 1) or (isinstance(value, float) and 0 < value <= 1),
        ),
        "sampling": Scalar("balanced, null", lambda value: value in ("balanced", None)),
    },
    "ensemble": {
        "size": Scalar("a whole number, 2 or more", lambda value: value is None or _is_count(value, 2)),
        "stack": YES_OR_NO,
        "runs": Scalar(
            "the folder of a sweep or of runs, or a list of runs",
            lambda value: isinstance(value, str) or _is_list(value, lambda run: isinstance(run, str)),
        ),
        "combine": _one_of("probabilities", "logits"),
        "weights": Scalar(
            "equal, greedy, a list of numbers",
            lambda value: value in ("equal", "greedy") or _is_list(value, _is_number),
        ),
        "temperature": Scalar(
            "fit, a number above 0", lambda value: value == "fit" or (_is_number(value) and value > 0)
        ),
    },
    "schedule": {"interval": _one_of("epoch", "step")},
    "check": {"on_fail": _one_of("report", "stop")},
}
