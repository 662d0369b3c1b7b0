"""Max-pooling that is soft while one searches: which pixel of a window won is a question of degrees
at first (ours).

The gradient of a max-pooling runs through one pixel a window, so a search that begins with the
wrong pixels has no slope towards the right ones. With softmax(values / temperature) as weights all
pixels take part; as it cools the maximum remains.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn


class SoftPool(nn.Module):
    """(n, c, height, width) -> (n, c, height // side, width // side), the softly weighted mean of
    each window.
    """

    def __init__(self, side: int, temperature: Tensor | float) -> None:
        super().__init__()
        self.side, self.temperature = side, temperature

    def forward(self, values: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, c, h // side, w // side)."""
        rows, columns = (n // self.side for n in values.shape[-2:])
        whole = values[..., : rows * self.side, : columns * self.side]
        windows = whole.unflatten(-1, (columns, self.side)).unflatten(-3, (rows, self.side))
        windows = windows.transpose(-3, -2).flatten(-2)
        weights = (windows / self.temperature).softmax(-1)
        pooled: Tensor = (weights * windows).sum(-1)
        return pooled


def soft_pools(net: nn.Sequential, temperature: Tensor | float) -> nn.Sequential:
    """`net` with its max-poolings softened, the other layers and all names as they are."""
    layers = OrderedDict[str, nn.Module]()
    for name, layer in net._modules.items():
        assert layer is not None
        layers[name] = layer
        if (
            isinstance(layer, nn.MaxPool2d)
            and layer.stride == layer.kernel_size
            and layer.padding == 0
        ):
            layers[name] = SoftPool(int(layer.kernel_size), temperature)  # type: ignore[arg-type]
    return nn.Sequential(layers)
