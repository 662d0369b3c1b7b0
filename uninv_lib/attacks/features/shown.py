"""What the chapters show of the attacks' inside: a net cut before its last convolution, its pooling
softened, and the estimates of the forgotten gradient.
"""

from __future__ import annotations

from torch import nn

from uninv_lib.attacks.features.nuisance import (
    labels_of_requests,
    private_size_of,
    recover_together,
)
from uninv_lib.attacks.features.second_order import first_order
from uninv_lib.attacks.search.layerwise import halves, last_of
from uninv_lib.attacks.search.softpool import soft_pools
from uninv_lib.attacks.search.update import forgotten_gradient

__all__ = [
    "before_last_convolution",
    "first_order",
    "forgotten_gradient",
    "labels_of_requests",
    "private_size_of",
    "recover_together",
    "soft_pools",
]


def before_last_convolution(net: nn.Module) -> tuple[nn.Sequential, nn.Sequential]:
    """The layers in front of the last convolution, and those from there on, which the search solves
    first.

    Raises ValueError for a net that is no sequence of layers.
    """
    return halves(net, last_of(net))
