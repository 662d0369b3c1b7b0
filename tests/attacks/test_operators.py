import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from uninv_lib.attacks.search.costs import dummy_gradient
from uninv_lib.attacks.search.descent import stacked
from uninv_lib.attacks.search.operators import COMPOSED, twice_differentiable
from uninv_lib.models import state_of

SHAPE = (3, 4, 8)
LAYERS = {
    "attention": nn.MultiheadAttention(8, 2, batch_first=True),
    "encoder": nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0),
    "hardsigmoid": nn.Hardsigmoid(),
    "hardsigmoid in place": nn.Hardsigmoid(inplace=True),
    "hardswish": nn.Hardswish(),
    "layer norm": nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 8)),
    "instance norm": nn.Sequential(nn.InstanceNorm1d(4, affine=True), nn.Linear(8, 8)),
    "group norm": nn.Sequential(nn.GroupNorm(2, 4), nn.Linear(8, 8)),
    "rms norm": nn.Sequential(nn.RMSNorm(8), nn.Linear(8, 8)),
    "batch norm": nn.Sequential(nn.BatchNorm1d(4), nn.Linear(8, 8)),
    "batch norm without statistics": nn.Sequential(
        nn.BatchNorm1d(4, track_running_stats=False), nn.Linear(8, 8)
    ),
    "distances": lambda x: torch.cdist(x, x.flip(1)),
    "distances in rows": lambda x: functional.pdist(x.flatten(1)),
}


class Around(nn.Module):
    """A layer behind one with a weight."""

    def __init__(self, layer):
        super().__init__()
        self.first, self.layer = nn.Linear(8, 8), layer

    def forward(self, x):
        x = self.first(x)
        attends = isinstance(self.layer, nn.MultiheadAttention)
        return self.layer(x, x, x, need_weights=False)[0] if attends else self.layer(x)


def _slopes(net, starts):
    """Of the square of the gradient in all parameters, in the inputs, of every start."""

    def cost_of(variables, data, share):
        square = sum(
            g.square().sum()
            for g in dummy_gradient(net, state_of(net), lambda z: z.square().sum(), variables[0])
        )
        return square, square

    return stacked(cost_of, [starts], (), 0.0)[1][0]


@pytest.mark.parametrize("name", LAYERS)
def test_what_a_net_calls_has_a_second_derivative_alone_and_stacked(name, rng):
    torch.manual_seed(0)
    net = Around(copy.deepcopy(LAYERS[name])).eval().double()
    starts = torch.randn(2, *SHAPE, generator=rng).double()
    with twice_differentiable(lambda: net(starts[0])):
        together = _slopes(net, starts)
        alone = torch.cat([_slopes(net, start[None]) for start in starts])
    assert together.isfinite().all()
    assert together.any()
    assert torch.allclose(together, alone, rtol=1e-6)


def test_only_a_net_that_needs_it_is_composed_and_its_values_stay(rng):
    x = 4 * torch.randn(5, 6, generator=rng)
    inputs = {
        functional.layer_norm: (x, (6,), x[0], x[1]),
        functional.instance_norm: (x[None], None, None, x[:, 0], x[:, 1]),
        functional.batch_norm: (x, None, None, x[0], x[1], True),
        torch.cdist: (x, x[:3]),
    }
    for operator, composed in COMPOSED.items():
        given = inputs.get(operator, (x,))
        assert torch.allclose(operator(*given), composed(*given), atol=1e-6)
    runs = {True: lambda: functional.hardsigmoid(x), False: lambda: x.relu()}
    for expected, run in runs.items():
        with twice_differentiable(run):
            assert bool(torch.overrides._get_current_function_mode_stack()) == expected
    assert torch.backends.mha.get_fastpath_enabled()
