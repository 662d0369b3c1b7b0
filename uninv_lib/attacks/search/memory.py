"""How many targets fit into one iteration."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from uninv_lib.attacks.search.target import Targets
from uninv_lib.models import logits

COPIES = 5
"""What a double backward holds, in units of the parameters and of what the layers give, rounded up
(measured: 4.4 to 4.8, convnet, `benchmarks/attack.py step`)."""


def chunk_of(targets: Targets, memory: float) -> int:
    """Targets that one iteration may take together, at least one; one of a net that
    torch.func.vmap cannot run, such as a recurrent one.
    """
    return max(1, int(memory / (COPIES * bytes_of(targets)))) if _stackable(targets) else 1


@torch.no_grad()
def _stackable(targets: Targets) -> bool:
    two = targets.like.new_zeros(2, *targets.shape)
    try:
        torch.func.vmap(lambda x: logits(targets.net, targets.point, x))(two)
    except RuntimeError:
        return False
    return True


def bytes_of(targets: Targets) -> int:
    """Bytes of the parameters and of what every layer gives for one target."""
    given = sum(targets.point[name].nbytes for name, _ in targets.net.named_parameters())
    leaves = [layer for layer in targets.net.modules() if not list(layer.children())]
    sizes: list[int] = []

    def note(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        sizes.append(output.nbytes)

    handles = [layer.register_forward_hook(note) for layer in leaves]
    try:
        with torch.no_grad():
            logits(targets.net, targets.point, targets.like.new_zeros(targets.shape))
    finally:
        for handle in handles:
            handle.remove()
    return given + sum(sizes)
