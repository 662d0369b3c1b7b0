"""The law of the stated attack on exact unlearning, and what several requests under one model give
away.
"""

from dataclasses import replace

import pytest
import torch

from uninv_lib import Spec, metrics, prepare
from uninv_lib.attacks.features.nuisance import (
    labels_of_requests,
    private_size_of,
    recover_together,
    without_common,
)
from uninv_lib.attacks.search.update import difference, forgotten_gradient
from uninv_lib.forecast import forecast_leak, stated_cosine
from uninv_lib.training import gradient
from uninv_lib.types import Split

WORDS = {
    "dataset": "digits",
    "budget": "smoke",
    "unlearning": "retrain",
    "dtype": "float64",
    "private_size": 16,
}


def flat(parts):
    return torch.cat([part.flatten() for part in parts.values()])


@pytest.fixture(
    scope="module",
    params=[{"model": "mlp"}, {"model": "convnet", "width": 4}],
    ids=["mlp", "convnet"],
)
def scenes(request):
    return [prepare(Spec(**WORDS, **request.param, request=i)) for i in range(6)]


def seen(scene):
    """Cosine of the stated estimate and the forgotten sample's gradient at θ_0."""
    update = difference(scene.trained.net, scene.trained.state, scene.released)
    exact = gradient(scene.trained.net, scene.trained.pretrained, scene.forget)
    return torch.cosine_similarity(flat(update), flat(exact), dim=0)


def test_the_law_has_its_known_values():
    sample = torch.tensor([[3.0, 0.0], [0.0, 1.0], [2.0, 0.0]], dtype=torch.float64)
    mean = torch.tensor([0.0, 4.0], dtype=torch.float64)
    found = stated_cosine(sample, mean)
    assert torch.allclose(found, torch.tensor([0.6, -1.0, 1 / 5**0.5], dtype=torch.float64))


def test_the_developer_foretells_what_each_deletion_shows(scenes):
    for scene in scenes[:3]:
        parts = scene.forget, scene.retain
        private = Split(torch.cat([p.inputs for p in parts]), torch.cat([p.labels for p in parts]))
        exact = forecast_leak(scene.trained.net, scene.trained.pretrained, private)
        later = forecast_leak(scene.trained.net, scene.trained.state, private)
        assert exact.cosine[0] == pytest.approx(seen(scene).item(), abs=1e-6)
        assert later.cosine[0] == pytest.approx(seen(scene).item(), abs=0.1)


def test_a_forecast_needs_company(scenes):
    with pytest.raises(ValueError, match="private: 1 samples; allowed: 2 or more"):
        forecast_leak(scenes[0].trained.net, scenes[0].trained.state, scenes[0].forget)


def test_the_median_of_the_others_takes_the_nuisance_away(scenes):
    views = [scene.white_box() for scene in scenes]
    before = torch.stack([seen(scene) for scene in scenes])
    cleaned = without_common(views)
    after = torch.stack(
        [seen(replace(s, released=v.after)) for s, v in zip(scenes, cleaned, strict=True)]
    )
    assert (after - before).median() > 0.02


def test_labels_of_several_requests_are_exact_in_any_net(scenes):
    views = [scene.white_box() for scene in scenes]
    assert labels_of_requests(views).tolist() == [int(scene.forget.labels) for scene in scenes]


def test_three_requests_give_three_samples_without_further_knowledge():
    scenes = [prepare(Spec(**WORDS, model="mlp", request=i)) for i in range(3)]
    found = recover_together([scene.white_box() for scene in scenes])
    for scene, recovery in zip(scenes, found, strict=True):
        assert metrics.psnr(recovery.inputs, scene.forget.inputs) > 60
        assert torch.equal(recovery.labels, scene.forget.labels)


def test_the_pretrained_model_tells_the_private_size(scenes):
    scene = scenes[0]
    view = replace(scene.white_box(), pretrained=scene.trained.pretrained)
    assert private_size_of(view) == 16
    update = forgotten_gradient(replace(view, private_size=16))[0]
    exact = gradient(scene.trained.net, scene.trained.pretrained, scene.forget)
    assert torch.cosine_similarity(flat(update), flat(exact), dim=0) > 0.9999


def test_what_the_functions_refuse(scenes, convnet):
    views = [scene.white_box() for scene in scenes]
    with pytest.raises(ValueError, match=r"\[1, 1\]; allowed: 3 or more views"):
        without_common(views[:2])
    moved = {name: tensor + 1 for name, tensor in views[1].before.items()}
    with pytest.raises(ValueError, match="models before that differ"):
        without_common([views[0], replace(views[1], before=moved), views[2]])
    with pytest.raises(ValueError, match="pretrained missing"):
        private_size_of(views[0])
    with pytest.raises(ValueError, match="first layer is not linear"):
        recover_together([convnet.white_box()] * 3)
