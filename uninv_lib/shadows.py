"""Services of an attacker's own, and the samples that membership is asked of."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from uninv_lib.scene import Scene, choose, defend, never_seen, rng_of, trained_on, unlearn
from uninv_lib.service import asked
from uninv_lib.support.cache import digest, kept
from uninv_lib.support.code import code_of
from uninv_lib.types import Recipe, Shadows, Split

SERVICES, REQUESTS = 2, 8
"""Shadow services, and requests to each (ours): each request is an unlearning, and logistic
regression on a handful of columns asks for no more."""
PEOPLE = 64
"""Samples of each kind that membership is asked of, at most (ours)."""


def candidates_of(scene: Scene) -> tuple[Split, ...]:
    """The forgotten samples; retained ones, and ones that no model has seen, of their classes: who
    only shares the class moves with it, whoever was forgotten.
    """
    test = scene.dataset.test.to(scene.forget.inputs)
    drawn = torch.randperm(len(test), generator=rng_of("unseen", scene.spec.seed))
    others = (_alike(scene.forget, part) for part in (scene.retain, test.take(drawn)))
    return scene.forget, *others


def _alike(forget: Split, others: Split) -> Split:
    """Those of the classes of the forgotten ones, PEOPLE at most."""
    return others.take(torch.isin(others.labels, forget.labels).nonzero()[:PEOPLE, 0])


def shadows_of(scene: Scene) -> Shadows:
    """Answers of SERVICES that are made as the scene's is, from the same pretrained model, on
    private samples that the scene did not draw. Kept on disk for all requests to the scene's model.

    Raises ValueError where the data set has too few samples left, FloatingPointError where
    unlearning diverges for each of them.
    """
    spec = scene.spec
    settings = {name: value for name, value in spec.model_dump().items() if name != "request"}

    def compute() -> dict[str, torch.Tensor]:
        parts = [*zip(*_answers(scene), strict=True)]
        if not parts:
            raise FloatingPointError(
                f"{spec.unlearning}: diverged at each shadow service's request"
            )
        return dict(zip(("before", "after", "forgotten"), map(torch.cat, parts), strict=True))

    code = code_of(shadows_of, *spec.methods("training", "unlearning", "defense"))
    pool = never_seen(spec)
    drawn = len(scene.forget), pool.inputs, pool.labels
    name = digest(code, sorted(settings.items()), *scene.trained.pretrained.values(), *drawn)
    return Shadows(**kept("shadows", name, compute))


def _answers(scene: Scene) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """(before, after, forgotten) of one request each, of those that did not diverge."""
    spec, net, shape = scene.spec, scene.trained.net, scene.dataset.input_shape
    recipe = Recipe(**{name: getattr(scene.trained, name) for name in Recipe.__dataclass_fields__})
    for i in range(SERVICES):
        private, unseen = _own(scene, i)
        trained = trained_on(recipe, private, rng=rng_of("shadow", spec.seed, i))
        for request in range(REQUESTS):
            rng = rng_of("shadow", spec.seed, i, request)
            forget, retain = choose(spec.but(request=request), private)
            try:
                unlearned = unlearn(spec, trained, forget, retain, rng)
            except FloatingPointError:  # a model that diverged is released by nobody
                continue
            released = defend(spec, unlearned, trained, retain, rng)
            inputs = forget.and_then(_alike(forget, unseen)).inputs
            with torch.no_grad():
                before, after = (
                    asked(net, state, spec.answers, rng, input_shape=shape)(inputs).cpu()
                    for state in (trained.state, released)
                )
            yield before, after, torch.arange(len(inputs)) < len(forget)


def _own(scene: Scene, service: int) -> tuple[Split, Split]:
    """The private samples of a shadow service, as many as the scene's where there are enough, and
    samples that it has not seen.
    """
    spec, pool = scene.spec, never_seen(scene.spec)
    size = min(spec.private_size, len(pool) * 3 // 4)
    if len(scene.retain) and size <= len(scene.forget):
        raise ValueError(
            f"private_size: {spec.private_size}, which leaves {len(pool)} for shadow services; "
            "allowed for attack 'membership': fewer"
        )
    rng = rng_of("shadow people", spec.seed, service)
    private, unseen = torch.randperm(len(pool), generator=rng).tensor_split([size])
    pool = pool.to(scene.forget.inputs)
    return pool.take(private), pool.take(unseen)
