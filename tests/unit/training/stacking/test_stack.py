from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from holdfast.core.seeding import kept_random_state, restore_random_states
from holdfast.training.fit import Built, build
from holdfast.training.stacking import choice, group
from holdfast.training.stacking import stack as stacking
from holdfast.training.stacking.choice import stack_if_faster
from holdfast.training.stacking.grouping import why_alone
from holdfast.training.stacking.layers import stack_network
from holdfast.training.stacking.layout import Layout, NotStackable
from holdfast.training.stacking.stack import Stack
from holdfast.training.stacking.weights import Weights
from holdfast.training.trainer import build_trainer
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


def built(tmp_path: Path, *overrides: str, task: str = "multiclass", **values: Any) -> Built:
    """What `fit` would train, with a seed of its own for everything."""
    odd = [word.partition("=")[2] for word in overrides if word.startswith("model._target_=")]
    config = make_config(*(word for word in overrides if not word.startswith("model._target_=")), **values)
    if odd:
        config.model = {"_target_": odd[0]}
    data = make_data(task, image=any(word in ("model=cnn", "model=resnet") for word in overrides), seed=config.seed)
    with kept_random_state():
        return build(config, data, build_trainer(config, tmp_path))


def members(tmp_path: Path, *overrides: str, **values: Any) -> list[Built]:
    precision = [] if any("precision" in word for word in overrides) else ["trainer.precision=64-true"]
    made = [built(tmp_path, *overrides, *precision, seed=seed, **values) for seed in range(NUM_MEMBERS)]
    for each in made:
        if each.config.trainer.precision == "64-true":
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


def stacked(made: list[Built], num_epochs: int) -> tuple[list[list[float]], Stack]:
    stack = Stack(made)
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


@pytest.mark.parametrize("name", MODELS)
def test_weights_of_every_architecture_are_those_of_single_runs(tmp_path: Path, name: str) -> None:
    made = members(tmp_path, *MODELS[name], max_epochs=7)
    losses, stack = stacked(made, 7)
    for index, member in enumerate(made):
        single, weights = alone(member, 7)
        assert len(single) == 56
        assert [row[index] for row in losses] == pytest.approx(single, abs=1e-8)
        assert_same_weights(stack, index, weights, 1e-6)


@pytest.mark.parametrize(
    ("convolution", "norm", "pool", "shape"),
    [
        (nn.Conv1d, nn.BatchNorm1d, nn.MaxPool1d, (2, 8)),
        (nn.Conv2d, nn.BatchNorm2d, nn.AvgPool2d, (2, 8, 6)),
        (nn.Conv3d, nn.BatchNorm3d, nn.MaxPool3d, (2, 4, 4, 6)),
    ],
    ids=["1d", "2d", "3d"],
)
def test_outputs_of_convolutions(convolution: Any, norm: Any, pool: Any, shape: tuple[int, ...]) -> None:
    with kept_random_state():
        torch.manual_seed(0)
        layers = [
            [convolution(2, 4, 3, padding=1, groups=2), norm(4), nn.ReLU(inplace=True), pool(2), nn.Flatten()]
            for _ in range(NUM_MEMBERS)
        ]
        models = [nn.Sequential(*each, nn.LazyLinear(3)).double() for each in layers]
        x = torch.randn(NUM_MEMBERS, 5, *shape, dtype=torch.float64)
        alone = torch.stack([model(rows) for model, rows in zip(models, x, strict=True)])
    layout = Layout(NUM_MEMBERS)
    network = stack_network(models, Weights(models), layout, [])
    torch.testing.assert_close(network(x.flatten(0, 1)), alone, atol=1e-12, rtol=0.0)


