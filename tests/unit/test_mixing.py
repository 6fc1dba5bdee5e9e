from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from holdfast.core.errors import InputError
from holdfast.losses import Loss, cross_entropy
from holdfast.mixing import Mixed, cutmix, mixup
from small_runs import make_config, make_data

WEIGHTS = torch.tensor([1.0, 2.0, 0.5])


def test_mixup_is_the_weighted_mean() -> None:
    torch.manual_seed(0)
    x = torch.randn(8, 3)
    mixed = mixup(x, alpha=1.0)
    assert mixed is not None
    torch.testing.assert_close(mixed.x, mixed.share * x + (1 - mixed.share) * x[mixed.partner])
    assert sorted(mixed.partner.tolist()) == list(range(8))


def test_shares_of_mixup_are_of_the_beta_distribution() -> None:
    """Beta(a, a) has the mean 1/2 and the variance 1 / (4 (2a + 1))."""
    torch.manual_seed(0)
    x = torch.zeros(2, 1)
    shares = torch.tensor([mixup(x, alpha=0.2).share for _ in range(4000)])  # type: ignore[union-attr]
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.03)
    assert float(shares.var()) == pytest.approx(1 / (4 * 1.4), rel=0.05)


def test_the_share_of_cutmix_is_that_of_the_pixels() -> None:
    torch.manual_seed(0)
    x = torch.arange(6.0).reshape(6, 1, 1, 1).expand(6, 2, 8, 5).contiguous()
    sizes = set()
    for _ in range(200):
        mixed = cutmix(x, alpha=1.0, probability=1.0)
        assert mixed is not None
        row = int(torch.nonzero(mixed.partner != torch.arange(6))[0])
        own = mixed.x[row, 0] == row
        assert float(own.float().mean()) == pytest.approx(mixed.share, abs=1e-6)
        assert bool((mixed.x[row][:, ~own] == mixed.partner[row]).all())
        where = torch.nonzero(~own)
        if len(where):  # a rectangle: as many pixels as its sides say
            sides = where.max(dim=0).values - where.min(dim=0).values + 1
            assert int(sides.prod()) == len(where)
            sizes.add(len(where))
    assert len(sizes) > 10


def soft_loss(outputs: torch.Tensor, soft: torch.Tensor, weights: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Weighted mean of the cross-entropies of soft targets, smoothed, written out."""
    smooth = soft * (1 - smoothing) + smoothing / soft.shape[1]
    entropies = -(weights * smooth * outputs.log_softmax(dim=1)).sum(dim=1)
    return entropies.sum() / (weights * soft).sum()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [torch.ones(3), WEIGHTS])
def test_the_loss_of_two_targets_is_that_of_the_soft_target(smoothing: float, weights: torch.Tensor) -> None:
    torch.manual_seed(0)
    outputs, y = torch.randn(20, 3, dtype=torch.float64), torch.randint(3, (20,))
    partner, share = torch.randperm(20), 0.3
    loss: Loss = cross_entropy(class_weights=weights, label_smoothing=smoothing)
    pair = share * loss(outputs, y) + (1 - share) * loss(outputs, y[partner])
    soft = share * functional.one_hot(y, 3) + (1 - share) * functional.one_hot(y[partner], 3)
    torch.testing.assert_close(pair, soft_loss(outputs, soft, weights.double(), smoothing))


def test_metrics_compare_with_the_larger_share() -> None:
    y, partner = torch.tensor([1, 2, 3]), torch.tensor([2, 0, 1])
    assert Mixed(y, partner, 0.6).main_targets(y).tolist() == [1, 2, 3]
    assert Mixed(y, partner, 0.4).main_targets(y).tolist() == [3, 1, 2]


@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel"])
def test_mixed_rows_train(run, task: str) -> None:
    plain = run(make_config(max_epochs=1), make_data(task), "plain").fields["history"]
    mixed = run(make_config("mixing=mixup", max_epochs=1), make_data(task), "mixed").fields["history"]
    assert mixed[0]["train/loss"] != plain[0]["train/loss"]
    assert mixed[0]["val/loss"] < 1.5


def test_a_share_of_batches_stays_as_it_is() -> None:
    torch.manual_seed(0)
    x = torch.zeros(2, 1, 4, 4)
    mixed = [cutmix(x, probability=0.25) is not None for _ in range(2000)]
    assert sum(mixed) / 2000 == pytest.approx(0.25, abs=0.03)
    assert mixup(x, probability=0.0) is None


@pytest.mark.parametrize(
    ("overrides", "task", "words"),
    [
        (["mixing=mixup"], "regression", r"mixing: makes rows of two classes, and this is a regression"),
        (["mixing=cutmix"], "multiclass", r"mixing: takes images.*next: mixing=none"),
        (["mixing=mixup", "mixing.alpha=0"], "multiclass", r"mixing\.alpha: is 0; allowed: a positive number"),
        (["mixing=mixup", "mixing.probability=2"], "multiclass", r"mixing\.probability: is 2; allowed: 0 to 1"),
    ],
)
def test_what_cannot_be_mixed(run, overrides: list[str], task: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        run(make_config(*overrides), make_data(task))
