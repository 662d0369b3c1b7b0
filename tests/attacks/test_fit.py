import torch
from torch import nn

from uninv_lib.attacks.inspection import inspect_view
from uninv_lib.attacks.search.fit import doubts, rearranged
from uninv_lib.attacks.search.target import target_of
from uninv_lib.models import state_of
from uninv_lib.training import step
from uninv_lib.types import Split, WhiteBoxView


def _targets(net, forget):
    before = state_of(net)
    after = step(net, before, forget, -1e-2)
    view = WhiteBoxView(net, before, after, tuple(forget.inputs.shape[1:]), len(forget))
    return target_of(inspect_view(view), error_known=True)


def _half_right(pooled, rng):
    """What is said of a picture halfway between the right one and another."""
    torch.manual_seed(0)
    end = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)]
    end = end if pooled else [nn.Flatten(), nn.Linear(512, 5)]
    net = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.Tanh(), *end)
    forget = Split(torch.rand(1, 1, 8, 8, generator=rng), torch.tensor([2]))
    targets = _targets(net, forget)
    near = 0.9 * forget.inputs + 0.1 * torch.rand(1, 1, 8, 8, generator=rng)
    return [doubts(targets, x[None])[0] for x in (forget.inputs, near, forget.inputs.flip(3))]


def test_a_picture_is_trusted_where_its_rearrangements_cost_more(rng):
    right, near, mirrored = _half_right(False, rng)
    assert right == near == ()
    assert "is in doubt" in mirrored[0]


def test_where_positions_are_averaged_a_near_picture_is_not_trusted(rng):
    right, near, mirrored = _half_right(True, rng)
    assert right == ()
    assert "is in doubt" in near[0]
    assert "is in doubt" in mirrored[0]


def test_pictures_are_mirrored_and_moved_and_rows_of_tables_too():
    picture, row = torch.arange(16.0).reshape(1, 1, 4, 4), torch.arange(4.0)[None]
    assert len(list(rearranged(picture))) == 5
    assert [moved.tolist() for moved in rearranged(row)] == [
        [[3, 2, 1, 0]],
        [[2, 3, 0, 1]],
        [[2, 3, 0, 1]],
    ]
