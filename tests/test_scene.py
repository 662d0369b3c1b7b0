"""What a scene tells of its private samples."""

import pytest
import torch

from uninv_lib import Spec, prepare
from uninv_lib.data import load
from uninv_lib.models import build
from uninv_lib.models.ensemble import Ensemble
from uninv_lib.scene import pretrain, private_of
from uninv_lib.spec import ASSUMPTIONS
from uninv_lib.training import sgd
from uninv_lib.training.sharded import places
from uninv_lib.types import Split, State

SMALL = {"dataset": "digits", "model": "linear", "budget": "smoke", "unlearning": "retrain"}


def rows(split: Split) -> list[tuple[float, ...]]:
    return sorted(tuple(sample.flatten().tolist()) for sample in split.inputs)


def test_the_private_samples_of_a_scene_begin_with_the_forgotten_ones() -> None:
    scene = prepare(Spec(**SMALL, private_size=12, request=5))
    assert torch.equal(scene.private.inputs[:1], scene.forget.inputs)
    assert torch.equal(scene.private.labels[:1], scene.forget.labels)
    assert rows(scene.private) == rows(private_of(scene.spec))


@pytest.mark.parametrize(("size", "counts"), [(130, (2, 1)), (129, (1, 0)), (128, (128, 127))])
def test_last_minibatches_are_those_that_training_took(
    size: int, counts: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Split] = []
    step = sgd.step

    def seen(net: torch.nn.Module, state: State, split: Split, rate: float) -> State:
        taken.append(split)
        return step(net, state, split, rate)

    monkeypatch.setattr(sgd, "step", seen)
    scene = prepare(Spec(**SMALL, private_size=size, request=3, seed=2))
    before, after = scene.last_minibatches()
    assert (len(before), len(after)) == counts
    steps = -(-size // 128)
    assert torch.equal(before.inputs, taken[steps - 1].inputs)
    if counts[1]:
        assert torch.equal(after.inputs, taken[-1].inputs)


@pytest.mark.parametrize("name", ASSUMPTIONS)
def test_what_a_spec_may_assume_stands_in_the_view(name: str) -> None:
    """θ_0 and N serve together only."""
    own = {
        "pretrained": {"knowledge": ("pretrained", "private_size")},
        "private_size": {"knowledge": ("pretrained", "private_size")},
        "unlearning_steps": {"unlearning": "gradient_ascent"},
        "weight_decay": {"training": "converged", "attack": "second_order"},
    }
    known = {"weight_decay": ("public", "weight_decay")}.get(name, (name,))
    spec = Spec(**SMALL | {"knowledge": known} | own.get(name, {}))
    assert getattr(prepare(spec).white_box(), name) is not None


def test_the_server_sees_the_member_that_changed_and_of_several_the_ensemble() -> None:
    knowledge = ("pretrained", "private_size")
    words = SMALL | {"unlearning": "sisa", "training": "sharded", "knowledge": knowledge}
    scene = prepare(Spec(**words, shards=3, private_size=40))
    view = scene.white_box()
    where = places(scene.private, 3, 1)[:, 0]
    home = where[0]
    assert view.private_size == (where == home).sum()
    assert isinstance(scene.trained.net, Ensemble)
    assert view.net is scene.trained.net.members[int(home)]
    for state, whole in (
        (view.before, scene.trained.state),
        (view.after, scene.released),
        (view.pretrained, scene.trained.pretrained),
    ):
        assert state is not None
        assert state.keys() == view.net.state_dict().keys()
        assert all(state[name] is whole[f"members.{home}.{name}"] for name in state)
    several = prepare(Spec(**words, shards=3, private_size=40, forget_size=20)).white_box()
    assert isinstance(several.net, Ensemble)
    assert several.private_size == 40


@pytest.mark.parametrize(
    "spoiled",
    [
        {"model": "convnet", "width": 4, "unlearning_rate": 1e6},
        {"model": "linear", "defense": "obfuscation", "strength": 1e39},
    ],
)
def test_a_released_model_that_has_no_answer_is_an_error(spoiled: dict[str, object]) -> None:
    with pytest.raises(FloatingPointError, match="take a lower rate, strength or noise"):
        prepare(Spec(dataset="digits", budget="smoke", **spoiled))


def test_four_steps_of_pretraining_have_a_schedule() -> None:
    split = load("digits").public.take(torch.arange(40))
    net = build("linear", load("digits"))
    sgd.fit(net, split, epochs=4, batch_size=40, rng=torch.Generator().manual_seed(0))


def test_pretraining_without_augmentation_gives_another_model_of_pictures_only() -> None:
    def pretrained(dataset: str, augmentation: bool) -> State:
        return pretrain(
            Spec(dataset=dataset, model="linear", budget="smoke", augmentation=augmentation)
        )[1]

    for dataset, changes in (("photos", True), ("breast_cancer", False)):
        one, other = (pretrained(dataset, augmentation) for augmentation in (True, False))
        assert any(not torch.equal(one[n], other[n]) for n in one) == changes
