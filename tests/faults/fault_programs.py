"""Small programs, what can be wrong with them, and what is unusual and right.

A program is a network on a data set that comes along. Faults and healthy variants are changes of any program, after
the fault classes of DeepCrime, AUTOTRAINER and TrainCheck: layers, activations, weights, losses, modes, data flow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

# networks: `body` gives features (rows, width), `head` the outputs


class Network(nn.Module):
    """A body and a head, which variants change."""

    def __init__(self, body: nn.Module, width: int, num_outputs: int) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Linear(width, num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


class Pixels(nn.Module):
    """Images as sequences of their rows."""

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(len(x), x.shape[-2] if x.ndim == 4 else -1, x.shape[-1] if x.ndim == 4 else 1)


class Recurrent(nn.Module):
    def __init__(self, width: int, kind: type[nn.RNNBase] = nn.LSTM) -> None:
        super().__init__()
        self.pixels, self.recurrent = Pixels(), kind(8, width, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.recurrent(self.pixels(x))[0][:, -1]


class Transformer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.pixels, self.embed = Pixels(), nn.Linear(8, width)
        self.place = nn.Parameter(torch.zeros(1, 8, width))
        self.layer = nn.TransformerEncoderLayer(width, 2, 2 * width, dropout=0.1, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.embed(self.pixels(x)) + self.place).mean(dim=1)


class Residual(nn.Module):
    """Images or vectors; the last norm of the branch starts at 0."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(width, width, bias=False)
        self.norm, self.second = nn.BatchNorm1d(width), nn.Linear(width, width, bias=False)
        self.last = nn.BatchNorm1d(width)
        nn.init.zeros_(self.last.weight)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.last(self.second(torch.relu(self.norm(self.first(x))))))


def mlp(inputs: int, width: int, depth: int = 2, act: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Flatten()]
    for number in range(depth):
        layers += [nn.Linear(inputs if not number else width, width), act()]
    return nn.Sequential(*layers)


