"""One network that computes K networks of one architecture at once, each with its own weights, buffers and masks.

The rows of all members lie in one tensor (K x rows, ...), so that whatever works row by row (activations, pooling,
flattening, the forward pass of our own models) stays as it is. Layers with weights are replaced: a linear map becomes a
batched product, a convolution a grouped one, a batch norm one over K times the channels. A module that is not known
here is mapped over the members by `torch.func.vmap`, with all that is in it: there each member sees its own rows alone,
and what a member decides by its data (an `if`) cannot be mapped.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional

from holdfast.training.stacking.dropout import Dropout
from holdfast.training.stacking.layout import Layout, NotStackable
from holdfast.training.stacking.weights import Weights

CONVOLUTIONS: dict[type[nn.Module], Callable[..., Tensor]] = {
    nn.Conv1d: functional.conv1d,
    nn.Conv2d: functional.conv2d,
    nn.Conv3d: functional.conv3d,
}
# modules that work on every number by itself, and that draw nothing
BY_NUMBER = (
    *(nn.Identity, nn.Tanh, nn.Sigmoid, nn.Softplus, nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh),
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish),
)
BY_CHANNEL = (  # likewise, but on every channel of every row
    *BY_NUMBER,
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.ZeroPad2d),
)
BY_ROW = (*BY_CHANNEL, nn.Flatten, nn.Unflatten)  # likewise, but on rows as a whole
CONTAINERS = (nn.Sequential, nn.ModuleList)


def stack_network(
    models: Sequence[nn.Module], weights: Weights, layout: Layout, generators: Sequence[torch.Generator]
) -> nn.Module:
    """Build the network of all members: (K x rows, ...) -> (K, rows, ...).

    Args:
        models: The members, of one architecture.
        weights: Their parameters and buffers; looked up in every pass.
        layout: Of the rows.
        generators: What each member's masks are drawn from.

    Raises:
        NotStackable: A module can be neither replaced nor mapped.
    """
    network = _Stacking(weights, layout, generators).stacked(list(models), "")
    layers = list(network) if type(network) is nn.Sequential else [network]
    if isinstance(layers[-1], _Products):
        layers[-1].is_last = True
    else:
        layers.append(_Split(layout))
    return nn.Sequential(*layers)


@dataclass
class _Stacking:
    """The choices that all layers of a stack share."""

    weights: Weights
    layout: Layout
    generators: Sequence[torch.Generator]

    def stacked(self, modules: list[nn.Module], name: str) -> nn.Module:
        """Replace the modules called `name` of all members by one."""
        first, kind = modules[0], type(modules[0])
        if any(type(module) is nn.Dropout for module in modules):
            return self._dropout(modules, name, is_mapped=False)
        if len({type(module) for module in modules}) > 1:
            raise NotStackable(f"{name or 'the model'} is a {kind.__name__} in one member and another in the next")
        if kind in BY_ROW:
            layer: Any = _shallow_copy(first)
            layer.inplace = False  # to write into a view, as rows are here, takes copies
            return layer  # type: ignore[no-any-return]
        if kind is nn.Linear:
            return _Products(self.layout, _Linear(self, name))
        if kind in CONVOLUTIONS and first.padding_mode == "zeros":
            return _Channels(self.layout, _Convolution(self, name, first))
        if isinstance(first, nn.modules.batchnorm._BatchNorm) and kind.__module__.startswith("torch.nn"):
            if isinstance(first, nn.SyncBatchNorm) or first.momentum is None or not first.track_running_stats:
                return self._mapped(modules, name)
            return _Channels(self.layout, _BatchNorm(self, name, first))
        if kind in (nn.LayerNorm, nn.GroupNorm):
            return _Norm(self, name, first)
        if kind is nn.Embedding and first.max_norm is None and not first.scale_grad_by_freq and not first.sparse:
            return _Embedding(self, name, first)
        if kind in CONTAINERS or _is_ours(first):
            return self._container(modules, name)
        return self._mapped(modules, name)

    def _container(self, modules: list[nn.Module], name: str) -> nn.Module:
        """A module whose own forward pass works row by row, with its children replaced."""
        container = _shallow_copy(modules[0])
        for child in modules[0]._modules:
            children = [module._modules[child] for module in modules]
            container._modules[child] = self.stacked(children, f"{name}.{child}" if name else child)  # type: ignore[arg-type]
        if type(container) is nn.Sequential:
            return nn.Sequential(*_joined(container._modules.values()))
        return container

    def _mapped(self, modules: list[nn.Module], name: str) -> nn.Module:
        module = copy.deepcopy(modules[0])
        for path, part in list(module.named_modules()):
            if isinstance(part, nn.RNNBase):
                raise NotStackable(f"{type(part).__name__} cannot be mapped over members")
            if type(part) is nn.Dropout and path:
                whole, parts = f"{name}.{path}" if name else path, [model.get_submodule(path) for model in modules]
                parent, _, last = path.rpartition(".")
                setattr(module.get_submodule(parent), last, self._dropout(parts, whole, is_mapped=True))
        return _Mapped(self, name, module)

    def _dropout(self, modules: list[nn.Module], name: str, *, is_mapped: bool) -> nn.Module:
        if not all(type(module) in (nn.Dropout, nn.Identity) for module in modules):
            raise NotStackable(f"{name} is a dropout in some members only")
        shares = [getattr(module, "p", 0.0) for module in modules]
        return Dropout(self.layout, self.generators, shares, is_mapped=is_mapped)


def _is_ours(module: nn.Module) -> bool:
    """Tell a model of ours: it works row by row, draws nothing, and has the same tensors of its own in every member."""
    draws = bool(getattr(module, "std", 0.0))
    return type(module).__module__.startswith("holdfast.models.") and not module._parameters and not draws


def _shallow_copy(module: nn.Module) -> nn.Module:
    """A module with children of its own, and everything else shared."""
    twin = copy.copy(module)
    twin._modules = dict(module._modules)
    return twin


def _joined(layers: Iterable[Any]) -> list[nn.Module]:
    """The layers of a sequence, with neighbours of one layout as one: rows are laid out anew but once."""
    joined: list[Any] = []
    for layer in layers:
        block = joined[-1] if joined else None
        if isinstance(block, _Block) and type(layer) is type(block):
            block.extend(layer)
        elif isinstance(block, _Block) and isinstance(layer, block.takes):
            if type(layer) is nn.ReLU and isinstance(block[-1], _Linear):
                layer.inplace = True  # nothing else looks at what a linear map gives
            block.append(layer)
        elif isinstance(block, _Products) and type(layer) is _Channels and isinstance(layer[0], _BatchNorm):
            block.extend(layer)
        else:
            joined.append(layer)
    return joined


class _Layer(nn.Module):
    """A layer of all members; its weights are looked up by name, since they move when a member leaves."""

    def __init__(self, stacking: _Stacking, name: str) -> None:
        super().__init__()
        self.weights, self.layout = stacking.weights, stacking.layout
        self.prefix = f"{name}." if name else ""

    def tensor(self, name: str) -> Tensor | None:
        """The tensor of that name, (K, ...)."""
        return self.weights.tensors.get(self.prefix + name)

    def flat(self, name: str) -> Tensor | None:
        """The same, with the members in one dimension with the next one."""
        tensor = self.tensor(name)
        return None if tensor is None else tensor.flatten(0, 1)


class _Block(nn.Sequential):
    """Layers that compute all members in a layout of their own."""

    takes: tuple[type[nn.Module], ...]  # other layers that work in it

    def __init__(self, layout: Layout, layer: nn.Module) -> None:
        super().__init__(layer)
        self.layout = layout


class _Products(_Block):
    """Linear maps as products, with rows as columns: (K, numbers, rows).

    So no product has a short side last where a layer has few numbers, which takes a CPU three times as long, gradients
    lie as weights do, and a batch norm is one over K times the channels.
    """

    takes = (*BY_NUMBER, Dropout)
    is_last = False  # whether the rows of the members stay apart

    def forward(self, x: Tensor) -> Tensor:
        """(K x rows, ..., numbers) -> the same; (K, rows, ..., numbers) behind the last layer."""
        columns = self._columns(x)
        for layer in self:
            if isinstance(layer, Dropout):  # its masks are drawn row by row
                columns = layer(columns.mT).mT
            elif isinstance(layer, _BatchNorm) and x.ndim == 2:
                columns = layer(columns.reshape(1, -1, columns.shape[-1])).view_as(columns)
            elif isinstance(layer, _BatchNorm):  # the channels are a dimension inside of the rows
                rows = columns.mT.reshape(*x.shape[:-1], -1)
                columns = self._columns(self.layout.from_channels(layer(self.layout.as_channels(rows))))
            else:
                columns = layer(columns)
        if self.is_last:
            return torch.unflatten(columns.mT, 1, (-1, *x.shape[1:-1]))
        return columns.mT.reshape(*x.shape[:-1], -1)

    def _columns(self, x: Tensor) -> Tensor:
        return x.reshape(self.layout.num_members, -1, x.shape[-1]).mT


class _Linear(_Layer):
    def forward(self, x: Tensor) -> Tensor:
        """(K, numbers, rows) -> the same."""
        weight, bias = self.tensor("weight"), self.tensor("bias")
        assert weight is not None
        return torch.bmm(weight, x) if bias is None else torch.baddbmm(bias.unsqueeze(2), weight, x)


class _Split(nn.Module):
    """(K x rows, ...) -> (K, rows, ...)."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout = layout

    def forward(self, x: Tensor) -> Tensor:
        return self.layout.split(x)


