from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from holdfast.core.seeding import kept_random_state, restore_random_states
from holdfast.training.fit import Built, build, build_trainer, quiet_lightning
from holdfast.training.stacking.stack import Stack
from small_runs import make_config, make_data

NUM_MEMBERS = 3
MODELS = {
    "mlp": [],
    "batch norm and dropout": ["model.dropout=0.3"],
    "layer norm": ["model.norm=layer"],
    "group norm": ["model.norm=group", "model.activation=gelu"],
    "cnn": ["model=cnn"],
    "cnn with dropout": ["model=cnn", "model.dropout=0.3"],
    "cnn group norm": ["model=cnn", "model.norm=group"],
    "resnet": ["model=resnet", "model.depth=8", "model.width=4"],
    "resnet 9": ["model=resnet", "model.depth=9", "model.width=4"],
    "tabular_mlp": ["model=tabular_mlp"],
    "linear": ["model=linear"],
}
TRAINING = {
    "sgd": ["optimizer=sgd"],
    "momentum and clipping": ["optimizer=momentum", "trainer.gradient_clip_val=0.5"],
    "clipped values": ["trainer.gradient_clip_val=0.01", "trainer.gradient_clip_algorithm=value"],
    "adam": ["optimizer=adam"],
    "adagrad": ["optimizer=adagrad"],
    "lion": ["optimizer=lion"],
    "l1": ["regularization=l1_l2"],
    "cosine": ["schedule=cosine", "schedule.warmup=3steps"],
    "step": ["schedule=step", "schedule.every_epochs=1"],
}


@pytest.fixture(autouse=True)
def _quiet() -> None:
    quiet_lightning()


def built(tmp_path: Path, *overrides: str, task: str = "multiclass", **values: Any) -> Built:
    """What `fit` would train, with a seed of its own for everything."""
    config = make_config(*overrides, **values)
    data = make_data(task, image=any(word in ("model=cnn", "model=resnet") for word in overrides), seed=config.seed)
    with kept_random_state():
        return build(config, data, build_trainer(config, tmp_path))


def members(tmp_path: Path, *overrides: str, **values: Any) -> list[Built]:
    precision = [] if any("precision" in word for word in overrides) else ["trainer.precision=64-true"]
    made = [built(tmp_path, *overrides, *precision, seed=seed, **values) for seed in range(NUM_MEMBERS)]
    for each in made:
        if "trainer.precision=64-true" in precision:
            each.module.double()
    return made


def alone(member: Built, num_epochs: int) -> tuple[list[float], dict[str, Tensor]]:
    """The losses of all steps and the weights in the end, by a plain loop."""
    module, config = member.module, member.config
    loader = member.datamodule.train_dataloader()
    optimizer = module.make_optimizer(module.model)
    total = config.max_epochs * len(loader)
    schedule = module.make_schedule(optimizer, total_steps=total, steps_per_epoch=len(loader))
    losses = []
    with kept_random_state():
        restore_random_states(member.random)
        for epoch in range(num_epochs):
            loader.sampler.set_epoch(epoch)
            for index, batch in enumerate(loader):
                module._place = None
                optimizer.zero_grad()
                loss = module.training_step(batch, index)
                loss.backward()
                if limit := config.trainer.gradient_clip_val:
                    if config.trainer.gradient_clip_algorithm == "value":
                        nn.utils.clip_grad_value_(module.model.parameters(), limit)
                    else:
                        nn.utils.clip_grad_norm_(module.model.parameters(), limit)
                optimizer.step()
                losses.append(loss.item())
                if schedule["interval"] == "step":
                    schedule["scheduler"].step()
            if schedule["interval"] == "epoch":
                schedule["scheduler"].step()
    return losses, {name: value.detach() for name, value in module.model.state_dict().items()}


def stacked(made: list[Built], num_epochs: int, *, is_interleaved: bool) -> tuple[list[list[float]], Stack]:
    stack = Stack(made, is_interleaved=is_interleaved)
    losses = []
    with kept_random_state():
        for epoch in range(num_epochs):
            losses += [stack.step(batch)[0].tolist() for batch in stack.train_batches(epoch)]
            stack.end_epoch([0.0] * NUM_MEMBERS)
    return losses, stack


def assert_same_weights(stack: Stack, member: int, expected: dict[str, Tensor], tolerance: float) -> None:
    own = stack.weights.of(member)
    assert set(own) >= {name for name, _ in stack.members[member].module.model.named_parameters()}
    for name, value in expected.items():
        torch.testing.assert_close(own[name], value, atol=tolerance, rtol=0.0)


@pytest.mark.parametrize("is_interleaved", [False, True], ids=["member by member", "interleaved"])
@pytest.mark.parametrize("name", MODELS)
def test_weights_of_every_architecture_are_those_of_single_runs(
    tmp_path: Path, name: str, is_interleaved: bool
) -> None:
    made = members(tmp_path, *MODELS[name], max_epochs=7)
    losses, stack = stacked(made, 7, is_interleaved=is_interleaved)
    for index, member in enumerate(made):
        single, weights = alone(member, 7)
        assert len(single) == 56
        assert [row[index] for row in losses] == pytest.approx(single, abs=1e-8)
        assert_same_weights(stack, index, weights, 1e-6)


@pytest.mark.parametrize("name", TRAINING)
def test_weights_by_every_way_to_train_are_those_of_single_runs(tmp_path: Path, name: str) -> None:
    made = members(tmp_path, *TRAINING[name], max_epochs=7)
    _, stack = stacked(made, 7, is_interleaved=False)
    for index, member in enumerate(made):
        assert_same_weights(stack, index, alone(member, 7)[1], 1e-6)


@pytest.mark.parametrize("task", ["binary", "multilabel", "regression"])
def test_every_task(tmp_path: Path, task: str) -> None:
    made = members(tmp_path, max_epochs=7, task=task)
    _, stack = stacked(made, 7, is_interleaved=True)
    for index, member in enumerate(made):
        assert_same_weights(stack, index, alone(member, 7)[1], 1e-6)
