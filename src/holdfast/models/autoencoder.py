"""An autoencoder whose encoder classifies: pretrained without labels, then tuned with few."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from holdfast.core.errors import require
from holdfast.models.layers import check_sizes
from holdfast.models.mlp import hidden_layers


def autoencoder(
    *,
    input_shape: Sequence[int],
    num_outputs: int,
    hidden: Sequence[int] = (256, 128),
    code: int = 64,
    activation: str = "relu",
    norm: str = "batch",
    dropout: float = 0.0,
    noise: float = 0.0,
) -> Autoencoder:
    """An encoder of `hidden` layers down to `code` numbers, its mirror image back, and a linear map to the logits.

    With `loss=reconstruction` encoder and decoder are trained and the map to the logits is left alone; with any other
    loss the decoder is (Bengio et al. 2007, "Greedy layer-wise training", without the layers one by one).

    Args:
        input_shape: Shape of one row; images are flattened.
        hidden: Units of the encoder's layers; the decoder has them in reverse.
        code: Units of the layer in the middle.
        activation, norm: As of `mlp`.
        dropout: Share of the encoder's units set to zero in training.
        noise: Standard deviation of what is added to a standardised row in training before it is encoded; the row
            without it is what has to be reconstructed (a denoising autoencoder, Vincent et al. 2010).
    """
    check_sizes("model.hidden", hidden)
    check_sizes("model.code", [code])
    require(0.0 <= noise < math.inf, "model.noise", noise, "noise >= 0")
    num_features = math.prod(input_shape)
    layers, _ = hidden_layers(num_features, [*hidden, code], activation=activation, norm=norm, dropout=dropout)
    back, width = hidden_layers(code, [*reversed(hidden)], activation=activation, norm=norm, dropout=0.0)
    encoder = nn.Sequential(_Noise(noise), nn.Flatten(), *layers)
    decoder = nn.Sequential(*back, nn.Linear(width, num_features))
    return Autoencoder(encoder, decoder, nn.Linear(code, num_outputs))


class Autoencoder(nn.Module):
    """Logits by `forward`, rows again by `reconstruct`."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder, self.head = encoder, decoder, head

    def forward(self, x: Tensor) -> Tensor:
        """(rows, ...) -> (rows, outputs)."""
        logits: Tensor = self.head(self.encoder(x))
        return logits

    def reconstruct(self, x: Tensor) -> Tensor:
        """(rows, ...) -> the same shape."""
        rows: Tensor = self.decoder(self.encoder(x))
        return rows.reshape(x.shape)


class _Noise(nn.Module):
    def __init__(self, std: float) -> None:
        super().__init__()
        self.std = std

    def forward(self, x: Tensor) -> Tensor:
        return x + self.std * torch.randn_like(x) if self.training and self.std else x
