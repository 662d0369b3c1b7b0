import sys
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from uninv_lib import Spec, prepare
from uninv_lib.attacks import ATTACKS, Session, recover_features
from uninv_lib.attacks.exact import inner
from uninv_lib.attacks.exact.chain import Block, Chain
from uninv_lib.attacks.exact.decisions import paired
from uninv_lib.attacks.exact.entered import _inverse, solved
from uninv_lib.attacks.exact.guess import Guess, heat
from uninv_lib.attacks.exact.inner import (
    at_rounding,
    certified,
    last_layer,
    polished,
    solve_inner,
)
from uninv_lib.attacks.exact.layer import Layer
from uninv_lib.attacks.exact.moves import shifted
from uninv_lib.attacks.features.inner_maps import INNER_MAPS
from uninv_lib.attacks.search.settings import changed
from uninv_lib.attacks.search.solved import apart

SIDE, CLASSES = 7, 6


def made(seed: int = 0, channels: tuple[int, int, int] = (8, 32, 32)) -> tuple[Chain, Tensor]:
    """A chain with a convolution and then one that pools by 3, windows of which leave a row and a
    column over, told what one sample's gradient is up to rounding; and the sample, (1, ...).
    """
    rng = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng, dtype=torch.float64)

    sample = drawn(1, channels[0], SIDE, SIDE).relu()
    weights = [0.15 * drawn(o, i, 3, 3) for i, o in pairwise(channels)]
    head = 0.2 * drawn(CLASSES, channels[-1] * (SIDE // 3) ** 2)
    blocks = tuple(_blank(i, weight) for i, weight in enumerate(weights))
    chain = Chain(
        torch.zeros(sample.shape[1:]).double(),
        torch.ones(sample.shape[1:]).double(),
        blocks,
        head,
        torch.zeros(CLASSES).double(),
        torch.zeros(CLASSES).double(),
        torch.zeros(head.shape[1]).double(),
        1.0,
    )
    return _told(chain, sample, rng), sample


def _blank(index: int, weight: Tensor) -> Block:
    zero = torch.zeros(len(weight)).double()
    empty = torch.zeros_like(weight)
    return Block(f"{index}", weight, zero, empty, empty, 1 + 2 * index)


def _told(chain: Chain, sample: Tensor, rng: torch.Generator) -> Chain:
    free = [replace(b, weight=b.weight.clone().requires_grad_()) for b in chain.blocks]
    features = replace(chain, blocks=tuple(free)).entered(sample)[-1]
    errors = (features.detach() @ chain.weight.T)[0].softmax(0) - one_hot(torch.tensor(2), CLASSES)
    slopes = torch.autograd.grad(
        (features @ chain.weight.T @ errors).sum(), [b.weight for b in free]
    )
    blocks = list[Block]()
    for block, slope in zip(chain.blocks, slopes, strict=True):
        noise = torch.full_like(slope, 1e-5 * float(slope.square().mean().sqrt()))
        rounding = 0.7 * noise * torch.randn(slope.shape, generator=rng, dtype=torch.float64)
        blocks.append(replace(block, slopes=slope + rounding, noise=noise))
    return replace(chain, blocks=tuple(blocks), features=features[0].detach(), errors=errors)


@pytest.fixture(scope="module")
def known() -> tuple[Chain, Layer, Guess, Tensor]:
    """A chain, its last layer, the true guess of it, and the sample."""
    chain, sample = made()
    layer = last_layer(chain)
    assert layer is not None
    return chain, layer, truth(layer, chain.entered(sample)[1]), sample


def truth(layer: Layer, entered: Tensor) -> Guess:
    likeliest = layer.cells(layer.linear(entered)).argmax(-1)
    return Guess(entered, one_hot(likeliest, layer.block.pool**2).double())


def off(found: Tensor, right: Tensor) -> float:
    return float((found - right).norm() / right.norm())


def test_cells_and_image_are_each_others_inverse_where_windows_lie(known) -> None:
    _, layer, _, _ = known
    image = torch.rand(2, 5, *layer.size).double()
    cells = layer.cells(image)
    assert cells.shape == (2, 5, 4, 9)
    assert torch.equal(cells[0, 0, 3], image[0, 0, 3:6, 3:6].flatten())
    back = layer.image(cells)
    assert torch.equal(back[..., :6, :6], image[..., :6, :6])
    assert not back[..., 6:, :].any()


def test_with_the_true_winners_the_map_is_solved_up_to_rounding(known) -> None:
    _, layer, true, _ = known
    blank = Guess(torch.zeros_like(true.entered), true.winners)
    found = polished(layer, blank, at_rounding(layer))
    assert off(found.entered, true.entered) < 1e-4
    assert certified(layer, found)


def test_a_solution_of_undecided_winners_lowers_what_the_equations_leave(known) -> None:
    _, layer, true, _ = known
    now = heat(layer, 0.3, torch.ones(1))
    vague = Guess(torch.zeros_like(true.entered), 0.9 * true.winners + 0.1 / 9)
    found = solved(layer, vague, now, steps=50)
    assert off(found, true.entered) < 0.3
    again = solved(layer, Guess(found, vague.winners), now, steps=50)
    assert off(again, true.entered) < 0.3


def test_outputs_with_wrong_pairs_of_windows_are_set_right(known) -> None:
    _, layer, true, _ = known
    outputs = torch.zeros(1, len(layer.values), dtype=torch.bool)
    outputs[0, :4] = True
    winners = true.winners.clone()
    winners[:, :4, :2] = winners[:, :4, :2].roll(1, -1)
    found = paired(layer, Guess(true.entered, winners), heat(layer, 0.01, torch.ones(1)), outputs)
    active = layer.values > 0
    assert torch.equal(found[0][active], true.winners[0][active])


def test_a_wrong_map_is_never_certified(known) -> None:
    _, layer, true, _ = known
    one = (layer.values > 0).nonzero()[3]
    winners = true.winners.clone()
    winners[0, one[0], one[1]] = winners[0, one[0], one[1]].roll(1)
    wrong = polished(layer, Guess(true.entered, winners), at_rounding(layer))
    assert not certified(layer, wrong)
    rng = torch.Generator().manual_seed(1)
    noisy = true.entered * (1 + 1e-3 * torch.randn(true.entered.shape, generator=rng))
    assert not certified(layer, Guess(noisy, true.winners))


def test_where_rounding_could_hide_a_wrong_map_nothing_is_certified(known) -> None:
    _, layer, true, _ = known
    coarse = replace(layer, block=replace(layer.block, noise=1000 * layer.block.noise))
    assert certified(layer, true)
    assert not certified(coarse, true)


@pytest.mark.slow
def test_both_maps_of_a_small_net_are_found_and_certified() -> None:
    chain, sample = made(3)
    right = chain.entered(sample)
    found, again = (solve_inner(chain, torch.Generator().manual_seed(0), 20) for _ in range(2))
    assert found is not None
    assert again is not None
    assert found.certified == ("1", "0")
    assert off(found.values["1"], right[1]) < 1e-4
    assert off(found.values["0"], right[0]) < 1e-3
    assert max(found.residuals.values()) < 2e-5
    assert all(torch.equal(found.values[name], again.values[name]) for name in found.values)


def test_the_block_in_front_whose_outputs_are_off_alike_is_left_uncertified(
    monkeypatch,
) -> None:
    chain, _ = made(3)
    first, last = chain.blocks
    sure = replace(chain, blocks=(replace(first, noise=first.noise * 1e-3), last))
    monkeypatch.setattr(inner, "WORST", -1.0)
    found = solve_inner(sure, torch.Generator().manual_seed(0), 20)
    assert found is not None
    assert found.certified == ("1",)
    assert all(values.isfinite().all() for values in found.values.values())


def test_what_ends_otherwise_is_not_solved() -> None:
    chain, _ = made()
    first, last = chain.blocks
    pooled = replace(chain, blocks=(replace(first, pool=2), last))
    bare = replace(chain, blocks=(first, replace(last, pool=1)))
    drowned = replace(chain, blocks=(first, replace(last, noise=1e4 * last.noise)))
    unseen = replace(chain, blocks=(first, replace(last, pool=4)))
    for other in (pooled, bare, drowned, unseen, replace(chain, blocks=(last,))):
        assert solve_inner(other, torch.Generator().manual_seed(0)) is None


def test_winners_are_shifted_to_the_edge_of_their_window_at_most() -> None:
    corner = one_hot(torch.tensor([0, 4]), 9).double()
    assert shifted(corner, 3, -1, 1).argmax(-1).tolist() == [1, 2]
    assert shifted(corner, 3, 1, 0).argmax(-1).tolist() == [3, 7]


@pytest.mark.slow
def test_the_certified_map_takes_the_place_of_the_one_found_by_descent() -> None:
    """Of the first of four requests whose maps are certified: another processor, another model."""
    spec = Spec(dataset="digits", model="convnet", width=4, budget="smoke")
    rngs = [torch.Generator().manual_seed(0) for _ in range(2)]
    short = {"iterations": 4, "rounds": 1}
    for request in range(4):
        view = prepare(spec.but(request=request)).white_box()
        found = recover_features(view, rng=rngs[0].manual_seed(0), exact=4, **short)
        if len(found.certified) == 2:
            break
    assert len(found.certified) == 2
    assert all(found.residuals[name] < 1e-3 for name in found.certified)
    assert found.loss.shape == (1, 4)
    longer = {"iterations": 6, "fading": 0.1}
    assert recover_features(view, rng=rngs[0], exact=4, solved=longer, **short).loss.shape == (1, 6)
    plain = recover_features(view, rng=rngs[1], solved=longer, **short)
    assert plain.loss.shape == (1, 4)
    assert not plain.certified
    assert not plain.residuals


def test_equations_that_are_singular_are_solved_where_they_say_something() -> None:
    row = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    both = torch.stack([row.T @ row, torch.zeros(2, 2).double()])
    found = _inverse(both)
    assert torch.allclose(both @ found @ both, both)
    assert not found[1].any()


def test_settings_of_what_is_solved_are_checked() -> None:
    for changes, message in (
        ({"fading": 0.0}, "fading: 0.0; allowed: above 0, at most 1"),
        ({"colours": -1}, "colours: -1; allowed: 0 or more"),
        ({"speed": 1}, "settings: .'speed'.; allowed: "),
    ):
        with pytest.raises(ValueError, match=message):
            changed(INNER_MAPS, {"solved": changes})


def test_requests_that_were_solved_are_recovered_apart_from_the_others() -> None:
    solved = torch.zeros(1, 1, 2, 2)
    assert apart([[0, 1, 2], [3]], [None, solved, None, solved]) == [[1], [0, 2], [3]]


def test_equations_at_the_edge_of_rounding_leave_the_search_of_fast(convnet, monkeypatch):
    def singular(*_):
        raise torch.linalg.LinAlgError("not positive-definite")  # type: ignore[attr-defined]

    module = sys.modules["uninv_lib.attacks.search.solved"]  # a function has its name
    monkeypatch.setattr(module, "solve_inner", singular)
    session = Session([torch.Generator().manual_seed(0)])
    found = ATTACKS["inner_maps"].function(convnet.white_box(), session=session, budget="smoke")
    assert any("no map is solved" in remark for remark in found.remarks)
    assert torch.isfinite(found.inputs).all()
