"""Every optimizer option against its update formula, written out in numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from omegaconf import OmegaConf
from torch.optim._muon import _zeropower_via_newtonschulz

from holdfast.config.groups import CONF
from holdfast.config.resolve import build_option
from holdfast.core.errors import InputError
from holdfast.optimizers import Lion, Muon
from holdfast.training.build import build_optimizer

Array = NDArray[np.float64]
STEPS, LR, DECAY = 20, 0.05, 0.1
GENERATOR = np.random.default_rng(0)
X, Y = GENERATOR.normal(size=(8, 3)), GENERATOR.normal(size=(8, 2))
START = {"weight": GENERATOR.normal(size=(2, 3)), "bias": GENERATOR.normal(size=2)}


def gradients(at: dict[str, Array]) -> dict[str, Array]:
    """Gradients of the mean over rows of |x W^T + b - y|^2 / 2."""
    errors = (X @ at["weight"].T + at["bias"] - Y) / len(X)
    return {"weight": errors.T @ X, "bias": errors.sum(axis=0)}


class Linear(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.from_numpy(START["weight"].copy()))
        self.bias = torch.nn.Parameter(torch.from_numpy(START["bias"].copy()))

    def loss(self) -> torch.Tensor:
        errors = torch.from_numpy(X) @ self.weight.T + self.bias - torch.from_numpy(Y)
        return errors.square().sum() / (2 * len(X))


def by_torch(option: str, *, may_fuse: bool = True, **arguments: Any) -> dict[str, Array]:
    node = OmegaConf.load(CONF / "optimizer" / f"{option}.yaml")
    node.lr = LR
    node.merge_with(arguments)
    model = Linear()
    optimizer = build_optimizer(build_option(node), model, may_fuse=may_fuse)
    for _ in range(STEPS):
        optimizer.zero_grad()
        model.loss().backward()
        optimizer.step()
    return {name: value.detach().numpy() for name, value in model.named_parameters()}


def by_numpy(update: Callable[..., Array]) -> dict[str, Array]:
    """`update(x, g, t, state, decay)` gives the new x; biases do not decay."""
    at = {name: value.copy() for name, value in START.items()}
    states: dict[str, dict[str, Any]] = {"weight": {}, "bias": {}}
    for t in range(1, STEPS + 1):
        g = gradients(at)
        at = {name: update(at[name], g[name], t, states[name], DECAY if name == "weight" else 0.0) for name in at}
    return at


def sgd(x, g, t, s, wd):
    return x - LR * (g + wd * x)


def momentum(x, g, t, s, wd):
    s["v"] = 0.9 * s.get("v", 0.0) + g + wd * x
    return x - LR * s["v"]


def nesterov(x, g, t, s, wd):
    g = g + wd * x
    s["v"] = 0.9 * s.get("v", 0.0) + g
    return x - LR * (g + 0.9 * s["v"])


def adagrad(x, g, t, s, wd):
    g = g + wd * x
    s["sum"] = s.get("sum", 0.0) + g**2
    return x - LR * g / (np.sqrt(s["sum"]) + 1e-10)


def adadelta(x, g, t, s, wd):
    g = g + wd * x
    s["g2"] = 0.9 * s.get("g2", 0.0) + 0.1 * g**2
    d = g * np.sqrt(s.get("d2", 0.0) + 1e-6) / np.sqrt(s["g2"] + 1e-6)
    s["d2"] = 0.9 * s.get("d2", 0.0) + 0.1 * d**2
    return x - LR * d


def rmsprop(x, g, t, s, wd):
    g = g + wd * x
    s["g2"] = 0.99 * s.get("g2", 0.0) + 0.01 * g**2
    return x - LR * g / (np.sqrt(s["g2"]) + 1e-8)


def rmsprop_momentum(x, g, t, s, wd):
    g = g + wd * x
    s["g2"] = 0.99 * s.get("g2", 0.0) + 0.01 * g**2
    s["b"] = 0.9 * s.get("b", 0.0) + g / (np.sqrt(s["g2"]) + 1e-8)
    return x - LR * s["b"]


def moments(g, s, beta1=0.9, beta2=0.999):
    s["m"] = beta1 * s.get("m", 0.0) + (1 - beta1) * g
    s["v"] = beta2 * s.get("v", 0.0) + (1 - beta2) * g**2
    return s["m"], s["v"]


def adam(x, g, t, s, wd):
    m, v = moments(g + wd * x, s)
    return x - LR * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)


def adamw(x, g, t, s, wd):
    m, v = moments(g, s)
    return x - LR * wd * x - LR * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)


def nadam(x, g, t, s, wd):
    g = g + wd * x
    m, v = moments(g, s)
    mu, mu_next = (0.9 * (1 - 0.5 * 0.96 ** (step * 0.004)) for step in (t, t + 1))
    s["product"] = s.get("product", 1.0) * mu
    m_hat = mu_next * m / (1 - s["product"] * mu_next) + (1 - mu) * g / (1 - s["product"])
    return x - LR * m_hat / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)


def radam(x, g, t, s, wd):
    m, v = moments(g + wd * x, s)
    most = 2 / (1 - 0.999) - 1
    rho = most - 2 * t * 0.999**t / (1 - 0.999**t)
    m_hat = m / (1 - 0.9**t)
    if rho <= 5:
        return x - LR * m_hat
    r = np.sqrt((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho))
    return x - LR * m_hat * r * np.sqrt(1 - 0.999**t) / (np.sqrt(v) + 1e-8)


def lion(x, g, t, s, wd):
    m = s.get("m", 0.0)
    s["m"] = 0.99 * m + (1 - 0.99) * g
    return x - LR * (np.sign(0.9 * m + (1 - 0.9) * g) + wd * x)


def muon(x, g, t, s, wd):
    if x.ndim != 2:
        return adamw(x, g, t, s, wd)
    s["b"] = 0.95 * s.get("b", 0.0) + 0.05 * g
    u = 0.05 * g + 0.95 * s["b"]
    # torch iterates in bfloat16, which numpy has not; `test_newton_schulz_gives_a_nearly_orthogonal_matrix` looks at it
    o = _zeropower_via_newtonschulz(torch.from_numpy(u), (3.4445, -4.775, 2.0315), 5, 1e-7).double().numpy()
    return x - LR * wd * x - LR * 0.2 * np.sqrt(max(x.shape)) * o


FORMULAS = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "adagrad": adagrad,
    "adadelta": adadelta,
    "rmsprop": rmsprop,
    "adam": adam,
    "adamw": adamw,
    "nadam": nadam,
    "radam": radam,
    "lion": lion,
    "muon": muon,
}


def assert_equal(weights: dict[str, Array], expected: dict[str, Array]) -> None:
    for name, value in expected.items():
        assert np.abs(weights[name] - value).max() / np.abs(value).max() < 1e-10
        assert np.abs(START[name] - value).max() > 1e-4


def test_every_option_has_its_formula() -> None:
    assert {*FORMULAS, "lbfgs"} == {path.stem for path in (CONF / "optimizer").glob("*.yaml")}


@pytest.mark.parametrize("may_fuse", [True, False])
@pytest.mark.parametrize("option", FORMULAS)
def test_formula(option: str, may_fuse: bool) -> None:
    assert_equal(by_torch(option, may_fuse=may_fuse, weight_decay=DECAY), by_numpy(FORMULAS[option]))


def test_rmsprop_with_momentum() -> None:
    assert_equal(by_torch("rmsprop", momentum=0.9, weight_decay=DECAY), by_numpy(rmsprop_momentum))


def test_cs231n_momentum_is_the_same_path() -> None:
    """There the velocity holds the rate: v = mu v - lr g, x += v."""

    def update(x, g, t, s, wd):
        s["v"] = 0.9 * s.get("v", 0.0) - LR * g
        return x + s["v"]

    assert_equal(by_torch("momentum"), by_numpy(update))


def test_cs231n_nesterov_is_the_same_path() -> None:
    def update(x, g, t, s, wd):
        before = s.get("v", 0.0)
        s["v"] = 0.9 * before - LR * g
        return x - 0.9 * before + (1 + 0.9) * s["v"]

    assert_equal(by_torch("nesterov"), by_numpy(update))


def lbfgs_by_numpy(history_size: int) -> dict[str, Array]:
    """One iteration a step (Nocedal 1980; Nocedal and Wright 2006, algorithm 7.4), the first one shorter."""

    def flat(parts: dict[str, Array]) -> Array:
        return np.concatenate([parts["weight"].ravel(), parts["bias"]])

    def parts(x: Array) -> dict[str, Array]:
        return {"weight": x[:6].reshape(2, 3), "bias": x[6:]}

    x, pairs = flat(START), []
    g = flat(gradients(parts(x)))
    for t in range(1, STEPS + 1):
        q, shares = g.copy(), []
        for s, y in reversed(pairs):
            shares.append(s @ q / (s @ y))
            q -= shares[-1] * y
        q *= pairs[-1][0] @ pairs[-1][1] / (pairs[-1][1] @ pairs[-1][1]) if pairs else 1.0
        for (s, y), share in zip(pairs, reversed(shares), strict=True):
            q += s * (share - y @ q / (s @ y))
        step = -q * LR * (min(1.0, 1 / np.abs(g).sum()) if t == 1 else 1.0)
        new = flat(gradients(parts(x + step)))
        pairs = [*pairs, (step, new - g)][-history_size:]
        x, g = x + step, new
    return parts(x)


def by_lbfgs(**arguments: Any) -> tuple[Linear, torch.optim.Optimizer]:
    node = OmegaConf.load(CONF / "optimizer" / "lbfgs.yaml")
    node.lr = LR
    node.merge_with(arguments)
    model = Linear()
    return model, build_optimizer(build_option(node), model)


def closure(model: Linear, optimizer: torch.optim.Optimizer) -> Callable[[], torch.Tensor]:
    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = model.loss()
        value.backward()
        return value

    return loss


@pytest.mark.parametrize("history_size", [3, 100])
def test_lbfgs_formula(history_size: int) -> None:
    model, optimizer = by_lbfgs(max_iter=1, line_search_fn=None, history_size=history_size, tolerance_change=0.0)
    for _ in range(STEPS):
        optimizer.step(closure(model, optimizer))
    weights = {name: value.detach().numpy() for name, value in model.named_parameters()}
    assert_equal(weights, lbfgs_by_numpy(history_size))


def test_lbfgs_comes_to_the_least_squares() -> None:
    model, optimizer = by_lbfgs(lr=1.0, tolerance_grad=1e-12, tolerance_change=1e-16)
    optimizer.step(closure(model, optimizer))
    best = np.linalg.lstsq(np.column_stack([X, np.ones(len(X))]), Y, rcond=None)[0]
    assert model.weight.detach().numpy() == pytest.approx(best[:3].T, abs=1e-8)
    assert model.bias.detach().numpy() == pytest.approx(best[3], abs=1e-8)


def test_full_batch_gradient_descent_is_sgd_on_all_rows() -> None:
    """`batch_size=full optimizer=sgd`: x -= lr grad, with the gradient of the mean over all rows."""
    assert_equal(by_torch("sgd"), by_numpy(lambda x, g, t, s, wd: x - LR * g))


def test_newton_schulz_gives_a_nearly_orthogonal_matrix() -> None:
    a, b, c = 3.4445, -4.775, 2.0315
    u = GENERATOR.normal(size=(6, 10))
    expected = u / np.linalg.norm(u)
    for _ in range(5):
        gram = expected @ expected.T
        expected = a * expected + (b * gram + c * gram @ gram) @ expected
    orthogonal = _zeropower_via_newtonschulz(torch.from_numpy(u), (a, b, c), 5, 1e-7).double().numpy()
    assert np.abs(orthogonal - expected).max() < 0.03
    assert np.linalg.svd(orthogonal, compute_uv=False) == pytest.approx(1.0, abs=0.35)


def test_muon_takes_matrices_and_adamw_the_rest() -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Linear(3, 2))
    optimizer = build_optimizer(lambda params: Muon(params, weight_decay=0.1), model)
    assert [[tuple(p.shape) for p in group["params"]] for group in optimizer.param_groups] == [
        [(2, 3)],
        [(2, 1, 3, 3), (2,), (2,)],
    ]
    assert ["momentum" in group for group in optimizer.param_groups] == [True, False]


@pytest.mark.parametrize("shape", [(2, 3), (3,)])
def test_muon_with_one_kind_alone(shape: tuple[int, ...]) -> None:
    parameter = torch.nn.Parameter(torch.ones(shape))
    optimizer = Muon([parameter], lr=0.1)
    assert optimizer.step(lambda: parameter.square().sum().backward() or 1.0) == 1.0
    assert (parameter < 1).all()


@pytest.mark.parametrize("option", [*FORMULAS, "lbfgs"])
@pytest.mark.parametrize("lr", [-0.1, 0.0, float("nan"), float("inf")])
def test_a_wrong_rate_is_refused(option: str, lr: float) -> None:
    node = OmegaConf.load(CONF / "optimizer" / f"{option}.yaml")
    node.lr = lr
    with pytest.raises(InputError, match=r"^optimizer\.lr: is .*; allowed: a positive number$"):
        build_optimizer(build_option(node), Linear())


@pytest.mark.parametrize(
    ("option", "arguments", "words"),
    [
        ("momentum", {"momentum": 1.5}, r"optimizer\.momentum: is 1\.5; allowed: 0 <= momentum < 1"),
        ("muon", {"momentum": 1.0}, r"optimizer\.momentum: is 1\.0; allowed: 0 <= momentum < 1"),
        ("rmsprop", {"alpha": 2}, r"optimizer\.alpha: is 2; allowed: 0 <= alpha < 1"),
        ("adadelta", {"rho": 1.0}, r"optimizer\.rho: is 1\.0; allowed: 0 <= rho < 1"),
        ("momentum", {"dampening": -1.0}, r"optimizer\.dampening: is -1\.0; allowed: 0 <= dampening < 1"),
        ("adam", {"differentiable": True}, "optimizer: `fused` does not support `differentiable`"),
        ("muon", {"ns_steps": 0}, "optimizer: Invalid ns_steps value: 0"),
        ("muon", {"eps": -1.0}, r"optimizer: Invalid eps value: -1\.0"),
        ("adamw", {"weight_decay": float("inf")}, r"optimizer\.weight_decay: is inf; allowed: a finite number"),
    ],
)
def test_numbers_that_torch_takes_and_nothing_learns_with(option: str, arguments: dict[str, float], words: str) -> None:
    node = OmegaConf.load(CONF / "optimizer" / f"{option}.yaml")
    node.lr = LR
    node.merge_with(arguments)
    with pytest.raises(InputError, match=words):
        build_optimizer(build_option(node), Linear())


@pytest.mark.parametrize("arguments", [{"betas": (1.0, 0.9)}, {"betas": (0.9, -0.1)}, {"weight_decay": -1.0}])
def test_lion_refuses(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Invalid"):
        Lion([torch.nn.Parameter(torch.zeros(1))], **arguments)
