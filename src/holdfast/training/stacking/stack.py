"""K runs computed at once: one forward and backward pass for all, and one optimizer for all that are alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.linalg import vector_norm

from holdfast.config.resolve import as_plain
from holdfast.data.loading.batches import Batch, ResidentBatches, hand_over
from holdfast.training.fit import Built
from holdfast.training.row_guard import look_first
from holdfast.training.stacking.dropout import Dropout
from holdfast.training.stacking.grouping import alike
from holdfast.training.stacking.layers import stack_network
from holdfast.training.stacking.layout import Layout, NotStackable
from holdfast.training.stacking.metrics import Pass
from holdfast.training.stacking.weights import Weights

MOST_TRANSFORMED = 2**26  # numbers that are kept as the networks see them: 256 MB
LARGEST_KEPT = 2**25 - 2**16  # bytes: just below the largest block that glibc adapts to


@dataclass
class Part:
    """Neighbours in a stack that share everything but the seed, and so an optimizer and a schedule."""

    members: range  # their places
    optimizer: torch.optim.Optimizer  # works on `pieces`
    schedule: dict[str, Any]  # as an option gives it
    pieces: dict[str, Tensor]  # name of a parameter -> these members' share of it

    def of(self, tensor: Tensor) -> Tensor:
        """The share of these members in a tensor (K, ...)."""
        return tensor if len(tensor) == len(self.members) else tensor[self.members.start : self.members.stop]


class Stack:
    """The networks of K runs as one, with what trains them."""

    def __init__(self, members: Sequence[Built], ranges: Sequence[range] | None = None) -> None:
        """Stack what was built; `ranges` is what `alike` gives of the members, where it is known already.

        Raises:
            NotStackable: The networks cannot be computed at once, or their rows are read from files.
        """
        # freed at once: from then on glibc keeps blocks of up to this size for the next tensors, where it would give
        # those of a step back to the system, and have them cleared for the next one
        torch.empty(LARGEST_KEPT, dtype=torch.uint8)
        self.members = list(members)  # what was built for each run; their order is that of all tensors (K, ...)
        # one for each run, which masks and augmentation are drawn from
        self.generators = [torch.Generator().set_state(built.random["torch"]) for built in members]
        self.layout = Layout(len(members))
        models = [built.module.model for built in members]
        self.weights = Weights(models)
        self.network = stack_network(models, self.weights, self.layout, self.generators).train()
        self._loaders: list[Any] = [built.datamodule.train_dataloader() for built in members]
        self._val_loader: Any = members[0].datamodule.val_dataloader()
        if not all(isinstance(loader, ResidentBatches) for loader in self._loaders):
            raise NotStackable("the rows are read from files as they are needed (data.resident)")
        self._x, self._is_transformed = self._train_rows()
        self._trainer = as_plain(members[0].config.trainer)
        # optimizers and schedules as each member would build them for itself
        ranges = ranges or alike([built.config for built in members])
        self.parts = [self._part(places) for places in ranges]

    def _train_rows(self) -> tuple[Tensor, bool]:
        """The rows that batches are taken from, and whether they are transformed: once for all, where they are few."""
        x, module = self._loaders[0].x, self.members[0].module
        if module.augmentation is not None or x.numel() > MOST_TRANSFORMED:
            return x, False
        with torch.no_grad():
            return look_first(module._as_input)(hand_over(x)), True

    # --- members ------------------------------------------------------------------------------------------------------

    def part_of(self, member: int) -> Part:
        """The part that a member belongs to."""
        return next(part for part in self.parts if member in part.members)

    def keep(self, members: Sequence[int]) -> None:
        """Leave out all other members; those that stay go on as if they had been alone."""
        self.weights.keep(members)
        self.layout.num_members = len(members)
        self.members = [self.members[member] for member in members]
        self._loaders = [self._loaders[member] for member in members]
        self.generators[:] = [self.generators[member] for member in members]  # in place: masks are drawn from them
        for layer in self.network.modules():
            if isinstance(layer, Dropout):
                layer.keep(members)
        parts: list[Part] = []
        for part in self.parts:
            chosen = [member - part.members.start for member in members if member in part.members]
            if chosen:
                start = parts[-1].members.stop if parts else 0
                part.members = range(start, start + len(chosen))
                self._move(part, chosen)
                parts.append(part)
        self.parts = parts

    def state(self) -> dict[str, Any]:
        """The state that training goes on from, beside the members' records."""
        return {
            "weights": self.weights.state(),
            "generators": [generator.get_state() for generator in self.generators],
            "optimizers": [part.optimizer.state_dict() for part in self.parts],
            "schedules": [part.schedule["scheduler"].state_dict() for part in self.parts],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go back to what `state` gave."""
        self.weights.load(state["weights"])
        for generator, own in zip(self.generators, state["generators"], strict=True):
            generator.set_state(own)
        for part, optimizer, schedule in zip(self.parts, state["optimizers"], state["schedules"], strict=True):
            part.optimizer.load_state_dict(optimizer)
            part.schedule["scheduler"].load_state_dict(schedule)

    def _part(self, members: range) -> Part:
        built = self.members[members.start]
        module, pieces = built.module, self.weights.pieces(members)
        names = {id(parameter): name for name, parameter in module.model.named_parameters()}

        def arrange(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
            return [{**group, "params": [pieces[names[id(each)]] for each in group["params"]]} for group in groups]

        optimizer = module.make_optimizer(module.model, arrange=arrange)
        steps_per_epoch = len(self._loaders[members.start])
        total_steps = built.config.max_epochs * steps_per_epoch
        schedule = module.make_schedule(optimizer, total_steps=total_steps, steps_per_epoch=steps_per_epoch)
        return Part(members, optimizer, schedule, pieces)

    def _move(self, part: Part, chosen: list[int]) -> None:
        """Give an optimizer the weights of the members that stay, and what it remembers of them."""
        names = {id(piece): name for name, piece in part.pieces.items()}
        part.pieces = self.weights.pieces(part.members)
        for group in part.optimizer.param_groups:
            for index, former in enumerate(group["params"]):
                piece = part.pieces[names[id(former)]]
                group["params"][index] = piece
                memory = part.optimizer.state.pop(former, {})
                part.optimizer.state[piece] = {
                    name: value[chosen] if isinstance(value, Tensor) and value.shape == former.shape else value
                    for name, value in memory.items()
                }

    # --- training -----------------------------------------------------------------------------------------------------

    def train_batches(self, epoch: int) -> Iterator[Batch]:
        """The batches of all members, each in its own order: (K x rows, ...) as stored, and targets (K, rows, ...)."""
        orders = []
        for loader in self._loaders:
            loader.sampler.set_epoch(epoch)
            orders.append(list(loader.sampler.batches()))
        y = self._loaders[0].y
        for rows in map(torch.stack, zip(*orders, strict=True)):
            yield hand_over((self._x.index_select(0, self.layout.join(rows)), y[rows]))

    def step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Move all members by one step.

        Returns:
            The losses (K,) without the regularisation, and the outputs (K, rows, ...), both without gradients.
        """
        losses, outputs = self.forward(batch)
        self.backward(losses)
        for part in self.parts:
            part.optimizer.step()
            if part.schedule["interval"] == "step":
                part.schedule["scheduler"].step()
        return losses.detach(), outputs.detach()

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The losses (K,) and the outputs (K, rows, ...) of a train batch."""
        answer: tuple[Tensor, Tensor] = look_first(self._train_outputs)(batch)
        return answer

    def _train_outputs(self, batch: Batch) -> tuple[Tensor, Tensor]:
        x, y = batch
        module = self.members[0].module
        if module.augmentation is not None:
            x = self._augmented(x)
        outputs = self._outputs(x if self._is_transformed else module._as_input(x))
        return self._losses(outputs, y), outputs

    def backward(self, losses: Tensor) -> None:
        """Set the gradients of the losses and of the regularisation, and clip them for each member."""
        weights = [self.weights.tensors[name] for name in self.weights.trained]
        for weight in weights:
            weight.grad = None
        total = losses.sum()
        for part in self.parts:
            if (penalty := self._penalty(part)) is not None:
                total = total + penalty
        total.backward()  # type: ignore[no-untyped-call]
        self.clip([weight.grad for weight in weights if weight.grad is not None])
        if len(self.parts) > 1:  # the pieces of a single one are the weights themselves
            for part in self.parts:
                for name, piece in part.pieces.items():
                    gradient = self.weights.tensors[name].grad
                    piece.grad = None if gradient is None else part.of(gradient)

    def end_epoch(self, values: Sequence[float]) -> None:
        """Move the schedules that move per epoch; those that go by a measured value are told it, one a member."""
        for part in self.parts:
            if "monitor" in part.schedule:
                part.schedule["scheduler"].step(values[part.members.start])
            elif part.schedule["interval"] == "epoch":
                part.schedule["scheduler"].step()

    def _losses(self, outputs: Tensor, y: Tensor) -> Tensor:
        parts = [_losses_of(self._first(part))(part.of(outputs), part.of(y)) for part in self.parts]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _outputs(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.network(x)
        return outputs.flatten(1) if self.members[0].module.task.is_flat else outputs

    def _first(self, part: Part) -> Any:
        return self.members[part.members.start].module

    def _augmented(self, x: Tensor) -> Tensor:
        """Augment each member's rows with what it draws itself; steps draw from torch's global generator."""
        images = []
        for built, rows, generator in zip(self.members, self.layout.split(x), self.generators, strict=True):
            assert built.module.augmentation is not None
            torch.set_rng_state(generator.get_state())
            images.append(built.module.augmentation(rows))
            generator.set_state(torch.get_rng_state())
        return self.layout.join(torch.stack(images))

    def _penalty(self, part: Part) -> Tensor | None:
        """The sum of the members' regularisation."""
        module, penalties = self._first(part), []
        if module._regularization is None:
            return None
        penalty = _Penalty(module.model, module._regularization)
        # one by one: within a map no weight says that it is trained
        for member in part.members:
            own = {f"model.{name}": self.weights.tensors[name][member] for name in self.weights.trained}
            penalties.append(functional_call(penalty, own, ()))
        return torch.stack(penalties).sum()

    def clip(self, gradients: Sequence[Tensor]) -> None:
        """Clip gradients (members, ...) where they lie, as Lightning does, over all weights of a member."""
        limit = self._trainer.get("gradient_clip_val")
        if not limit:
            return
        if self._trainer.get("gradient_clip_algorithm") == "value":
            for gradient in gradients:
                gradient.clamp_(-limit, limit)
            return
        norms = torch.stack([vector_norm(each, dim=tuple(range(1, each.ndim))) for each in gradients]).norm(dim=0)
        factors = (limit / (norms + 1e-6)).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(factors.view(-1, *(1,) * (gradient.ndim - 1)))

    # --- validation ---------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def validate(self) -> None:
        """Add the val rows to the val metrics of all members."""
        val = Pass(self.members, "val_metrics")
        self.network.eval()
        for batch in self._val_loader:
            outputs = look_first(self._val_outputs)(batch)
            targets = batch[1].expand(len(self.members), *batch[1].shape)
            val.add(self._losses(outputs, targets), outputs, targets)
        val.end()
        self.network.train()

    def _val_outputs(self, batch: Batch) -> Tensor:
        module = self.members[0].module
        x = module._as_input(batch[0])
        views = [x] if module._views is None else module._views(x)
        outputs = [self._outputs(self.layout.join(view.expand(len(self.members), *view.shape))) for view in views]
        return outputs[0] if module._views is None else torch.stack(outputs).mean(dim=0)


def _losses_of(module: Any) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of a module as a function of the outputs and targets of several members."""
    return getattr(module._loss, "of_members", None) or vmap(module._loss_of)


class _Penalty(nn.Module):
    """The regularisation of a network as a module that holds the network."""

    def __init__(self, model: nn.Module, term: Any) -> None:
        super().__init__()
        self.model = model
        self.term = term

    def forward(self) -> Tensor:
        """One number."""
        penalty: Tensor = self.term(self.model)
        return penalty
