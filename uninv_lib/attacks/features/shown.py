"""What the chapters show of the attacks' inside: a net cut before its last convolution, its pooling
softened, a net as equations and what solves them, the estimates of the forgotten gradient, and a
recovery without curvature.
"""

from __future__ import annotations

import torch
from torch import nn

from uninv_lib.attacks.exact.chain import Chain, chain_of
from uninv_lib.attacks.exact.inner import solve_inner
from uninv_lib.attacks.features.nuisance import (
    labels_of_requests,
    private_size_of,
    recover_together,
)
from uninv_lib.attacks.features.second_order import first_order, recover
from uninv_lib.attacks.inspection import inspect_view
from uninv_lib.attacks.search.layerwise import halves, last_of
from uninv_lib.attacks.search.softpool import soft_pools
from uninv_lib.attacks.search.update import forgotten_gradient
from uninv_lib.attacks.session import Session
from uninv_lib.types import Reconstruction, WhiteBoxView

__all__ = [
    "before_last_convolution",
    "chain_of_view",
    "forgotten_gradient",
    "labels_of_requests",
    "private_size_of",
    "recover_first_order",
    "recover_together",
    "soft_pools",
    "solve_inner",
]


def before_last_convolution(net: nn.Module) -> tuple[nn.Sequential, nn.Sequential]:
    """The layers in front of the last convolution, and those from there on, which the search solves
    first.

    Raises ValueError for a net without one, or that is no sequence of layers.
    """
    cut = last_of(net)
    if cut < 0:
        raise ValueError("net: no convolution; allowed: a convnet")
    return halves(net, cut)


def recover_first_order(view: WhiteBoxView) -> Reconstruction:
    """What attack "second_order" finds where it takes the plain difference for the gradient.

    Raises what the attack raises.
    """
    return recover(inspect_view(first_order(view)), session=Session([torch.Generator()]))


def chain_of_view(view: WhiteBoxView) -> Chain | None:
    """The view's net as equations, see `exact.chain.chain_of`."""
    return chain_of(inspect_view(view))
