from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from uninv_lib import Spec, prepare
from uninv_lib.attacks.exact.chain import Chain, chain_of
from uninv_lib.attacks.inspection import inspect_view

PHOTO = Spec(dataset="photos", model="convnet", width=4, request=1)


@pytest.mark.slow
def test_the_gradient_of_each_block_is_that_of_the_sample_up_to_rounding() -> None:
    scene = prepare(PHOTO)
    chain = chain_of(inspect_view(scene.white_box()))
    assert chain is not None
    assert [block.pool for block in chain.blocks] == [1] * 5 + [3, 1, 3]
    free, slopes = _slopes(chain, scene.forget.inputs.double(), scene.forget.labels)
    for block, found in zip(free.blocks, slopes, strict=True):
        assert (found - block.slopes).norm() < 2 * block.noise.norm()
        assert block.noise.norm() < 1e-2 * found.norm()
    features = free.entered(scene.forget.inputs.double())[-1][0]
    assert torch.allclose(features, chain.features, atol=1e-4 * float(features.detach().max()))
    assert chain.rate == pytest.approx(scene.spec.unlearning_rate, rel=1e-3)


def _slopes(
    chain: Chain, inputs: torch.Tensor, labels: torch.Tensor
) -> tuple[Chain, tuple[torch.Tensor, ...]]:
    """The chain with weights that learn, and the gradient in them."""
    blocks = [replace(b, weight=b.weight.clone().requires_grad_()) for b in chain.blocks]
    free = replace(chain, blocks=tuple(blocks))
    loss = cross_entropy(free.entered(inputs)[-1] @ free.weight.T + free.bias, labels)
    return free, torch.autograd.grad(loss, [block.weight for block in blocks])


@pytest.mark.parametrize(
    "change", [{"model": "linear"}, {"model": "resnet18"}, {"forget_size": 2}], ids=str
)
def test_what_is_no_chain_or_no_single_sample_has_none(change: dict[str, object]) -> None:
    spec = Spec(**{"dataset": "digits", "model": "convnet", **change})
    assert chain_of(inspect_view(prepare(spec).white_box())) is None
