"""Models and losses as users write them, some with a mistake, for `./conf/model` and `./conf/loss` of a project.

`stranger_programs.py` tells which is which. They come from two sets that were written without a look at the checks; the
figures of their first measurements stand in `docs/check-before-you-train.md`. What was missed or misnamed then is here.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


def size_of(shape):
    return math.prod(shape)


class Base(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        self.make(tuple(input_shape), math.prod(input_shape), num_outputs)


class ShapeNet(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        self.f = nn.Sequential(
            nn.Conv2d(input_shape[0], 12, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(12, 24, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
        )
        self.head = nn.Linear(96, num_outputs)

    def forward(self, x):
        e = torch.exp(self.head(self.f(x)))
        return e / e.sum(1, keepdim=True)


class TinyInit(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        d = size_of(input_shape)
        self.net = nn.Sequential(
            *[m for a in (d, 32, 32, 32, 32) for m in (nn.Linear(a, 32), nn.ReLU())], nn.Linear(32, num_outputs)
        )
        for m in self.modules():
            if isinstance(m, nn.Linear):
                nn.init.normal_(m.weight, std=0.001)
                nn.init.zeros_(m.bias)

    def forward(self, x):
        return self.net(x)


class DeepSigmoid(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        self.inp = nn.Linear(size_of(input_shape), 24)
        self.hid = nn.ModuleList(nn.Linear(24, 24) for _ in range(10))
        self.out = nn.Linear(24, num_outputs)

    def forward(self, x):
        x = torch.sigmoid(self.inp(x))
        for layer in self.hid:
            x = torch.sigmoid(layer(x))
        return self.out(x)


class DeadNet(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        self.l1 = nn.Linear(size_of(input_shape), 32)
        self.l2 = nn.Linear(32, num_outputs)
        nn.init.constant_(self.l1.bias, -12.0)

    def forward(self, x):
        return self.l2(F.relu(self.l1(x)))


class Quantised(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        self.a = nn.Linear(size_of(input_shape), 32)
        self.b = nn.Linear(32, num_outputs)

    def forward(self, x):
        return self.b(torch.round(4 * torch.sigmoid(self.a(x))) / 4)


class Stateful(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        self.rnn = nn.GRU(input_shape[1], 24, batch_first=True)
        self.fc = nn.Linear(24, num_outputs)
        self.h = None

    def forward(self, x):
        h0 = None if self.h is None or self.h.shape[1] != len(x) else self.h
        out, h = self.rnn(x, h0)
        self.h = h.detach()
        return self.fc(out[:, -1])


class Cached(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        self.a = nn.Linear(size_of(input_shape), 32)
        self.b = nn.Linear(32, num_outputs)
        self.cache = {}

    def forward(self, x):
        if len(x) not in self.cache:
            self.cache[len(x)] = x.clone()
        return self.b(torch.relu(self.a(self.cache[len(x)])))


class Opinion(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        self.f = nn.Sequential(nn.Flatten(), nn.Linear(size_of(input_shape), 32), nn.ReLU())
        self.head = nn.Linear(32, num_outputs)
        with torch.no_grad():
            self.head.bias[0] = 15.0

    def forward(self, x):
        return self.head(self.f(x))


class UnitLogits(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(size_of(input_shape), 32), nn.ReLU(), nn.Linear(32, num_outputs))

    def forward(self, x):
        return F.normalize(self.net(x), dim=1)


class IntInput(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(size_of(input_shape), 32), nn.ReLU(), nn.Linear(32, num_outputs))

    def forward(self, x):
        return self.net(x.int().float())


class Scaled(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(input_shape[0], 12, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.LazyLinear(num_outputs)
        )
        self.net(torch.zeros(1, *input_shape))

    def forward(self, x):
        return self.net(x / 255.0)


class DropLogits(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(size_of(input_shape), 32), nn.ReLU(), nn.Linear(32, num_outputs), nn.Dropout(0.5)
        )

    def forward(self, x):
        return self.net(x)


class HalfBatch(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(size_of(input_shape), 32), nn.ReLU(), nn.Linear(32, num_outputs))

    def forward(self, x):
        half = (len(x) + 1) // 2
        out = self.net(x[:half])
        return torch.cat([out, out])[: len(x)]


class Shuffler(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(size_of(input_shape), 32), nn.ReLU(), nn.Linear(32, num_outputs))

    def forward(self, x):
        return self.net(x[torch.randperm(len(x), device=x.device)])


class Hooked(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(size_of(input_shape), 32), nn.ReLU(), nn.Linear(32, num_outputs))
        self.net[0].weight.register_hook(lambda g: g * 0.1)

    def forward(self, x):
        return self.net(x)


def ce_dim0():

    def f(o, t):
        p = torch.softmax(o, dim=0)
        return -torch.log(p[torch.arange(len(t)), t] + 1e-09).mean()

    return f


def residual():
    return lambda o, t: (o - t).mean()


def bias_only():
    return lambda o, t: (o - t).mean().abs()


def ce_multilabel():
    return F.cross_entropy


def lazy_rows():
    return lambda o, t: F.cross_entropy(o[:1], t[:1])


def bounded():
    return lambda o, t: F.cross_entropy(o, t).clamp(max=0.5)


def mismatched():
    return lambda o, t: F.binary_cross_entropy_with_logits(o, t[torch.randperm(len(t), device=t.device)])


class Spectral(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        sn = nn.utils.parametrizations.spectral_norm
        self.a = sn(nn.Linear(size_of(input_shape), 32))
        self.b = sn(nn.Linear(32, 32))
        self.c = nn.Linear(32, num_outputs)

    def forward(self, x):
        return self.c(torch.relu(self.b(torch.relu(self.a(x)))))


class Sign(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.sign(x)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * (x.abs() <= 1)


class Binarised(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        self.a = nn.Linear(size_of(input_shape), 64)
        self.b = nn.Linear(64, num_outputs)

    def forward(self, x):
        return self.b(Sign.apply(self.a(x)))


class SoftRound(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        self.a = nn.Linear(size_of(input_shape), 64)
        self.b = nn.Linear(64, num_outputs)

    def forward(self, x):
        h = torch.sigmoid(self.a(x))
        h = h + (torch.round(h * 4) / 4 - h).detach()
        return self.b(h)


class BiLstm(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        self.rnn = nn.LSTM(input_shape[1], 16, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(32, num_outputs)

    def forward(self, x):
        return self.fc(self.rnn(x)[0][:, -1])


class Encoder(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        self.inp = nn.Linear(input_shape[1], 16)
        self.cls = nn.Parameter(torch.zeros(1, 1, 16))
        self.pos = nn.Parameter(torch.randn(1, input_shape[0] + 1, 16) * 0.02)
        self.enc = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(16, 2, 32, 0.1, batch_first=True, norm_first=True), 2, enable_nested_tensor=False
        )
        self.out = nn.Linear(16, num_outputs)

    def forward(self, x):
        h = torch.cat([self.cls.expand(len(x), -1, -1), self.inp(x)], 1) + self.pos
        return self.out(self.enc(h)[:, 0])


class Experts(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        d = size_of(input_shape)
        self.gate = nn.Linear(d, 8)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(d, 16), nn.ReLU(), nn.Linear(16, num_outputs)) for _ in range(8)
        )
        self.k = num_outputs

    def forward(self, x):
        p = self.gate(x).softmax(1)
        w, i = p.max(1)
        out = x.new_zeros(len(x), self.k)
        for e, net in enumerate(self.experts):
            rows = (i == e).nonzero()[:, 0]
            if len(rows):
                out = out.index_add(0, rows, w[rows, None] * net(x[rows]))
        return out


class LayerScaled(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        self.stem = nn.Conv2d(input_shape[0], 16, 4, stride=4)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(16, 16, 3, padding=1, groups=16),
                nn.GroupNorm(1, 16),
                nn.Conv2d(16, 32, 1),
                nn.GELU(),
                nn.Conv2d(32, 16, 1),
            )
            for _ in range(2)
        )
        self.scale = nn.ParameterList(nn.Parameter(torch.full((16, 1, 1), 0.0001)) for _ in range(2))
        self.out = nn.Linear(16, num_outputs)

    def forward(self, x):
        h = self.stem(x)
        for b, s in zip(self.blocks, self.scale, strict=False):
            keep = 1.0 if not self.training else (torch.rand(len(h), 1, 1, 1, device=h.device) > 0.1).to(h) / 0.9
            h = h + keep * s * b(h)
        return self.out(h.mean((2, 3)))


def zero_head(*, input_shape, num_outputs, category_sizes=()):
    head = nn.Linear(32, num_outputs)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return nn.Sequential(nn.Linear(size_of(input_shape), 32), nn.ReLU(), head)


class SoftTree(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        self.split = nn.Linear(size_of(input_shape), 7)
        self.leaf = nn.Parameter(torch.randn(8, num_outputs))

    def forward(self, x):
        s = torch.sigmoid(self.split(x))
        paths = x.new_ones(len(x), 1)
        for d in range(3):
            g = s[:, 2**d - 1 : 2 ** (d + 1) - 1]
            paths = torch.stack([paths * g, paths * (1 - g)], 2).flatten(1)
        return torch.log(paths @ self.leaf.softmax(1) + 1e-08)


class Checkpointed(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        self.a = nn.Sequential(nn.Conv2d(input_shape[0], 12, 3), nn.ReLU(), nn.MaxPool2d(2))
        self.b = nn.Sequential(nn.Conv2d(12, 12, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.c = nn.Linear(48, num_outputs)

    def forward(self, x):
        return self.c(checkpoint(self.b, self.a(x), use_reentrant=False))


class ClipHook(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(size_of(input_shape), 32), nn.ReLU(), nn.Linear(32, num_outputs))
        for p in self.parameters():
            p.register_hook(lambda g: g.clamp(-10, 10))

    def forward(self, x):
        return self.net(x)


class TiedSteps(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        self.inp = nn.Linear(size_of(input_shape), 24)
        self.w = nn.Linear(24, 24)
        self.out = nn.Linear(24, num_outputs)

    def forward(self, x):
        h = torch.tanh(self.inp(x.flatten(1)))
        for _ in range(3):
            h = h + torch.tanh(self.w(h)) / 3
        return self.out(h @ self.w.weight)


def brier():
    return lambda o, t: (o.softmax(1) - F.one_hot(t, o.shape[1])).square().sum(1).mean()


def asymmetric():

    def f(o, t):
        p = torch.sigmoid(o)
        pm = (p - 0.05).clamp(min=0)
        return -(t * p.clamp_min(1e-08).log() + (1 - t) * pm**2 * (1 - pm).clamp_min(1e-08).log()).mean()

    return f


def generalised_ce(q=0.7):
    return lambda o, t: ((1 - o.softmax(1).gather(1, t[:, None]) ** q) / q).mean()


class OneSoftmax(Base):
    def make(self, shape, width, outputs):
        self.net = nn.Sequential(nn.Linear(width, 32), nn.ReLU(), nn.Linear(32, outputs), nn.Softmax(dim=1))

    def forward(self, x):
        return self.net(x)


class Resetting(Base):
    def make(self, shape, width, outputs):
        self.a, self.b = (nn.Linear(width, 32), nn.Linear(32, outputs))

    def forward(self, x):
        self.b.reset_parameters()
        return self.b(torch.relu(self.a(x)))


class Renewed(Base):
    def make(self, shape, width, outputs):
        self.a, self.b = (nn.Linear(width, 32), nn.Linear(32, outputs))

    def forward(self, x):
        self.a.weight = nn.Parameter(self.a.weight * 0.999)
        return self.b(torch.relu(self.a(x)))


class Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a, b):
        ctx.save_for_backward(a, b)
        return a * b

    @staticmethod
    def backward(ctx, g):
        a, b = ctx.saved_tensors
        return (g * a, g * b)


class Swapped(Base):
    def make(self, shape, width, outputs):
        self.a, self.b, self.c = (nn.Linear(width, 32), nn.Linear(width, 32), nn.Linear(32, outputs))

    def forward(self, x):
        x = x.flatten(1)
        return self.c(Product.apply(torch.tanh(self.a(x)), torch.sigmoid(self.b(x))))


class FirstStep(Base):
    def make(self, shape, width, outputs):
        self.net = nn.Sequential(nn.Linear(shape[1], 32), nn.ReLU(), nn.Linear(32, outputs))

    def forward(self, x):
        return self.net(x[:, 0])


class Dollars(Base):
    def make(self, shape, width, outputs):
        self.net = nn.Sequential(nn.Linear(width, 32), nn.ReLU(), nn.Linear(32, outputs))

    def forward(self, x):
        return self.net(x) * 1000 + 5000


class TwoHeads(Base):
    def make(self, shape, width, outputs):
        self.f, self.h1, self.h2 = (nn.Linear(width, 32), nn.Linear(32, outputs), nn.Linear(32, outputs))

    def forward(self, x):
        h = torch.relu(self.f(x))
        return self.h1(h) if self.training else self.h2(h)


class ByMax(Base):
    def make(self, shape, width, outputs):
        self.net = nn.Sequential(nn.Linear(width, 32), nn.ReLU(), nn.Linear(32, outputs))

    def forward(self, x):
        o = self.net(x)
        return 5 * o / o.abs().max()


def mse_index():
    return lambda o, t: F.mse_loss(o[:, 0], t.to(o.dtype))


def kl_probs():
    return lambda o, t: F.kl_div(o.softmax(1), F.one_hot(t, o.shape[1]).to(o.dtype), reduction="batchmean")


def half_bce():
    return lambda o, t: -(t * F.logsigmoid(o)).mean()


def scrambled():
    return lambda o, t: F.cross_entropy(o.reshape(o.shape[1], o.shape[0]).t(), t)


def first_true():
    return lambda o, t: F.binary_cross_entropy_with_logits(o, F.one_hot(t.argmax(1), t.shape[1]).to(o.dtype))


def turned():
    return lambda o, t: F.cross_entropy(o, t.flip(0))


def best_row():
    return lambda o, t: F.cross_entropy(o, t, reduction="none").min()


class Perceiver(Base):
    def make(self, shape, width, outputs):
        self.q = nn.Parameter(torch.randn(4, 16))
        self.kv = nn.Linear(shape[1], 16)
        self.att = nn.MultiheadAttention(16, 2, batch_first=True)
        self.o = nn.Linear(64, outputs)

    def forward(self, x):
        kv = self.kv(x)
        return self.o(torch.relu(self.att(self.q.expand(len(x), -1, -1), kv, kv)[0]).flatten(1))


class Factorisation(Base):
    def make(self, shape, width, outputs):
        self.w = nn.Linear(width, outputs)
        self.v = nn.Parameter(0.1 * torch.randn(width, 6))

    def forward(self, x):
        return self.w(x) + 0.5 * ((x @ self.v).square() - x.square() @ self.v.square()).sum(1, keepdim=True)


class MaskedExperts(Base):
    def make(self, shape, width, outputs):
        self.g = nn.Linear(width, 6)
        self.e = nn.ModuleList(nn.Sequential(nn.Linear(width, 16), nn.Tanh(), nn.Linear(16, outputs)) for _ in range(6))
        nn.init.normal_(self.g.weight, std=0.01)
        self.g.bias.data[0] = 0.5

    def forward(self, x):
        p = self.g(x).softmax(1)
        top = F.one_hot(p.argmax(1), 6)
        return sum(((p * top)[:, i : i + 1] * e(x) for i, e in enumerate(self.e)))


class ReZero(Base):
    def make(self, shape, width, outputs):
        self.i = nn.Linear(width, 48)
        self.b = nn.ModuleList(nn.Linear(48, 48) for _ in range(4))
        self.a = nn.ParameterList(nn.Parameter(torch.zeros(1)) for _ in range(4))
        self.o = nn.Linear(48, outputs)

    def forward(self, x):
        h = torch.relu(self.i(x.flatten(1)))
        for b, a in zip(self.b, self.a, strict=False):
            h = h + a * torch.relu(b(h))
        return self.o(h)


class Lora(Base):
    def make(self, shape, width, outputs):
        self.base = nn.Linear(width, 64).requires_grad_(False)
        self.A = nn.Parameter(torch.randn(4, width) * 0.3)
        self.B = nn.Parameter(torch.zeros(64, 4))
        self.o = nn.Linear(64, outputs)

    def forward(self, x):
        return self.o(torch.relu(self.base(x) + x @ self.A.t() @ self.B.t()))


class Hyper(Base):
    def make(self, shape, width, outputs):
        self.z = nn.Parameter(torch.randn(8))
        self.g = nn.Linear(8, width * 16)
        self.o = nn.Linear(16, outputs)
        self.d = width

    def forward(self, x):
        return self.o(torch.tanh(x @ self.g(self.z).view(self.d, 16)))


class Gumbel(Base):
    def make(self, shape, width, outputs):
        self.a = nn.Linear(width, 16)
        self.o = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, outputs))

    def forward(self, x):
        z = self.a(x)
        return self.o(F.gumbel_softmax(z, 1.0, hard=True) if self.training else z.softmax(1))


def hard_half():

    def f(o, t):
        ce = F.cross_entropy(o, t, reduction="none")
        return ce.topk(max(1, len(ce) // 2))[0].mean()

    return f


def adjusted():
    return lambda o, t: F.cross_entropy(o + torch.linspace(-1, 1, o.shape[1], dtype=o.dtype), t)


def dice():

    def f(o, t):
        p = o.sigmoid()
        return (1 - (2 * p * t + 1).sum(1) / (p + t + 1).sum(1)).mean()

    return f


def noisy_logits():
    return lambda o, t: F.cross_entropy(o + 0.1 * torch.randn_like(o), t)


class Small(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        self.shape, self.width, self.outputs = tuple(input_shape), math.prod(input_shape), num_outputs
        self.make()


def mlp(i, h, o, depth=2, act=nn.ReLU):
    layers = [nn.Flatten()]
    for k in range(depth):
        layers += [nn.Linear(i if k == 0 else h, h), act()]
    return nn.Sequential(*layers, nn.Linear(h, o))


class Plain(Small):
    def make(self):
        self.net = mlp(self.width, 40, self.outputs)

    def forward(self, x):
        return self.net(x)


class Clamped(Plain):
    def forward(self, x):
        return self.net(x).clamp(-0.1, 0.1)


class BrainFloat(Small):
    def make(self):
        self.a, self.b = nn.Linear(self.width, 40), nn.Linear(40, self.outputs)

    def forward(self, x):
        h = F.linear(x.flatten(1).bfloat16(), self.a.weight.bfloat16(), self.a.bias.bfloat16())
        return self.b(torch.relu(h).to(x.dtype))


class Thousandth(Plain):
    def forward(self, x):
        return self.net(x) / 1000


class FrozenBody(Small):
    def make(self):
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(self.width, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())
        self.head = nn.Linear(32, self.outputs)
        for p in self.parameters():
            p.requires_grad = False
        self.head.bias.requires_grad = True

    def forward(self, x):
        return self.head(self.body(x))


class OneForAll(Small):
    def make(self):
        self.net, self.n = mlp(self.width, 32, 1), self.outputs

    def forward(self, x):
        return self.net(x).expand(-1, self.n)


class RoundedOut(Plain):
    def forward(self, x):
        return torch.round(self.net(x))


class CosineHead(Small):
    def make(self):
        self.f, self.w = mlp(self.width, 40, 24), nn.Parameter(torch.randn(self.outputs, 24))

    def forward(self, x):
        return 30 * F.linear(F.normalize(self.f(x)), F.normalize(self.w))


class SlowBody(Small):
    def make(self):
        self.f, self.o = mlp(self.width, 40, 24), nn.Linear(24, self.outputs)

    def forward(self, x):
        h = self.f(x)
        return self.o(torch.relu(0.1 * h + 0.9 * h.detach()))


class Ordinal(Small):
    def make(self):
        self.f, self.c = mlp(self.width, 32, 1), nn.Parameter(torch.linspace(-1, 1, self.outputs - 1))

    def forward(self, x):
        p = torch.sigmoid(self.c - self.f(x))
        p = torch.cat([p, torch.ones_like(p[:, :1])], 1)
        p = torch.cat([p[:, :1], p[:, 1:] - p[:, :-1]], 1)
        return p.clamp_min(1e-4).log()


class Tempered(Plain):
    def make(self):
        super().make()
        self.log_t = nn.Parameter(torch.tensor(1.0))

    def forward(self, x):
        return self.log_t.exp() * self.net(x)


def mse_of_numbers():
    return lambda o, t: F.mse_loss(o.mean(1), t.to(o.dtype))


def positives_only():
    return lambda o, t: -(t * F.logsigmoid(o)).mean()


def tiny_huber():
    return lambda o, t: F.huber_loss(o, t, delta=1e-5)


def smooth90():
    return lambda o, t: F.cross_entropy(o, t, label_smoothing=0.9)


class SecondName(Small):
    def make(self):
        self.a, self.b, self.o = nn.Linear(self.width, 32), nn.Linear(32, 32), nn.Linear(32, self.outputs)
        self.c = self.b

    def forward(self, x):
        return self.o(F.relu(self.c(F.relu(self.b(F.relu(self.a(x)))))))


class Reshaped(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        self.c, self.h = nn.Conv1d(input_shape[1], 16, 3, padding=1), nn.Linear(16, num_outputs)

    def forward(self, x):
        return self.h(F.relu(self.c(x.reshape(len(x), x.shape[2], x.shape[1]))).mean(2))


class LookedUp(Small):
    def make(self):
        self.e, self.h = nn.Embedding(50, 8), mlp(8 * self.width, 32, self.outputs)

    def forward(self, x):
        return self.h(self.e(x.long().clamp(0, 49)).flatten(1))


class MaskOfZeros(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        self.e, self.q, self.k, self.h = (nn.Linear(a, 24) for a in (input_shape[1], 24, 24, 24))
        self.o = nn.Linear(24, num_outputs)

    def forward(self, x):
        h = self.e(x)
        scores = self.q(h) @ self.k(h).transpose(1, 2) / 24**0.5
        weights = (scores * torch.ones(x.shape[1], x.shape[1]).tril()).softmax(-1)
        return self.o(F.relu(self.h(weights @ h)).mean(1))


class ThrownAway(Small):
    def make(self):
        self.a, self.b, self.o = nn.Linear(self.width, 32), nn.Linear(32, 32), nn.Linear(32, self.outputs)

    def forward(self, x):
        h = F.relu(self.a(x))
        _ = F.relu(self.b(h))
        return self.o(h + h)


class AverageOfColumns(Small):
    def make(self):
        self.net = mlp(1, 32, self.outputs)

    def forward(self, x):
        return self.net(x.mean(1, keepdim=True))


class Casting(Plain):
    def forward(self, x):
        return self.net.double()(x.double()).float()


class Bayesian(Small):
    def make(self):
        self.mean = nn.Parameter(0.1 * torch.randn(self.outputs, self.width))
        self.spread = nn.Parameter(torch.full((self.outputs, self.width), -3.0))

    def forward(self, x):
        noise = F.softplus(self.spread) * torch.randn_like(self.mean) if self.training else 0
        return F.linear(x + F.relu(x), self.mean + noise)


class Codebook(Small):
    def make(self):
        self.a, self.e, self.b = mlp(self.width, 32, 8), nn.Embedding(32, 8), nn.Linear(8, self.outputs)

    def forward(self, x):
        z = self.a(x)
        code = self.e(torch.cdist(z.detach(), self.e.weight).argmin(1))
        return self.b(code + z - z.detach())


class Prototypes(Small):
    def make(self):
        self.net, self.c = mlp(self.width, 32, 16), nn.Parameter(torch.randn(self.outputs, 16))

    def forward(self, x):
        return -torch.cdist(self.net(x), self.c)


class OneUnit(Small):
    def make(self):
        self.net = mlp(self.width, 1, self.outputs)

    def forward(self, x):
        return self.net(x)


def swapped_divergence():
    def f(o, t):
        p = 0.9 * F.one_hot(t, o.shape[1]) + 0.1 / o.shape[1]
        return F.kl_div(p.log(), o.softmax(1), reduction="batchmean")

    return f


def stopped_normaliser():
    return lambda o, t: (o.logsumexp(1).detach() - o.gather(1, t[:, None])[:, 0]).mean()


def one_against_all():
    return lambda o, t: F.binary_cross_entropy_with_logits(o, F.one_hot(t, o.shape[1]).float())


def trimmed():
    return lambda o, t: F.cross_entropy(o, t, reduction="none").sort().values[: max(1, int(0.8 * len(t)))].mean()


class PooledTokens(Small):
    def make(self):
        self.e, self.mix = nn.Embedding(30, 24, padding_idx=0), nn.Linear(24, 24)
        self.score, self.o = nn.Linear(24, 1), nn.Linear(24, self.outputs)

    def hidden(self, x):
        return x == 0

    def forward(self, x):
        h = F.gelu(self.mix(self.e(x.long())))
        scores = self.score(torch.tanh(h)).squeeze(-1).masked_fill(self.hidden(x), -1e9)
        return self.o((scores.softmax(1).unsqueeze(-1) * h).sum(1))


class PadPool(PooledTokens):
    def hidden(self, x):
        return x != 0


class PadAttention(nn.Module):
    is_turned = True

    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        self.words = nn.Embedding(40, 24)
        self.places = nn.Parameter(0.02 * torch.randn(1, input_shape[-1], 24))
        self.layer = nn.TransformerEncoderLayer(24, 2, 48, dropout=0.1, batch_first=True)
        self.head = nn.Linear(24, num_outputs)

    def forward(self, x):
        x = x.long()
        padding = x == 0
        hidden = ~padding if self.is_turned else padding
        z = self.layer(self.words(x) + self.places, src_key_padding_mask=hidden)
        kept = (~padding).float()[..., None]
        return self.head((z * kept).sum(1) / kept.sum(1).clamp(min=1))


class TokenAttention(PadAttention):
    is_turned = False


class Futures(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        self.inp = nn.Linear(input_shape[1], 32)
        self.attention = nn.MultiheadAttention(32, 4, batch_first=True)
        self.head = nn.Linear(32, num_outputs)
        ones = torch.ones(input_shape[0], input_shape[0], dtype=torch.bool)
        self.register_buffer("mask", self.hidden(ones))

    def hidden(self, ones):
        return ones.tril(-1)

    def forward(self, x):
        z = self.inp(x)
        return self.head((z + self.attention(z, z, z, attn_mask=self.mask)[0])[:, -1])


class Pasts(Futures):
    def hidden(self, ones):
        return ones.triu(1)


class FrozenHead(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(size_of(input_shape), 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU())
        self.head = nn.Linear(32, num_outputs)
        self.freeze()

    def freeze(self):
        self.head.requires_grad_(False)

    def forward(self, x):
        return self.head(self.body(x))


class RandomFeatures(FrozenHead):
    def freeze(self):
        self.body.requires_grad_(False)


class FewWords(PooledTokens):
    def forward(self, x):
        return super().forward(x.clamp(max=3))


def reversed_divergence():
    def f(o, t):
        p, wanted = o.softmax(1), 0.9 * F.one_hot(t, o.shape[1]) + 0.1 / o.shape[1]
        return (p * (p.clamp_min(1e-8).log() - wanted.log())).sum(1).mean()

    return f


def normalised_over_rows():
    return lambda o, t: -(o - o.logsumexp(0, keepdim=True)).gather(1, t[:, None]).mean()


def focal_of_right():
    def f(o, t):
        p = o.softmax(1).gather(1, t[:, None])
        return -(p**2 * p.clamp_min(1e-8).log()).mean()

    return f


def fiftieth():
    return lambda o, t: F.binary_cross_entropy_with_logits(o, t.float(), pos_weight=torch.tensor(0.02))


def percentage():
    return lambda o, t: ((o - t).abs() / (t.abs() + 1e-3)).mean()


def log_of_standardised():
    return lambda o, t: (o.clamp_min(0.0).log1p() - t.clamp_min(0.0).log1p()).square().mean()


class WeightNormed(Base):
    def make(self, shape, n, k):
        self.first = nn.utils.parametrizations.weight_norm(nn.Linear(n, 32))
        self.last = nn.utils.parametrizations.weight_norm(nn.Linear(32, k))

    def forward(self, x):
        return self.last(F.silu(self.first(x)))


def compounding(optimizer):
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.5**step)


class Permuting(nn.Module):
    def forward(self, images):
        return images[torch.randperm(len(images))].roll(1, -1)


def whole_warmup(optimizer):
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, (step + 1) // 20_000))


class SlowNorm(Base):
    def make(self, shape, n, k):
        self.f = nn.Sequential(nn.Conv2d(shape[0], 12, 3), nn.BatchNorm2d(12, momentum=0.001), nn.ReLU(), nn.Flatten())
        self.o = nn.LazyLinear(k)
        self(torch.zeros(2, *shape))
        self.f[1].reset_running_stats()

    def forward(self, x):
        return self.o(self.f(x))


class OwnSteps(torch.optim.Optimizer):
    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        loss = self.ask(closure)
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.move(p, self.state[p], group["lr"])
        return loss

    def ask(self, closure):
        with torch.enable_grad():
            return None if closure is None else closure()

    def move(self, p, state, lr):
        p.sub_(p.grad.sign(), alpha=lr)


class HeavyBall(OwnSteps):
    def move(self, p, state, lr):
        velocity = state.setdefault("velocity", torch.zeros_like(p))
        p.sub_(velocity.add_(p.grad), alpha=lr)


class Shrinking(OwnSteps):
    def move(self, p, state, lr):
        p.mul_(0.99).sub_(p.grad.sign(), alpha=lr)


class SharpnessAware(OwnSteps):
    def ask(self, closure):
        loss = super().ask(closure)
        if closure is not None:
            parameters = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
            norm = torch.stack([p.grad.norm() for p in parameters]).norm() + 1e-12
            moves = [0.05 * p.grad / norm for p in parameters]
            torch._foreach_add_(parameters, moves)
            super().ask(closure)
            torch._foreach_sub_(parameters, moves)
        return loss

    def move(self, p, state, lr):
        p.sub_(p.grad, alpha=lr)


class Lookahead(OwnSteps):
    def move(self, p, state, lr):
        slow = state.setdefault("slow", p.clone())
        velocity = state.setdefault("velocity", torch.zeros_like(p))
        p.sub_(velocity.mul_(0.9).add_(p.grad), alpha=lr)
        state["count"] = state.get("count", 0) + 1
        if state["count"] % 5 == 0:
            p.copy_(slow.lerp_(p, 0.5))


class OwnNorm(Base):
    class Norm(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.register_buffer("mean", torch.zeros(width))
            self.register_buffer("variance", torch.ones(width))

        def forward(self, x):
            mean, variance = (x.mean(0), x.var(0)) if self.training else (self.mean, self.variance)
            return (x - mean) / (variance + 1e-5).sqrt()

    def make(self, shape, width, outputs):
        self.net = nn.Sequential(nn.Linear(width, 32), self.Norm(32), nn.ReLU(), nn.Linear(32, outputs))

    def forward(self, x):
        return self.net(x)


class ZeroPairs(Factorisation):
    def make(self, shape, width, outputs):
        super().make(shape, width, outputs)
        nn.init.zeros_(self.v)


class CancelledPairs(Factorisation):
    def forward(self, x):
        return self.w(x) + 0.5 * ((x @ self.v).pow(2) - (x @ self.v) * (x @ self.v)).sum(1, keepdim=True)


class ZeroEverywhere(ReZero):
    def make(self, shape, width, outputs):
        super().make(shape, width, outputs)
        nn.init.zeros_(self.o.weight)


class BatchAsSteps(Small):
    def make(self):
        self.e, self.token = nn.Embedding(30, 24), nn.Parameter(0.1 * torch.randn(1, 1, 24))
        self.layer, self.o = nn.TransformerEncoderLayer(24, 4, 48, 0.0), nn.Linear(24, self.outputs)

    def forward(self, x):
        return self.o(self.layer(torch.cat([self.token.expand(len(x), 1, 24), self.e(x.long())], 1))[:, 0])