@pytest.mark.parametrize("shape", [(6,), (4, 6)])
def test_a_batch_norm_behind_a_linear_map(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    # it works on the second dimension of what the linear map gives: its numbers, or a dimension inside of the rows
    kinds = [[nn.Linear(6, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2)] for _ in range(NUM_MEMBERS)]
    models = [nn.Sequential(*each).double() for each in kinds]
    network = stack_network(models, Weights(models), Layout(NUM_MEMBERS), [])
    x = torch.randn(NUM_MEMBERS, 5, *shape, dtype=torch.float64)
    for mode in (True, False):  # what was learned of the rows is used then
        network.train(mode)
        alone = torch.stack([model.train(mode)(rows) for model, rows in zip(models, x, strict=True)])
        torch.testing.assert_close(network(x.flatten(0, 1)), alone, atol=1e-12, rtol=0.0)


@pytest.mark.parametrize("channels", [1, 2])
def test_channels_come_last_in_memory(channels: int) -> None:
    layout, x = Layout(NUM_MEMBERS), torch.arange(15.0 * channels * 24).view(15, channels, 4, 6)
    together = layout.as_channels(x)
    assert together.shape == (5, NUM_MEMBERS * channels, 4, 6)
    assert together.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(layout.from_channels(together), x)


@pytest.mark.parametrize("name", TRAINING)
def test_weights_by_every_way_to_train_are_those_of_single_runs(tmp_path: Path, name: str) -> None:
    made = members(tmp_path, *TRAINING[name], max_epochs=7)
    _, stack = stacked(made, 7)
    for index, member in enumerate(made):
        assert_same_weights(stack, index, alone(member, 7)[1], 1e-6)


@pytest.mark.parametrize("task", ["binary", "multilabel", "regression"])
def test_every_task(tmp_path: Path, task: str) -> None:
    made = members(tmp_path, max_epochs=7, task=task)
    _, stack = stacked(made, 7)
    for index, member in enumerate(made):
        assert_same_weights(stack, index, alone(member, 7)[1], 1e-6)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("name", ["Attention", "BatchScaled", "Tied", "Transposed"])
def test_models_of_a_users_own(tmp_path: Path, name: str) -> None:
    made = members(tmp_path, f"model._target_=odd_models.{name}", max_epochs=7)
    _, stack = stacked(made, 7)
    for index, member in enumerate(made):
        assert_same_weights(stack, index, alone(member, 7)[1], 1e-6)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Branching", "the members cannot be computed at once (RuntimeError: vmap: It looks like you're attempting"),
        ("Recurrent", "GRU cannot be mapped over members"),
        ("Noisy", "the members cannot be computed at once (RuntimeError: vmap: called random operation"),
    ],
)
def test_what_cannot_be_stacked_is_told(tmp_path: Path, name: str, reason: str) -> None:
    made = members(tmp_path, f"model._target_=odd_models.{name}")
    with pytest.raises(NotStackable) as caught:
        stack_if_faster(made)
    assert str(caught.value).startswith(reason)


@pytest.mark.parametrize("model", ["mlp", "cnn"])
@pytest.mark.parametrize("precision", ["32-true", "64-true"])
def test_gradients_of_the_first_step(tmp_path: Path, model: str, precision: str) -> None:
    made = members(tmp_path, f"model={model}", "model.dropout=0.3", f"trainer.precision={precision}")
    stack = Stack(made)
    stack.backward(stack.forward(next(iter(stack.train_batches(0))))[0])
    for index, member in enumerate(made):
        with kept_random_state():
            restore_random_states(member.random)
            member.module.training_step(next(iter(member.datamodule.train_dataloader())), 0).backward()
        single = {name: each.grad for name, each in member.module.model.named_parameters()}
        largest = max(float(gradient.norm()) for gradient in single.values())
        for name, gradient in single.items():
            if float(gradient.norm()) > 1e-5 * largest:
                difference = stack.weights.tensors[name].grad[index] - gradient
                assert float(difference.norm() / gradient.norm()) < (1e-5 if precision == "32-true" else 1e-12), name


def test_an_even_background_does_not_keep_networks_apart(tmp_path: Path) -> None:
    # Equal pixels in a max-pool: in single precision it is rounding that decides which one has the gradient.
    made = members(tmp_path, "model=cnn", "model.dropout=0.3", "trainer.precision=32-true")
    for member in made:
        member.datamodule.train_x[:, 2:] = 0
    stack = Stack(made)
    choice._check_gradients(stack)
    with torch.no_grad():
        stack.weights.tensors["4.weight"].neg_()
    with pytest.raises(NotStackable, match="differs from that of a single run by"):
        choice._check_gradients(stack)


def test_gradients_that_ties_may_explain_are_compared_in_double_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "TOLERANCE", 1e-30)  # as if the pixels of a background were equal
    made = members(tmp_path, "model=cnn", "model.dropout=0.3", "trainer.precision=32-true")
    choice._check_gradients(Stack(made))
    monkeypatch.setattr(choice, "MOST_BY_TIES", 0.0)
    with pytest.raises(NotStackable, match=r"differs from that of a single run by .*e-0[4-9] of its norm"):
        choice._check_gradients(Stack(made))


def test_rows_that_are_transformed_batch_by_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = members(tmp_path, max_epochs=2)
    at_once = stacked(made, 2)[0]
    monkeypatch.setattr(stacking, "MOST_TRANSFORMED", 0)
    assert stacked(made, 2)[0] == at_once


# Smooth networks: rounding may flip a kink, and does so between two numbers of threads of one and the same run, too.
@pytest.mark.parametrize("model", [["model.hidden=[32,32]"], ["model=resnet", "model.depth=8", "model.width=4"]])
def test_sgd_in_single_precision(tmp_path: Path, model: list[str]) -> None:
    smooth = [*model, "model.activation=gelu"]
    made = members(tmp_path, "optimizer=sgd", *smooth, "trainer.precision=32-true", max_epochs=7)
    _, stack = stacked(made, 7)
    for index, member in enumerate(made):
        assert_same_weights(stack, index, alone(member, 7)[1], 1e-4)


def test_a_timed_choice_leaves_everything_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The steps of three tiny members are as fast in turn now and then: the choice is timed, and then made for the test.
    timed = choice._least_seconds
    monkeypatch.setattr(choice, "_least_seconds", lambda ways, most: [0.0, *timed(ways, most=most)[1:]])
    made = members(tmp_path, "model.dropout=0.3", "model.hidden=[32,32,32]", max_epochs=2)
    before = torch.get_rng_state()
    stack = stack_if_faster(made)
    assert torch.equal(before, torch.get_rng_state())
    with kept_random_state():
        for epoch in range(2):
            for batch in stack.train_batches(epoch):
                stack.step(batch)
    for index, member in enumerate(made):
        assert_same_weights(stack, index, alone(member, 2)[1], 1e-6)


