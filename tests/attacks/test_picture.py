import pytest
import torch

from uninv_lib.attacks.inspection import inspect_view
from uninv_lib.attacks.search import picture as module
from uninv_lib.attacks.search.layerwise import call, distance, halves
from uninv_lib.attacks.search.picture import STARTS, _starts, picture_of
from uninv_lib.attacks.search.settings import Settings
from uninv_lib.attacks.search.target import stack, target_of
from uninv_lib.attacks.session import Session


def test_a_dark_picture_has_starts_that_are_dark(convnet, rng):
    view = convnet.white_box()
    front, _ = halves(view.net)
    picture = 0.05 + 0.02 * torch.rand(2, *view.input_shape, generator=rng)

    def encode(inputs):
        return call(front, view.before, inputs)

    inner = encode(picture)
    plain, mixed = (
        _starts(encode, inner, tuple(picture.shape), colours, torch.Generator().manual_seed(0))
        for colours in (0, 64)
    )
    assert mixed.shape == (STARTS, *picture.shape)
    assert torch.equal(plain[::2], mixed[::2])
    away = torch.stack([distance(encode, start, inner).mean() for start in mixed])
    assert away[1::2].max() < 0.5 * away[::2].min(), away


@pytest.mark.parametrize("threshold", [0.0, torch.inf])
def test_only_a_picture_that_is_stuck_gets_other_starts_and_is_not_worse_for_them(
    convnet, monkeypatch, threshold
):
    monkeypatch.setattr(module, "STUCK", threshold)
    view = convnet.white_box()
    targets = stack([target_of(inspect_view(view), error_known=True)] * 2)

    def encode(inputs):
        return call(halves(view.net)[0], view.before, inputs)

    inner = encode(convnet.forget.inputs).expand(2, 1, -1, -1, -1)

    def away(tries):
        settings = Settings(lr=0.1, iterations=3, tv=0.1, phases=(1, 1, 1, 1, 1), tries=tries)
        session = Session([torch.Generator().manual_seed(i) for i in range(2)])
        found = picture_of(targets, inner, picture=None, settings=settings, session=session)
        return distance(encode, found.flatten(0, 1), inner.flatten(0, 1))

    once, thrice = away(1), away(3)
    assert (thrice <= once).all()
    assert torch.equal(once, thrice) == (threshold > 0)
