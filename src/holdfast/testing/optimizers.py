"""The contract of optimizers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from holdfast.optimizers.param_groups import param_groups
from holdfast.testing.models import reloaded

NUM_STEPS = 40

OptimizerFactory = Callable[..., torch.optim.Optimizer]  # is handed the parameter groups


def check_optimizer(factory: OptimizerFactory) -> None:
    """Check that an optimizer lowers a loss, keeps to the rate of its groups, and goes on from its state."""
    _check_learning(factory)
    _check_rate(factory)
    _check_missing_gradients(factory)
    _check_state(factory)


class _Small(nn.Module):
    """Weights with four dimensions, two and one, for images of 4x4 pixels."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution = nn.Conv2d(1, 2, 3)
        self.linear = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.linear(self.convolution(x).flatten(1).tanh())
        return outputs


def _built(factory: OptimizerFactory) -> tuple[nn.Module, torch.optim.Optimizer]:
    model = _Small()
    return model, factory(param_groups(model, weight_decay=0.0))


def _step(model: nn.Module, optimizer: torch.optim.Optimizer) -> float:
    """One step over all rows, with a closure, as Lightning makes it; the loss before it."""
    generator = torch.Generator().manual_seed(0)
    x, targets = torch.randn(8, 1, 4, 4, generator=generator), torch.randn(8, 3, generator=generator)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = functional.mse_loss(model(x), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    loss = optimizer.step(closure)  # type: ignore[arg-type]
    assert loss is not None, "step(closure) must give the loss of the closure"
    return float(loss)


def _check_learning(factory: OptimizerFactory) -> None:
    model, optimizer = _built(factory)
    losses = [_step(model, optimizer) for _ in range(NUM_STEPS)]
    course = f"it went from {losses[0]:g} to {losses[-1]:g}"
    assert losses[-1] < losses[0], f"{NUM_STEPS} steps must lower the loss: {course}"


def _check_rate(factory: OptimizerFactory) -> None:
    """A schedule and `rates` work by the rate of each group."""
    model, optimizer = _built(factory)
    assert all("lr" in group for group in optimizer.param_groups), "every group must have its rate as 'lr'"
    _step(model, optimizer)
    for group in optimizer.param_groups:
        group["lr"] = 1e-12
    before = [parameter.detach().clone() for parameter in model.parameters()]
    _step(model, optimizer)
    pairs = zip(before, model.parameters(), strict=True)
    is_still = all(torch.allclose(old, new, rtol=0.0, atol=1e-6) for old, new in pairs)
    assert is_still, "with a rate of almost 0 the weights must stay where they are"


def _check_missing_gradients(factory: OptimizerFactory) -> None:
    model, optimizer = _built(factory)
    bias = model.get_parameter("linear.bias")
    before = bias.detach().clone()
    bias.requires_grad_(False)
    _step(model, optimizer)
    assert torch.equal(before, bias), "a parameter without a gradient must stay as it is"


def _check_state(factory: OptimizerFactory) -> None:
    model, optimizer = _built(factory)
    for _ in range(3):
        _step(model, optimizer)
    weights, state = reloaded((model.state_dict(), optimizer.state_dict()))
    other_model, other_optimizer = _built(factory)
    other_model.load_state_dict(weights)
    other_optimizer.load_state_dict(state)
    losses = [[_step(m, o) for _ in range(3)] for m, o in ((model, optimizer), (other_model, other_optimizer))]
    assert losses[0] == losses[1], "an optimizer with the state of another one must go on as that one does"
