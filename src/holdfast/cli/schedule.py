"""`holdfast schedule preview`: a schedule as a table and a plot, without data and training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from holdfast.core.errors import InputError
from holdfast.experiment.compose import compose


def preview(overrides: Sequence[str], steps_per_epoch: int, as_json: bool) -> None:
    """Print the rates that the overrides' schedule gives.

    Args:
        overrides: As for `train.py`: `schedule=cosine lr=0.1 max_epochs=20`.
        steps_per_epoch: The data is not looked at, so this is not known.
        as_json: Whether a script reads the answer.

    Raises:
        InputError: An override is wrong, or the schedule cannot be drawn.
    """
    if steps_per_epoch < 1:
        raise InputError("--steps-per-epoch", f"is {steps_per_epoch}", allowed="whole numbers from 1")
    config = compose(overrides)
    from hydra.utils import instantiate

    from holdfast.schedules.preview import plot
    from holdfast.schedules.preview import preview as move

    drawn = move(
        instantiate(config.schedule, _convert_="all"),
        lr=config.optimizer.get("lr", config.lr),
        momentum=config.optimizer.get("momentum") or 0.0,
        max_epochs=config.max_epochs,
        steps_per_epoch=steps_per_epoch,
    )
    epochs = [asdict(epoch) for epoch in drawn.epochs]
    if as_json:
        print(json.dumps({"steps_per_epoch": steps_per_epoch, "epochs": epochs, "rates": drawn.rates}))
        return
    print("\n".join(plot(drawn.rates)))
    print(f"{'':10} {config.max_epochs} epochs of {steps_per_epoch} steps (--steps-per-epoch)\n")
    _print_table(epochs)


def _print_table(epochs: list[dict[str, float | None]]) -> None:
    has_momentum = epochs[0]["momentum"] is not None
    print("epoch   first lr    last lr" + ("   momentum" if has_momentum else ""))
    for row in epochs:
        end = f" {row['momentum']:10.4g}" if has_momentum else ""
        print(f"{row['epoch']:5} {row['first_lr']:10.4g} {row['last_lr']:10.4g}{end}")