@pytest.mark.parametrize(("most", "num_steps"), [(1e9, 20), (0.0, 1)])
def test_steps_are_timed_until_they_cost_too_much(monkeypatch: pytest.MonkeyPatch, most: float, num_steps: int) -> None:
    monkeypatch.setattr(choice, "SECONDS_TIMED", 0.0)
    taken: list[tuple[str, int]] = []
    batches = [(torch.tensor(place), torch.tensor(place)) for place in range(5)]
    ways = [(lambda batch, way=way: taken.append((way, int(batch[0]))), batches) for way in ("together", "alone")]
    assert len(choice._least_seconds(ways, most=most)) == 2
    assert taken == [(way, place % 5) for place in range(num_steps) for way in ("together", "alone")]


OWN = {
    0: ["lr=0.003", "optimizer.weight_decay=0", "model.dropout=0", "optimizer.betas=[0.8,0.99]"],
    1: ["model.dropout=0.4", "loss=cross_entropy", "loss.label_smoothing=0.1", "schedule=cosine"],
    2: ["optimizer.weight_decay=0.1", "loss=cross_entropy", "regularization=l2", "regularization.strength=0.01"],
}


def test_what_may_differ(tmp_path: Path) -> None:
    made = [
        built(
            tmp_path,
            *(w for w in words if not w.startswith("lr=")),
            "trainer.precision=64-true",
            seed=seed,
            max_epochs=7 + seed,
        )
        for seed, words in OWN.items()
    ]
    for each in made:
        each.module.double()
    assert len(group([each.config for each in made[1:]])) == 1
    _, stack = stacked(made, 7)
    assert len(stack.parts) == 3
    for index, member in enumerate(made):
        assert_same_weights(stack, index, alone(member, 7)[1], 1e-6)


@pytest.mark.parametrize("optimizer", ["adagrad", "adam"])
def test_those_that_stay_do_not_notice(tmp_path: Path, optimizer: str) -> None:
    made = members(tmp_path, "model.dropout=0.3", f"optimizer={optimizer}", max_epochs=7)
    stack = Stack(made)
    with kept_random_state():
        for epoch in range(7):
            if epoch == 3:
                stack.keep([0, 2])
            for batch in stack.train_batches(epoch):
                stack.step(batch)
    for place, index in enumerate((0, 2)):
        assert_same_weights(stack, place, alone(made[index], 7)[1], 1e-6)


def test_a_stack_goes_on_from_its_state_to_the_bit(tmp_path: Path) -> None:
    made = members(tmp_path, "model.dropout=0.3", "schedule=cosine", max_epochs=4)
    _, whole = stacked(made, 4)
    _, first = stacked(made, 2)
    second = Stack(made)
    second.load(first.state())
    with kept_random_state():
        for epoch in (2, 3):
            for batch in second.train_batches(epoch):
                second.step(batch)
            second.end_epoch([0.0] * NUM_MEMBERS)
    assert all(torch.equal(value, second.weights.tensors[name]) for name, value in whole.weights.tensors.items())


def test_val_metrics_are_those_of_single_runs(tmp_path: Path) -> None:
    made = members(tmp_path, "model=cnn", "tta=shift")
    stack = Stack(made)
    stack.validate()
    for member in made:
        own = member.module.val_metrics.compute()
        member.module.eval()
        with torch.no_grad():
            for index, batch in enumerate(member.datamodule.val_dataloader()):
                member.module.validation_step(batch, index)
        assert own == pytest.approx(member.module.val_metrics.compute(), abs=1e-9)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["optimizer=muon"], "the optimizer Muon looks at more than one number of the weights at a time"),
        (["optimizer=lbfgs"], "the optimizer LBFGS looks at"),
        (["averaging=ema"], "averaging is chosen"),
        (["mixing=mixup"], "mixing is chosen"),
        (["trainer.precision=bf16-mixed"], "trainer.precision is bf16-mixed"),
        (["trainer.accumulate_grad_batches=2"], "trainer.accumulate_grad_batches is 2"),
        (["trainer.limit_train_batches=3"], "trainer.limit_train_batches is 3"),
    ],
)
def test_what_is_trained_alone(overrides: list[str], words: str) -> None:
    configs = [make_config(*overrides, seed=seed) for seed in (0, 1)]
    assert str(why_alone(configs[0])).startswith(words)
    assert group(configs) == [[0], [1]]


def test_groups_have_one_architecture() -> None:
    overrides = [(), ("model.hidden=[8]",), ("model.dropout=0.5",), ("optimizer=adam",), ("schedule=cosine",)]
    configs = [make_config(*words, seed=seed) for seed, words in enumerate(overrides)]
    configs += [make_config(batch_size=8), make_config(lr=1.0, max_epochs=9)]
    assert group(configs) == [[0, 2, 4, 6], [1], [3], [5]]