def cnn(width: int) -> nn.Sequential:
    maps = [nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, width, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*maps, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def norm_cnn(width: int) -> nn.Sequential:
    maps = [nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
    maps += [nn.Conv2d(width, width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.SiLU()]
    return nn.Sequential(*maps, nn.Flatten(), nn.Dropout(0.2), nn.Linear(width * 16, width), nn.ReLU())


def norm_mlp(inputs: int, width: int, norm: Callable[[int], nn.Module]) -> nn.Sequential:
    first = [nn.Flatten(), nn.Linear(inputs, width), norm(width), nn.GELU(), nn.Dropout(0.1)]
    return nn.Sequential(*first, nn.Linear(width, width), norm(width), nn.ReLU())


@dataclass(frozen=True)
class Program:
    data: str
    body: Callable[[int], nn.Module]
    width: int = 32


PROGRAMS: dict[str, Program] = {
    "digits_mlp": Program("digits", lambda n: mlp(n, 32)),
    "digits_cnn": Program("digits", lambda n: cnn(32)),
    "digits_norm_cnn": Program("digits", lambda n: norm_cnn(32)),
    "digits_lstm": Program("digits", lambda n: Recurrent(32)),
    "digits_gru": Program("digits", lambda n: Recurrent(32, nn.GRU)),
    "digits_transformer": Program("digits", lambda n: Transformer(32)),
    "digits_layer_norm": Program("digits", lambda n: norm_mlp(n, 32, nn.LayerNorm)),
    "digits_residual": Program("digits", lambda n: nn.Sequential(*mlp(n, 32, 1), Residual(32), Residual(32))),
    "cancer_mlp": Program("breast_cancer", lambda n: mlp(n, 32)),
    "cancer_tanh": Program("breast_cancer", lambda n: mlp(n, 32, 3, nn.Tanh)),
    "cancer_batch_norm": Program("breast_cancer", lambda n: norm_mlp(n, 32, nn.BatchNorm1d)),
    "diabetes_mlp": Program("diabetes", lambda n: mlp(n, 32)),
    "diabetes_residual": Program("diabetes", lambda n: nn.Sequential(*mlp(n, 32, 1), Residual(32))),
    "diabetes_leaky": Program("diabetes", lambda n: mlp(n, 32, 3, nn.LeakyReLU)),
}
HALVES = (tuple(PROGRAMS)[0::2], tuple(PROGRAMS)[1::2])


# faults of models: each takes a network and gives a faulty one


class Around(nn.Module):
    """A network with a function before and one behind it."""

    def __init__(self, network: nn.Module, before: Any = None, behind: Any = None) -> None:
        super().__init__()
        self.network, self.before, self.behind = network, before, behind

    def forward(self, x: Tensor) -> Tensor:
        out = self.network(x if self.before is None else self.before(x))
        return out if self.behind is None else self.behind(out)


class Between(nn.Module):
    """A network with a function between body and head."""

    def __init__(self, network: Network, function: Any) -> None:
        super().__init__()
        self.body, self.head, self.function = network.body, network.head, function

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.function(self.body(x)))


class AlwaysTrains(Around):
    def train(self, mode: bool = True) -> nn.Module:
        return super().train(True)


class NeverTrains(Around):
    def train(self, mode: bool = True) -> nn.Module:
        return super().train(False)


class EvalInForward(Around):
    def forward(self, x: Tensor) -> Tensor:
        self.eval()
        return super().forward(x)


class PlainList(nn.Module):
    def __init__(self, network: Network, width: int) -> None:
        super().__init__()
        self.body, self.head = network.body, network.head
        self.more = [nn.Linear(width, width), nn.Linear(width, width)]

    def forward(self, x: Tensor) -> Tensor:
        h = self.body(x)
        for layer in self.more:
            h = torch.relu(layer(h))
        return self.head(h)


class Scale(nn.Module):
    """A learnable number that is no parameter."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.scale = network, torch.ones(1, requires_grad=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x) * self.scale


class MadeAnew(nn.Module):
    def __init__(self, network: Network, width: int) -> None:
        super().__init__()
        self.body, self.head, self.width = network.body, network.head, width

    def forward(self, x: Tensor) -> Tensor:
        return self.head(nn.Linear(self.width, self.width)(self.body(x)))


class Unused(Around):
    def __init__(self, network: nn.Module, width: int) -> None:
        super().__init__(network)
        self.forgotten = nn.Linear(width, width)


class WrongRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


class WrongScale(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return 2.0 * x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


class WrongSquare(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x + 0.1 * x**2

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradient * (1 + 0.1 * x)


class RightSquare(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x + 0.1 * x**2

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradient * (1 + 0.2 * x)


class RightRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradient * (x > 0)


def all_weights(network: nn.Module, change: Callable[[Tensor], Any]) -> nn.Module:
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim >= 2:
                change(parameter)
    return network


def deep_sigmoid(network: Network, width: int) -> nn.Module:
    layers = [layer for _ in range(14) for layer in (nn.Linear(width, width), nn.Sigmoid())]
    return Between(network, nn.Sequential(*layers))


def dead_head(network: Network, width: int) -> nn.Module:
    layer = nn.Linear(width, width)
    nn.init.constant_(layer.bias, -100.0)
    return Between(network, nn.Sequential(layer, nn.ReLU()))


def no_statistics(network: Network, width: int) -> nn.Module:
    return Between(network, nn.BatchNorm1d(width, track_running_stats=False))


def in_no_grad(network: Network, width: int) -> nn.Module:
    def cut(h: Tensor) -> Tensor:
        return h.detach()

    return Between(network, cut)


def cut_output(out: Tensor) -> Tensor:
    return torch.tensor(out.tolist())


def half_input(x: Tensor) -> Tensor:
    keep = torch.zeros_like(x)
    keep[..., : x.shape[-1] // 4] = x[..., : x.shape[-1] // 4]
    return keep


MODEL_FAULTS: dict[str, tuple[Callable[[Network, int], nn.Module], tuple[str, ...]]] = {
    "softmax": (
        lambda n, w: Around(n, behind=nn.Softmax(dim=1)),
        ("probabilities_as_logits", "inputs_ignored"),
    ),
    "softmax_dim_0": (
        lambda n, w: Around(n, behind=nn.Softmax(dim=0)),
        ("softmax_over_batch", "rows_see_each_other"),
    ),
    "hidden_softmax_dim_0": (lambda n, w: Between(n, nn.Softmax(dim=0)), ("rows_see_each_other",)),
    "sigmoid_output": (lambda n, w: Around(n, behind=nn.Sigmoid()), ("sigmoid_outputs",)),
    "relu_output": (lambda n, w: Around(n, behind=nn.ReLU()), ("relu_outputs",)),
    "tanh_output": (lambda n, w: Around(n, behind=nn.Tanh()), ("outputs_bounded",)),
    "batch_mean": (lambda n, w: Between(n, lambda h: h - h.mean(dim=0)), ("rows_see_each_other",)),
    "no_statistics": (no_statistics, ("rows_see_each_other",)),
    "always_trains": (lambda n, w: AlwaysTrains(Between(n, nn.Dropout(0.5))), ("stuck_in_train_mode",)),
    "never_trains": (lambda n, w: NeverTrains(Between(n, nn.Dropout(0.5))), ("stuck_in_eval_mode",)),
    "eval_in_forward": (lambda n, w: EvalInForward(Between(n, nn.Dropout(0.5))), ("forward_changes_mode",)),
    "functional_dropout": (lambda n, w: Between(n, lambda h: functional.dropout(h, 0.5)), ("random_in_eval_mode",)),
    "noise": (lambda n, w: Between(n, lambda h: h + 0.3 * torch.randn_like(h)), ("random_in_eval_mode",)),
    "plain_list": (PlainList, ("hidden_parameters",)),
    "plain_tensor": (lambda n, w: Scale(n), ("hidden_parameters",)),
    "made_anew": (MadeAnew, ("hidden_parameters",)),
    "unused_layer": (Unused, ("layer_unused",)),
    "detached_body": (in_no_grad, ("parameter_cut_off",)),
    "cut_output": (lambda n, w: Around(n, behind=cut_output), ("graph_cut_off", "step_fails")),
    "argmax": (
        lambda n, w: Around(n, behind=lambda o: (o > 0).float()),
        ("graph_cut_off", "step_fails"),
    ),
    "zero_input": (lambda n, w: Around(n, before=lambda x: x * 0.0), ("inputs_ignored",)),
    "part_of_input": (lambda n, w: Around(n, before=half_input), ("inputs_ignored_in_part",)),
    "constant_weights": (lambda n, w: all_weights(n, lambda p: p.fill_(0.05)), ("symmetric_weights",)),
    "zero_weights": (lambda n, w: all_weights(n, lambda p: p.zero_()), ("symmetric_weights", "inputs_ignored")),
    "deep_sigmoid": (deep_sigmoid, ("gradients_vanish", "activations_vanish", "inputs_ignored")),
    "huge_weights": (
        lambda n, w: all_weights(n, lambda p: p.mul_(3e3)),
        ("activations_explode", "gradients_explode", "saturated_units", "chance_loss"),
    ),
    "dead_units": (dead_head, ("dead_units", "inputs_ignored", "graph_cut_off")),
    "large_inputs": (lambda n, w: Around(n, before=lambda x: 255.0 * x + 100.0), ("inputs_not_normalised",)),
    "wrong_relu": (lambda n, w: Between(n, lambda h: WrongRelu.apply(h - h.mean().detach() * 0 - 0.1)), ("gradient",)),
    "wrong_scale": (lambda n, w: Between(n, WrongScale.apply), ("gradient",)),
    "wrong_square": (lambda n, w: Between(n, WrongSquare.apply), ("gradient",)),
}


class Tied(nn.Module):
    def __init__(self, network: Network, width: int) -> None:
        super().__init__()
        self.body, self.head = network.body, network.head
        self.one, self.other = nn.Linear(width, width), nn.Linear(width, width)
        self.other.weight = self.one.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.other(torch.relu(self.one(self.body(x))))))


class OwnBatchNorm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))

    def forward(self, h: Tensor) -> Tensor:
        if self.training:
            mean = h.mean(dim=0)
            self.mean = 0.9 * self.mean + 0.1 * mean.detach()
            return h - mean
        return h - self.mean


class FrozenBody(nn.Module):
    """A body that is kept still, its batch norms and dropouts in eval mode."""

    def __init__(self, network: Network, width: int) -> None:
        super().__init__()
        self.body, self.head = network.body.requires_grad_(False), network.head

    def train(self, mode: bool = True) -> nn.Module:
        super().train(mode)
        self.body.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            h = self.body(x)
        return self.head(h)


class Embedded(nn.Module):
    """Codes of the features, most of which no row has."""

    def __init__(self, network: Network, width: int) -> None:
        super().__init__()
        self.body, self.head, self.table = network.body, network.head, nn.Embedding(50, width)

    def forward(self, x: Tensor) -> Tensor:
        codes = (x.flatten(1)[:, 0] * 2 + 20).long().clamp(0, 49)
        return self.head(self.body(x) + self.table(codes))


def weight_norm(network: Network, width: int) -> nn.Module:
    nn.utils.parametrizations.weight_norm(network.head)
    return network


def zero_head(network: Network, width: int) -> nn.Module:
    nn.init.zeros_(network.head.weight)
    nn.init.zeros_(network.head.bias)
    return network


HEALTHY_MODELS: dict[str, Callable[[Network, int], nn.Module]] = {
    "plain": lambda n, w: n,
    "log_softmax": lambda n, w: Around(n, behind=nn.LogSoftmax(dim=1)),
    "weight_norm": weight_norm,
    "tied": Tied,
    "zero_head": zero_head,
    "own_batch_norm": lambda n, w: Between(n, OwnBatchNorm(w)),
    "frozen_body": FrozenBody,
    "embedded": Embedded,
    "right_square": lambda n, w: Between(n, RightSquare.apply),
    "right_relu": lambda n, w: Between(n, RightRelu.apply),
    "dropout": lambda n, w: Between(n, nn.Dropout(0.5)),
    "spectral_norm": lambda n, w: Between(n, nn.utils.parametrizations.spectral_norm(nn.Linear(w, w))),
    "gated": lambda n, w: Between(n, nn.Sequential(nn.Linear(w, 2 * w), nn.GLU())),
}


def model(
    *,
    input_shape: Sequence[int],
    num_outputs: int,
    category_sizes: Sequence[int] = (),
    program: str = "",
    variant: str = "",
) -> nn.Module:
    chosen = PROGRAMS[program]
    network = Network(chosen.body(math.prod(input_shape)), chosen.width, num_outputs)
    change = MODEL_FAULTS[variant][0] if variant in MODEL_FAULTS else HEALTHY_MODELS.get(variant)
    return network if change is None else change(network, chosen.width)


# losses


def usual(task: str) -> Callable[[Tensor, Tensor], Tensor]:
    if task == "multiclass":
        return functional.cross_entropy
    return functional.binary_cross_entropy_with_logits if task == "binary" else functional.mse_loss


def _broadcast(outputs: Tensor, y: Tensor) -> Tensor:
    return (outputs[:, None] - y).square().mean()


def _double(task: str) -> Callable[[Tensor, Tensor], Tensor]:
    if task == "multiclass":
        return lambda o, y: functional.cross_entropy(o.softmax(dim=1), y)
    return lambda o, y: functional.binary_cross_entropy_with_logits(o.sigmoid(), y)


def _by_hand(o: Tensor, y: Tensor, dim: int) -> Tensor:
    return -o.log_softmax(dim=dim)[torch.arange(len(y)), y].mean()


def _hinge_values(o: Tensor, y: Tensor) -> Tensor:
    """A soft margin that wants -1 and 1, and gets 0 and 1."""
    return functional.softplus(-y * o).mean()


LOSS_FAULTS: dict[str, tuple[Callable[[str], Callable[[Tensor, Tensor], Tensor]], tuple[str, ...], tuple[str, ...]]] = {
    # name: of the task, the mistakes that name it, the tasks it is for
    "sum": (lambda t: lambda o, y: usual(t)(o, y, reduction="sum"), ("sum_over_batch",), ()),
    "wrong_sign": (lambda t: lambda o, y: -usual(t)(o, y), ("wrong_sign",), ()),
    "shifted": (
        lambda t: lambda o, y: functional.cross_entropy(o, (y + 1) % o.shape[1]),
        ("labels_shifted",),
        ("multiclass",),
    ),
    "ignores_targets": (lambda t: lambda o, y: o.square().mean(), ("targets_ignored",), ()),
    "own_targets": (
        lambda t: lambda o, y: functional.cross_entropy(o, o.argmax(dim=1)),
        ("targets_ignored",),
        ("multiclass",),
    ),
    "double_softmax": (_double, ("second_softmax",), ("multiclass", "binary")),
    "detached": (
        lambda t: lambda o, y: usual(t)(o, y).detach().requires_grad_(),
        ("loss_cut_off", "graph_cut_off"),
        (),
    ),
    "softmax_dim_0": (lambda t: lambda o, y: _by_hand(o, y, 0), ("softmax_over_batch",), ("multiclass",)),
    "broadcast": (lambda t: _broadcast, ("targets_broadcast",), ("regression",)),
    "one_class": (lambda t: _hinge_values, ("classes_ignored",), ("binary",)),
    "nll": (lambda t: functional.nll_loss, ("not_log_probabilities",), ("multiclass",)),
    "wants_probabilities": (
        lambda t: lambda o, y: -(torch.log(o) * y + torch.log(1 - o) * (1 - y)).mean(),
        ("not_probabilities", "loss_not_finite"),
        ("binary",),
    ),
    "biased": (lambda t: lambda o, y: (o - 2.0 * y - 0.5).square().mean(), ("wrong_minimum",), ("regression",)),
}
HEALTHY_LOSSES: dict[str, tuple[Callable[[str], Callable[[Tensor, Tensor], Tensor]], tuple[str, ...]]] = {
    "usual": (usual, ()),
    "smoothing": (lambda t: lambda o, y: functional.cross_entropy(o, y, label_smoothing=0.1), ("multiclass",)),
    "by_hand": (lambda t: lambda o, y: _by_hand(o, y, 1), ("multiclass",)),
    "margin": (lambda t: functional.multi_margin_loss, ("multiclass",)),
    "brier": (lambda t: lambda o, y: (o.sigmoid() - y).square().mean(), ("binary",)),
    "soft_margin": (lambda t: lambda o, y: functional.softplus(-(2 * y - 1) * o).mean(), ("binary",)),
    "huber": (lambda t: functional.huber_loss, ("regression",)),
    "log_cosh": (lambda t: lambda o, y: torch.log(torch.cosh(o - y)).mean(), ("regression",)),
}


def loss(*, task: str, variant: str = "usual") -> Callable[[Tensor, Tensor], Tensor]:
    chosen = LOSS_FAULTS[variant][0] if variant in LOSS_FAULTS else HEALTHY_LOSSES[variant][0]
    return chosen(task)


@dataclass(frozen=True)
class Case:
    """A variant of a program.

    Attributes:
        expected: Mistakes that name the fault, or "gradient"; empty for a healthy one.
    """

    program: str
    model: str
    loss: str
    expected: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.program}-{self.model}-{self.loss}"


TASKS = {"digits": "multiclass", "breast_cancer": "binary", "diabetes": "regression"}
# variants that need several classes
ONLY_MULTICLASS = ("softmax", "softmax_dim_0", "log_softmax")


def cases() -> list[Case]:
    """All cases: every fault on some programs, in turns, so that both halves of the programs have most of them."""
    found = []
    for number, (program, chosen) in enumerate(PROGRAMS.items()):
        task, turn = TASKS[chosen.data], number // len(HALVES)

        def is_picked(place: int, name: str, every: int, task: str = task, turn: int = turn) -> bool:
            if name in ONLY_MULTICLASS:
                return task == "multiclass" and (place + turn) % 2 == 0
            return (place + turn) % every == 0

        picked = [name for place, name in enumerate(MODEL_FAULTS) if is_picked(place, name, 7)]
        found += [Case(program, name, "usual", MODEL_FAULTS[name][1]) for name in picked]
        losses = [name for name, (_, _, tasks) in LOSS_FAULTS.items() if not tasks or task in tasks]
        picked = [name for place, name in enumerate(losses) if (place + turn) % 4 == 0]
        found += [Case(program, "plain", name, LOSS_FAULTS[name][1]) for name in picked]
        found += [Case(program, n, "usual") for place, n in enumerate(HEALTHY_MODELS) if is_picked(place, n, 5)]
        right = [n for n, (_, tasks) in HEALTHY_LOSSES.items() if n != "usual" and (not tasks or task in tasks)]
        found += [Case(program, "plain", n) for place, n in enumerate(right) if (place + turn) % 2 == 0]
    return found
