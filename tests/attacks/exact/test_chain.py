from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from uninv_lib import Spec, prepare
from uninv_lib.attacks.exact.chain import Chain, chain_of
from uninv_lib.attacks.inspection import inspect_view
from uninv_lib.types import WhiteBoxView

SAMPLE, LABEL = (
    torch.rand(1, 1, 6, 6, generator=torch.Generator().manual_seed(0)),
    torch.tensor([1]),
)
CHAINS = {
    "plain": [nn.Conv2d(1, 2, 3, padding=1), nn.ReLU()],
    "pooled": [nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2)],
    "a wide kernel and a second block": [
        nn.Conv2d(1, 2, 5, padding=2, bias=False),
        nn.ReLU(),
        nn.Conv2d(2, 2, 3, padding=1),
        nn.ReLU(),
    ],
}
OTHERS = {
    "a stride": [nn.Conv2d(1, 2, 3, stride=2, padding=1), nn.ReLU()],
    "no padding": [nn.Conv2d(1, 2, 3), nn.ReLU()],
    "another activation": [nn.Conv2d(1, 2, 3, padding=1), nn.GELU()],
    "pooling by means": [nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2)],
    "linear layers alone": [nn.Flatten(), nn.Linear(36, 9), nn.ReLU()],
}


def view_of(layers: list[nn.Module], forgotten: int = 1) -> WhiteBoxView:
    """One step of ascent on the sample, by a net with a classifier of three classes."""
    torch.manual_seed(1)
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            layer.reset_parameters()  # a draw without a seed may have nothing that is alive
    features = nn.Sequential(*layers, nn.Flatten()).eval()(SAMPLE).shape[1]
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, 3)).eval()
    before = {name: t.clone() for name, t in net.state_dict().items()}
    slopes = torch.autograd.grad(cross_entropy(net(SAMPLE), LABEL), list(net.parameters()))
    names = [name for name, _ in net.named_parameters()]
    after = before | {n: before[n] + 0.1 * g for n, g in zip(names, slopes, strict=True)}
    return WhiteBoxView(net, before, after, (1, 6, 6), forgotten)


def agrees(chain: Chain, inputs: Tensor, labels: Tensor) -> None:
    """Whether the slopes of each block are the samples' gradient in it, up to rounding."""
    blocks = [replace(b, weight=b.weight.clone().requires_grad_()) for b in chain.blocks]
    free = replace(chain, blocks=tuple(blocks))
    reached = free.entered(inputs.double())[-1]
    loss = cross_entropy(reached @ free.weight.T + free.bias, labels)
    slopes = torch.autograd.grad(loss, [block.weight for block in blocks])
    for block, found in zip(blocks, slopes, strict=True):
        assert (found - block.slopes).norm() < 2 * block.noise.norm()
        assert block.noise.norm() < 1e-2 * found.norm()
    assert torch.allclose(reached[0], chain.features, atol=1e-3 * float(reached.detach().max()))


@pytest.mark.parametrize("layers", CHAINS.values(), ids=CHAINS)
def test_the_gradient_of_each_block_is_that_of_the_sample_up_to_rounding(
    layers: list[nn.Module],
) -> None:
    chain = chain_of(inspect_view(view_of(layers)))
    assert chain is not None
    agrees(chain, SAMPLE, LABEL)
    assert chain.rate == pytest.approx(0.1, rel=1e-4)


def test_the_paper_s_net_is_a_chain_and_its_blocks_are_called_as_in_the_net() -> None:
    scene = prepare(Spec(dataset="digits", width=4, budget="smoke", unlearning_rate=0.1))
    view = scene.white_box()
    chain = chain_of(inspect_view(view))
    assert chain is not None
    agrees(chain, scene.forget.inputs, scene.forget.labels)
    assert [block.pool for block in chain.blocks] == [1] * 5 + [2, 1, 2]
    layers = dict(view.net.named_modules())
    assert all(isinstance(layers[block.name], nn.Conv2d) for block in chain.blocks)


@pytest.mark.parametrize("layers", OTHERS.values(), ids=OTHERS)
def test_another_net_is_no_chain(layers: list[nn.Module]) -> None:
    assert chain_of(inspect_view(view_of(layers))) is None


def test_exact_unlearning_leaves_a_difference_of_means_and_no_chain() -> None:
    spec = Spec(dataset="digits", width=4, budget="smoke", unlearning="retrain", private_size=8)
    assert chain_of(inspect_view(prepare(spec).white_box())) is None


def test_several_samples_or_a_frozen_block_make_no_chain() -> None:
    several = view_of(CHAINS["plain"], forgotten=2)
    assert chain_of(inspect_view(several)) is None
    view = view_of(CHAINS["a wide kernel and a second block"])
    frozen = replace(view, after={**view.after, "0.weight": view.before["0.weight"]})
    assert chain_of(inspect_view(frozen)) is None
