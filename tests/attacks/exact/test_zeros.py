import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from uninv_lib.attacks.exact.zeros import by_zeros

CLASSES, FEATURES = 10, 300


def update_of(given: Tensor, labels: Tensor, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """A last layer's update, [weight, bias], as float32 keeps it, by samples that gave it this; the
    layer.
    """
    rng = torch.Generator().manual_seed(seed)
    weight = 0.15 * torch.randn(CLASSES, FEATURES, generator=rng).double()
    bias = torch.zeros(CLASSES).double()
    errors = (given @ weight.T).softmax(1) - one_hot(labels, CLASSES)
    whole = torch.cat([given, torch.ones(len(given), 1)], 1)
    update = errors.T @ whole
    noise = torch.randn(update.shape, generator=rng, dtype=torch.float64)
    return update + 1e-5 * update.square().mean().sqrt() * noise, weight, bias


def drawn(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Features behind a ReLU, and labels, some of them alike."""
    rng = torch.Generator().manual_seed(100 + seed)
    given = torch.randn(count, FEATURES, generator=rng, dtype=torch.float64).relu()
    return given, torch.randint(CLASSES, (count,), generator=rng)


def away(found: Tensor, given: Tensor) -> Tensor:
    """(n,), of each that was found to the nearest that was given."""
    return (torch.cdist(found[:, :-1], given) / given.norm(dim=1)).amin(1)


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_everybody_is_told_apart_with_their_label(count: int) -> None:
    given, labels = drawn(count)
    update, weight, bias = update_of(given, labels)
    found = by_zeros(update, weight, bias, count, torch.Generator().manual_seed(0))
    nearest = torch.cdist(found[:, :-1], given).argmin(1)
    assert sorted(nearest.tolist()) == list(range(count))
    assert away(found, given).max() < 0.05
    assert torch.equal((update @ torch.linalg.pinv(found)).argmin(0), labels[nearest])


def test_who_drowns_in_rounding_does_not_hide_the_others() -> None:
    given, labels = drawn(4)
    update, weight, bias = update_of(given[:3], labels[:3])
    found = by_zeros(update, weight, bias, 4, torch.Generator().manual_seed(0))
    assert 3 <= len(found) <= 4
    assert (away(found, given[:3]) < 0.01).sum() == 3


def test_features_without_zeros_tell_nobody_apart() -> None:
    given, labels = drawn(3)
    update, weight, bias = update_of(given + 0.5, labels)
    found = by_zeros(update, weight, bias, 3, torch.Generator().manual_seed(0))
    assert len(found) < 3


@pytest.mark.parametrize(("count", "features"), [(9, FEATURES), (3, 3), (40, FEATURES)])
def test_nobody_is_found_where_nothing_could_prove_it(count: int, features: int) -> None:
    given, labels = drawn(count)
    update, weight, bias = update_of(given, labels)
    narrow = update[:, : features + 1], weight[:, :features]
    assert not len(by_zeros(*narrow, bias, count, torch.Generator().manual_seed(0)))