class _Channels(_Block):
    """Layers over K times the channels."""

    takes = BY_CHANNEL

    def forward(self, x: Tensor) -> Tensor:
        """(K x rows, channels, ...) -> the same."""
        x = super().forward(self.layout.as_channels(x))  # type: ignore[no-untyped-call]
        return self.layout.from_channels(x)


class _Convolution(_Layer):
    """One of K times the groups: (rows, K x channels, ...) -> the same."""

    def __init__(self, stacking: _Stacking, name: str, layer: nn.Module) -> None:
        super().__init__(stacking, name)
        self.convolve = CONVOLUTIONS[type(layer)]
        self.groups: Any = layer.groups
        self.options = {key: getattr(layer, key) for key in ("stride", "padding", "dilation")}

    def forward(self, x: Tensor) -> Tensor:
        groups = self.layout.num_members * self.groups
        return self.convolve(x, self.flat("weight"), self.flat("bias"), groups=groups, **self.options)


class _BatchNorm(_Layer):
    """One of K times the channels: (rows, K x channels, ...) -> the same."""

    def __init__(self, stacking: _Stacking, name: str, layer: Any) -> None:
        super().__init__(stacking, name)
        self.momentum, self.eps = layer.momentum, layer.eps

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.weights.tensors[self.prefix + "num_batches_tracked"].add_(1)
        statistics = (self.flat("running_mean"), self.flat("running_var"))
        affine = (self.flat("weight"), self.flat("bias"))
        return functional.batch_norm(x, *statistics, *affine, self.training, self.momentum, self.eps)


