"""The parameters and buffers of K networks of one architecture as tensors (K, ...)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn


class Weights:
    """The tensors of K networks of one architecture."""

    def __init__(self, models: Sequence[nn.Module]) -> None:
        every = [{**dict(model.named_parameters()), **dict(model.named_buffers())} for model in models]
        # the names of those that are trained
        self.trained = [name for name, parameter in models[0].named_parameters() if parameter.requires_grad]
        self._tied = _tied(models[0])
        # (K, ...) by the name that a parameter or buffer has in one network; the same dictionary for good
        self.tensors: dict[str, Tensor] = {}
        self._set({name: torch.stack([each[name].detach() for each in every]) for name in every[0]})

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    def keep(self, members: Sequence[int]) -> None:
        """Leave out all other members."""
        chosen = torch.tensor(members)
        self._set({name: value.detach()[chosen.to(value.device)] for name, value in self.tensors.items()})

    def of(self, member: int) -> dict[str, Tensor]:
        """Copies of the tensors of one network, by name."""
        plain = torch.contiguous_format
        return {name: value[member].detach().clone(memory_format=plain) for name, value in self.tensors.items()}

    def pieces(self, members: range) -> dict[str, Tensor]:
        """The trained tensors of some members, by name."""
        if len(members) == len(self):
            return {name: self.tensors[name] for name in self.trained}
        values = {name: self.tensors[name].detach()[members.start : members.stop] for name in self.trained}
        return {name: nn.Parameter(value) for name, value in values.items()}

    def state(self) -> dict[str, Tensor]:
        """Copies of all tensors by name, for `load`."""
        return {name: value.detach().clone() for name, value in self.tensors.items()}

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go back to what `state` gave."""
        for name, value in self.tensors.items():
            value.copy_(state[name])

    def _set(self, values: dict[str, Tensor]) -> None:
        for name, value in values.items():
            self.tensors[name] = nn.Parameter(value) if name in self.trained else value
        for name, first in self._tied.items():
            self.tensors[name] = self.tensors[first]


def _tied(model: nn.Module) -> dict[str, str]:
    """The further names of tensors that a network has under several names -> the first ones."""
    tied: dict[str, str] = {}
    first_names: dict[int, str] = {}
    parameters, buffers = model.named_parameters(remove_duplicate=False), model.named_buffers(remove_duplicate=False)
    for name, tensor in [*parameters, *buffers]:
        if id(tensor) in first_names:
            tied[name] = first_names[id(tensor)]
        first_names.setdefault(id(tensor), name)
    return tied
