from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from holdfast.core.errors import InputError
from holdfast.models import linear, mlp
from holdfast.models.layers import OneHot
from holdfast.models.tabular_mlp import EntityEmbeddings, rule_of_thumb, tabular_mlp

SIZES = (4, 3)
ROWS = torch.tensor([[0.5, -1.0, 1, 2], [1.5, 2.0, 3, 0], [0.0, 0.0, 0, 1]])


def test_one_hot_is_that_of_pandas() -> None:
    random = np.random.default_rng(0)
    indices = np.stack([random.integers(0, 4, 50), random.integers(0, 3, 50)], axis=1)
    numbers = random.normal(size=(50, 2)).astype(np.float32)
    encoded = OneHot(SIZES)(torch.from_numpy(np.concatenate([numbers, indices], axis=1).astype(np.float32)))
    known = [pd.get_dummies(indices[:, column]).drop(columns=0).to_numpy(np.float32) for column in (0, 1)]
    expected = np.concatenate([numbers, *known], axis=1)
    assert np.array_equal(encoded.numpy(), expected)


@pytest.mark.parametrize("model", [linear, mlp, tabular_mlp])
def test_unknown_categories_add_nothing(model: object) -> None:
    net = model(input_shape=(4,), num_outputs=2, category_sizes=SIZES).eval()  # type: ignore[operator]
    assert net(ROWS).shape == (3, 2)
    first = next(module for module in net if isinstance(module, torch.nn.Linear))
    seen: list[torch.Tensor] = []
    first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    net(torch.tensor([[0.0, 0.0, 0, 0]]))
    assert not seen[0].any()


def test_embeddings_stand_behind_the_numbers() -> None:
    layer = EntityEmbeddings(SIZES, [2, 5], 0.0)
    out = layer(ROWS)
    assert out.shape == (3, 9)
    assert torch.equal(out[:, :2], ROWS[:, :2])
    assert torch.equal(out[0, 2:4], layer.tables[0].weight[1])  # type: ignore[union-attr]
    assert torch.equal(out[0, 4:], layer.tables[1].weight[2])  # type: ignore[union-attr]
    assert not out[1, 4:].any()
    out.sum().backward()
    assert not layer.tables[1].weight.grad[0].any()  # type: ignore[union-attr]


def test_sizes_of_embeddings() -> None:
    assert [rule_of_thumb(n) for n in (2, 10, 1000, 10**6)] == [2, 6, 77, 600]
    net = tabular_mlp(input_shape=(4,), num_outputs=1, category_sizes=SIZES, embedding_size=7, hidden=(3,))
    assert [module.in_features for module in net if isinstance(module, torch.nn.Linear)] == [16, 3]


def test_a_table_of_numbers_alone() -> None:
    torch.manual_seed(0)
    net = tabular_mlp(input_shape=(4,), num_outputs=1, norm="layer", dropout=0.1, activation="silu").eval()
    torch.manual_seed(0)
    same = mlp(input_shape=(4,), num_outputs=1, norm="layer", dropout=0.1, activation="silu").eval()
    assert torch.equal(net(ROWS), same(ROWS))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"embedding_size": 0}, "model.embedding_size: is 0; allowed: null, or a whole number from 1"),
        ({"embedding_dropout": 1.0}, "model.embedding_dropout: is 1.0; allowed: 0 <= embedding_dropout < 1"),
        ({"activation": "rleu"}, "did you mean 'relu'"),
        ({"hidden": [0]}, "model.hidden: is \\[0\\]"),
    ],
)
def test_wrong_arguments(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        tabular_mlp(input_shape=(4,), num_outputs=1, category_sizes=SIZES, **arguments)  # type: ignore[arg-type]
