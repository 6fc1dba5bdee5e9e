"""Options that are right each on its own and do not go together; told before training starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from holdfast.core.errors import Problem, raise_problems
from holdfast.training.build import clips_mixed, reconstructs

LBFGS = "torch.optim.LBFGS"


def check_combinations(config: Mapping[str, Any]) -> None:
    """Refuse what Lightning or an optimizer would refuse late, or would do wrong."""
    raise_problems([*_clipping(config), *_lbfgs(config), *_reconstruction(config)])


def cautions(config: Mapping[str, Any], num_train: int) -> Iterator[str]:
    """Warn of settings that go together and may not be meant."""
    size = config["batch_size"]
    if isinstance(size, int) and size > num_train:
        yield f"batch_size is {size}, and there are {num_train} train rows: every step takes all of them"
    if config["optimizer"].get("_target_") == LBFGS and size != "full":
        yield f"batch_size is {size}, and lbfgs learns the curvature of one loss: batch_size=full"
    if config["data"].get("sampling") == "balanced" and config["loss"].get("class_weights") == "balanced":
        yield "data.sampling and loss.class_weights are both balanced: rare classes count twice over; one is enough"


def _clipping(config: Mapping[str, Any]) -> Iterator[Problem]:
    """Lightning must take the loss scale out of the gradients before it clips them; a fused kernel does it itself."""
    if (most := config["trainer"].get("gradient_clip_val")) is not None and most < 0:
        yield Problem("trainer.gradient_clip_val", f"is {most}", "a positive number; null or 0: gradients as they are")
    if config["optimizer"].get("fused") and clips_mixed(config["trainer"]):
        problem = "is true, and gradients are clipped in mixed precision, which a fused kernel does not allow"
        yield Problem("optimizer.fused", problem, "null, false")


def _reconstruction(config: Mapping[str, Any]) -> Iterator[Problem]:
    if reconstructs(config) and config.get("mixing"):
        yield Problem("mixing", "mixes targets, and loss=reconstruction has none", next="mixing=none")


def _lbfgs(config: Mapping[str, Any]) -> Iterator[Problem]:
    """L-BFGS asks for loss and gradient several times a step: they must be those of the same function."""
    if config["optimizer"].get("_target_") != LBFGS:
        return
    trainer, options = config["trainer"], config["optimizer"]
    for name in ("max_iter", "max_eval", "history_size"):
        if (count := options.get(name)) is not None and count < 1:
            yield Problem(f"optimizer.{name}", f"is {count}", "whole numbers from 1")
    if options.get("line_search_fn") not in (None, "strong_wolfe"):
        yield Problem("optimizer.line_search_fn", f"is '{options['line_search_fn']}'", "strong_wolfe, null")
    if trainer.get("accumulate_grad_batches", 1) != 1:
        problem = "lbfgs takes several looks at one batch, and sees only the last of those that are accumulated"
        yield Problem("trainer.accumulate_grad_batches", problem, "1", "a larger batch_size, or batch_size=full")
    if trainer.get("gradient_clip_val"):
        yield Problem("trainer.gradient_clip_val", "lbfgs needs gradients as they are", "null")
    if config.get("mixing"):
        yield Problem("mixing", "mixes anew at each of lbfgs's looks at a batch", next="mixing=none")
    if str(trainer.get("precision")) == "16-mixed":
        yield Problem("trainer.precision", "lbfgs has no step with scaled losses", "32-true, 64-true, bf16-mixed")
