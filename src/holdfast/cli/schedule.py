"""`holdfast schedule preview`: a schedule as a table and a plot, without data and training."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from holdfast.cli.arguments import Json, Overrides
from holdfast.config.resolve import import_from_here
from holdfast.core.errors import require


def preview(
    overrides: Overrides = None,
    steps_per_epoch: Annotated[int, typer.Option(help="Optimizer steps of an epoch: train rows / batch_size.")] = 100,
    as_json: Json = False,
) -> None:
    """Draw a schedule as a table and a plot, without training."""
    require(steps_per_epoch >= 1, "--steps-per-epoch", steps_per_epoch, "whole numbers from 1")
    import_from_here()
    from holdfast.experiment.compose import compose

    config = compose(overrides or [])
    from holdfast.schedules.preview import plot
    from holdfast.schedules.preview import preview as move
    from holdfast.training.build import build_schedule

    drawn = move(
        build_schedule(config),
        lr=config.optimizer.get("lr", config.lr),
        momentum=config.optimizer.get("momentum") or 0.0,
        max_epochs=config.max_epochs,
        steps_per_epoch=steps_per_epoch,
    )
    if as_json:
        print(json.dumps({"steps_per_epoch": steps_per_epoch, "epochs": drawn.epochs, "rates": drawn.rates}))
        return
    print("\n".join(plot(drawn.rates)))
    print(f"{'':10} {config.max_epochs} epochs of {steps_per_epoch} steps (--steps-per-epoch)\n")
    _print_table(drawn.epochs)


def _print_table(epochs: list[dict[str, Any]]) -> None:
    has_momentum = epochs[0]["momentum"] is not None
    print("epoch   first lr    last lr" + ("   momentum" if has_momentum else ""))
    for row in epochs:
        end = f" {row['momentum']:10.4g}" if has_momentum else ""
        print(f"{row['epoch']:5} {row['first_lr']:10.4g} {row['last_lr']:10.4g}{end}")
