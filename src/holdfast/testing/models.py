"""The contract of models."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

NUM_ROWS = 16
NUM_STEPS = 15

ModelFactory = Callable[..., nn.Module]  # is handed the shapes of the data


def check_model(
    factory: ModelFactory, *, input_shape: Sequence[int], num_outputs: int, category_sizes: Sequence[int] = ()
) -> None:
    """Check that a model gives outputs of the right shape, row by row, that it learns, and that it can be restored."""
    shapes = {"input_shape": tuple(input_shape), "num_outputs": num_outputs}
    if category_sizes:
        shapes["category_sizes"] = tuple(category_sizes)
    x = _rows(input_shape, category_sizes)
    model = _built(factory, shapes)
    _check_outputs(model, x, num_outputs)
    _check_seed(model, _built(factory, shapes))
    _check_learning(model, x)
    _check_state(model, _built(factory, shapes), x)


def _built(factory: ModelFactory, shapes: dict[str, object]) -> nn.Module:
    torch.manual_seed(0)
    return factory(**shapes)


def _rows(input_shape: Sequence[int], category_sizes: Sequence[int]) -> Tensor:
    """Standardised numbers, and the indices of categories in the last columns."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(NUM_ROWS, *input_shape, generator=generator)
    for column, size in enumerate(reversed(category_sizes), start=1):
        x[:, -column] = torch.randint(size, (NUM_ROWS,), generator=generator).float()
    return x


def _check_outputs(model: nn.Module, x: Tensor, num_outputs: int) -> None:
    model.eval()
    with torch.no_grad():
        outputs, single = model(x), model(x[:1])
    expected = (NUM_ROWS, num_outputs)
    assert outputs.shape == expected, f"outputs have the shape {tuple(outputs.shape)}, and it must be {expected}"
    assert outputs.is_floating_point(), f"outputs are {outputs.dtype}, and must be floats"
    assert outputs.isfinite().all(), "outputs of standardised rows must be finite"
    message = "in eval mode the outputs of a row must not depend on the other rows of its batch: freezing refuses that"
    assert torch.allclose(outputs[:1], single, atol=1e-5), message


def _check_seed(model: nn.Module, other: nn.Module) -> None:
    pairs = zip(model.state_dict().values(), other.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs), "with the same seed of torch the weights must be the same"


def _check_learning(model: nn.Module, x: Tensor) -> None:
    """Its outputs come nearer to made-up values of these rows."""
    model.train()
    targets = torch.randn(NUM_ROWS, model(x).shape[1], generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(NUM_STEPS):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    course = f"it went from {losses[0]:g} to {losses[-1]:g}"
    assert losses[-1] < losses[0], f"{NUM_STEPS} steps of Adam must lower the loss: {course}"


def reloaded(state: Any) -> Any:
    """A state as it comes back from a checkpoint."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def _check_state(model: nn.Module, other: nn.Module, x: Tensor) -> None:
    other.load_state_dict(reloaded(model.state_dict()))
    model.eval()
    other.eval()
    with torch.no_grad():
        assert torch.equal(model(x), other(x)), "a model with the state of another one must give the same outputs"