class _Norm(_Layer):
    """Layer norm or group norm: one over each row, then each member's own gain and shift."""

    def __init__(self, stacking: _Stacking, name: str, layer: Any) -> None:
        super().__init__(stacking, name)
        self.eps = layer.eps
        self.shape = layer.normalized_shape if isinstance(layer, nn.LayerNorm) else None
        self.num_groups = None if self.shape is not None else layer.num_groups

    def forward(self, x: Tensor) -> Tensor:
        if self.shape is not None:
            x = functional.layer_norm(x, self.shape, None, None, self.eps)
        else:
            assert self.num_groups is not None
            x = functional.group_norm(x, self.num_groups, None, None, self.eps)
        weight, bias = self.tensor("weight"), self.tensor("bias")
        if weight is None:
            return x
        x = self.layout.split(x)
        # the gain of a group norm belongs to the first dimension behind the rows, that of a layer norm to the last ones
        if self.shape is not None:
            inner = (1,) * (x.ndim - 1 - len(self.shape))
            shape = (len(weight), *inner, *self.shape)
        else:
            shape = (len(weight), 1, x.shape[2], *(1,) * (x.ndim - 3))
        x = x * weight.view(shape)
        return self.layout.join(x if bias is None else x + bias.view(shape))


class _Embedding(_Layer):
    def __init__(self, stacking: _Stacking, name: str, layer: nn.Embedding) -> None:
        super().__init__(stacking, name)
        self.size, self.padding = layer.num_embeddings, layer.padding_idx

    def forward(self, x: Tensor) -> Tensor:
        weight = self.flat("weight")
        assert weight is not None
        rows = self.layout.split(x)
        first = torch.arange(rows.shape[0], device=x.device) * self.size
        out = functional.embedding(rows + first.view(-1, *(1,) * (rows.ndim - 1)), weight)
        if self.padding is not None:  # as torch has it: this entry does not learn
            out = torch.where((rows == self.padding).unsqueeze(-1), out.detach(), out)
        return self.layout.join(out)


class _Mapped(_Layer):
    """A module of any kind, mapped over the members."""

    def __init__(self, stacking: _Stacking, name: str, module: nn.Module) -> None:
        super().__init__(stacking, name)
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        own = {
            key.removeprefix(self.prefix): t for key, t in self.weights.tensors.items() if key.startswith(self.prefix)
        }

        def call(weights: dict[str, Tensor], rows: Tensor) -> Any:
            return functional_call(self.module, weights, (rows,), tie_weights=False)  # every name is there

        out = vmap(call, randomness="error")(own, self.layout.split(x))
        if not isinstance(out, Tensor):
            raise NotStackable(f"{type(self.module).__name__} gives more than one tensor")
        return self.layout.join(out)
