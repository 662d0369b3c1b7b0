"""Both sides of one run before the attack: pretraining, private training, the request, unlearning
and defense.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from uninv_lib import training
from uninv_lib.attacks.adaptive import ADAPTIVE, assumed
from uninv_lib.data import load
from uninv_lib.defenses import DEFENSES
from uninv_lib.models import AT_ONCE, build, logits
from uninv_lib.models.ensemble import PREFIX, changed_member, member_state
from uninv_lib.service import asked
from uninv_lib.spec import Spec
from uninv_lib.support.cache import digest
from uninv_lib.support.progress import Progress
from uninv_lib.training import fitted, train
from uninv_lib.training.sharded import places
from uninv_lib.types import (
    BlackBoxView,
    Dataset,
    Recipe,
    Recorded,
    Split,
    State,
    Trained,
    WhiteBoxView,
)
from uninv_lib.unlearning import UNLEARNING

EPOCHS = {"smoke": (2, 6), "quick": (5, 36), "default": (5, 36), "full": (120, 360)}
"""Epochs of pretraining with at least 1,000 public samples, and with fewer. 120 is published; 5 is
what a chapter can wait for (ours)."""


RELEASES = 8
"""Of the same unlearned model, where a server knows of several."""


@dataclass(frozen=True)
class Scene:
    """Both sides of one run before the attack: what the developer knows, and the views that the
    attackers get.
    """

    spec: Spec
    dataset: Dataset
    trained: Trained
    forget: Split
    retain: Split
    unlearned: State
    released: State
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Of stages that a Record tells apart: "unlearn"."""

    @property
    def private(self) -> Split:
        """The private samples, the forgotten ones first."""
        return self.forget.and_then(self.retain)

    def last_minibatches(self) -> tuple[Split, Split]:
        """Who was in the last minibatch of one epoch of private training, and who stood in its
        place when exact unlearning trained again: one sample less, nobody where it held one.
        """
        spec, last = self.spec, self.trained.batch_size
        private = private_of(spec).to(self.forget.inputs)
        start = (len(private) - 1) // last * last
        order = torch.randperm(len(private), generator=rng_of("fine_tune", spec.seed))
        rng = rng_of("unlearn", spec.seed, spec.request)
        again = torch.randperm(len(self.retain), generator=rng)
        return private.take(order[start:]), self.retain.take(again[start:])

    def white_box(self, *more: str) -> WhiteBoxView:
        """The server's view, with the assumptions of `spec.knowledge` and these more. It knows the
        loss, which an update that was rounded or turned may not tell.

        The members of an ensemble are models by themselves, and which of them changed shows: where
        it is one, the view is of that member, and private_size the number of its samples.
        """
        names = {*self.spec.knowledge, *more}
        known: dict[str, Any] = {name: self._assumption(name) for name in sorted(names)}
        view = WhiteBoxView(
            self.trained.net,
            self.trained.state,
            self.released,
            self.dataset.input_shape,
            len(self.forget),
            loss="cross_entropy",
            **known,
        )
        member = changed_member(view.net, view.before, view.after)
        return view if member is None else self._of_member(view, member)

    def _of_member(self, view: WhiteBoxView, member: int) -> WhiteBoxView:
        """The view of one member of an ensemble."""
        shards = self.trained.options["shards"]
        size = (places(self.private, shards, 1)[:, 0] == member).sum().item()
        return replace(
            view,
            net=view.net.get_submodule(f"{PREFIX}{member}"),
            before=member_state(view.before, member),
            after=member_state(view.after, member),
            pretrained=view.pretrained and member_state(view.pretrained, member),
            private_size=view.private_size and int(size),
        )

    def knowing(self) -> WhiteBoxView:
        """What who knows of the defense, one of ADAPTIVE, makes of the server's view, and of what
        it assumes.
        """
        defense = self.spec.defense
        return ADAPTIVE[defense](self.white_box(*assumed(defense)))

    def _assumption(self, name: str) -> Any:
        """What a server knows that is told this; by the name of the view's field."""
        if name == "labels":
            return self.forget.labels
        if name == "pretrained":
            return self.trained.pretrained
        if name == "private_size":
            return len(self.forget) + len(self.retain)
        if name == "public":
            return self.public.inputs
        if name == "weight_decay":  # of the mean over those who were retained
            return self.spec.weight_decay / max(1, len(self.retain))
        if name == "releases":
            return tuple(defended(self, i) for i in range(1, RELEASES))
        return getattr(self.spec, name)

    def noise(self) -> tuple[torch.Generator, torch.Generator]:
        """What a noisy service draws from, before and after: the former serves all requests."""
        seed, request = self.spec.seed, self.spec.request
        return rng_of("answers", seed), rng_of("answers", seed, request)

    def black_box(
        self, noise: tuple[torch.Generator, torch.Generator] | None = None
    ) -> BlackBoxView:
        """The user's view: answers as the service of `spec.answers` gives them."""
        like, shape = self.forget.inputs.new_zeros(()), self.dataset.input_shape
        before, after = (
            asked(self.trained.net, state, self.spec.answers, rng, input_shape=shape)
            for state, rng in zip(
                (self.trained.state, self.released), noise or self.noise(), strict=True
            )
        )
        return BlackBoxView(before, after, self.dataset.num_classes, shape, like=like)

    @property
    def public(self) -> Split:
        """The public samples, as the models take them."""
        return self.dataset.public.to(self.forget.inputs)


def device_of(device: str, dtype: str = "float32") -> torch.device:
    """The device asked for; "auto" takes CUDA, else the CPU: on MPS max-pooling has no second
    derivative, and a warning says so where that would be there. Raises ValueError where it is not
    there.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    name = ("cuda" if there["cuda"] else "cpu") if device == "auto" else device
    if device == "auto" and name == "cpu" and there["mps"]:
        warnings.warn(
            "device: 'auto' takes the CPU, for on mps max-pooling has no second derivative, which "
            "the search needs; allowed for a net without: device='mps'",
            stacklevel=2,
        )
    if not there[name]:
        allowed = ", ".join(d for d in there if there[d])
        raise ValueError(f"device: {name!r} is not on this machine; allowed: auto, {allowed}")
    if name == "mps" and dtype == "float64":
        raise ValueError("dtype: 'float64' on mps; allowed: float32, or device='cpu'")
    return torch.device(name)


def rng_of(*parts: int | str) -> torch.Generator:
    """A generator of its own for each purpose, so that no stage shifts another's draws."""
    return torch.Generator().manual_seed(int(digest(*parts), 16) % 2**63)


def data_of(spec: Spec) -> Dataset:
    """The data set of a Spec. Raises what `load` raises."""
    return load(spec.dataset, **spec.options("dataset"))


def pretrain(spec: Spec, *, progress: Progress = False) -> tuple[torch.nn.Module, State]:
    """The net and θ_0, trained on the public samples; kept on disk by what they depend on."""
    dataset, device = data_of(spec), device_of(spec.device, spec.dtype)
    net = build(spec.model, dataset, seed=spec.model_seed, **spec.options("model"))
    found = training.pretrain(
        net,
        dataset,
        rng=rng_of("pretrain", spec.model_seed),
        epochs=spec.epochs or EPOCHS[spec.budget][len(dataset.public) < 1000],
        device=device,
        augmentation=spec.augmentation,
        key=[spec.dataset, spec.model, spec.model_seed, spec.options("model")],
        code=[build, load, *spec.methods("dataset", "model")],
        progress=progress,
    )
    like = torch.zeros(0, dtype=getattr(torch, spec.dtype), device=device)
    state = {n: t.to(like) if t.is_floating_point() else t.to(device) for n, t in found.items()}
    return net.to(like), state


def classes_in_turn(seed: int, num_classes: int) -> list[int]:
    """The classes that requests 0, 1, 2, ... forget a share of, where the private samples hold all
    of them.
    """
    return torch.randperm(num_classes, generator=rng_of("classes", seed)).tolist()


def choose(spec: Spec, private: Split) -> tuple[Split, Split]:
    """(forget, retain) for this deletion request: forget_size samples, or a share of each of
    forget_classes classes.

    Requests 0, 1, 2, ... take the private samples in turn, or the classes, in an order drawn from
    the seed.
    """
    if spec.forget_share is None:
        order = torch.randperm(len(private), generator=rng_of("people", spec.seed)).roll(
            -spec.request * spec.forget_size
        )
        return private.take(order[: spec.forget_size]), private.take(order[spec.forget_size :])
    present = private.labels.unique()
    if spec.forget_classes > len(present):
        allowed = f"1 to {len(present)}, the private classes"
        raise ValueError(f"forget_classes: {spec.forget_classes}; allowed: {allowed}")
    turn = classes_in_turn(spec.seed, len(present))
    rng, chosen = rng_of("request", spec.seed, spec.request), []
    for i in range(spec.request, spec.request + spec.forget_classes):
        own = (private.labels == present[turn[i % len(present)]]).nonzero()[:, 0]
        count = max(1, round(spec.forget_share * len(own)))
        chosen.append(own[torch.randperm(len(own), generator=rng)[:count]])
    own = torch.cat(chosen)
    rest = torch.ones(len(private), dtype=torch.bool).index_fill(0, own, False).nonzero()[:, 0]
    return private.take(own), private.take(rest)


def private_of(spec: Spec) -> Split:
    """The private samples that the seed draws. Raises ValueError where the data set has fewer than
    private_size.
    """
    pool, order = _drawn(spec)
    return pool.take(order[: spec.private_size])


def never_seen(spec: Spec) -> Split:
    """Samples of the same kind that the seed did not draw. Raises what `private_of` raises."""
    pool, order = _drawn(spec)
    return pool.take(order[spec.private_size :])


def _drawn(spec: Spec) -> tuple[Split, torch.Tensor]:
    pool = data_of(spec).private
    if spec.private_size > len(pool):
        allowed = f"allowed for {spec.dataset}: 1 to {len(pool)}"
        raise ValueError(f"private_size: {spec.private_size}; {allowed}")
    return pool, torch.randperm(len(pool), generator=rng_of("private", spec.seed))


def fitting(spec: Spec, defaults: Collection[str]) -> tuple[Spec, str]:
    """The Spec with sizes that nobody chose lowered to what its data set has, and a sentence that
    says so, or none. defaults: the fields that nobody chose. Raises what `load` raises.
    """
    if "private_size" not in defaults:
        return spec, ""
    pool = len(data_of(spec).private)
    names = [n for n in ("private_size", "forget_size") if n in defaults]
    lowered = {n: pool for n in names if getattr(spec, n) > pool}
    if not lowered:
        return spec, ""
    said = " and ".join(f"{name} is {pool} in place of {getattr(spec, name)}" for name in lowered)
    return spec.but(**lowered), f"{spec.dataset} has {pool} private samples: {said}."


def prepare(spec: Spec, *, progress: Progress = False) -> Scene:
    """Everything up to the attack: pretrain, fine-tune on the private samples, unlearn the request,
    defend.

    Raises ValueError where the data set has fewer private samples than private_size,
    FloatingPointError where unlearning diverges.
    """
    private = private_of(spec)
    return scene_of(spec, private, choose(spec, private), progress=progress)


def scene_of(
    spec: Spec, private: Split, parts: tuple[Split, Split], *, progress: Progress = False
) -> Scene:
    """The same of any private samples, and of any (forget, retain) of them."""
    net, pretrained = pretrain(spec, progress=progress)
    like = next(iter(net.parameters())).detach()
    recipe = Recipe(
        net=net,
        pretrained=pretrained,
        training=spec.training,
        options=spec.options("training"),
    )
    trained = trained_on(fitted(recipe), private.to(like), rng=rng_of("fine_tune", spec.seed))
    forget, retain = (part.to(like) for part in parts)
    started = time.perf_counter()
    unlearned = unlearn(spec, trained, forget, retain, rng_of("unlearn", spec.seed, spec.request))
    seconds = {"unlearn": time.perf_counter() - started}
    scene = Scene(spec, data_of(spec), trained, forget, retain, unlearned, unlearned, seconds)
    scene = replace(scene, released=defended(scene))
    _answers(scene)
    return scene


def _answers(scene: Scene) -> None:
    """Raise FloatingPointError where the released model has no answer to its private samples."""
    with torch.no_grad():
        given = logits(scene.trained.net, scene.released, scene.private.inputs[:AT_ONCE])
    if not given.isfinite().all():
        raise FloatingPointError(
            f"{scene.spec.unlearning}, {scene.spec.defense}: the released model answers with NaN "
            "or infinity; take a lower rate, strength or noise"
        )


def defended(scene: Scene, *number: int) -> State:
    """What the Spec's defense makes of the unlearned model; number: of a further release, which
    draws anew.
    """
    rng = rng_of("defend", scene.spec.seed, scene.spec.request, *number)
    return defend(scene.spec, scene.unlearned, scene.trained, scene.retain, rng)


def trained_on(recipe: Recipe, private: Split, *, rng: torch.Generator) -> Trained:
    """A recipe, followed on private samples, and what was recorded meanwhile."""
    history: list[Recorded] = []
    state = train(recipe, private, rng=rng, history=history)
    return Trained(**vars(recipe), state=state, history=tuple(history))


def unlearn(
    spec: Spec, trained: Trained, forget: Split, retain: Split, rng: torch.Generator
) -> State:
    """What the Spec's unlearning makes of a model."""
    options = spec.options("unlearning")
    return UNLEARNING[spec.unlearning](trained, forget, retain, rng=rng, **options)


def defend(
    spec: Spec, unlearned: State, trained: Trained, retain: Split, rng: torch.Generator
) -> State:
    """What the Spec's defense releases in its place."""
    options = spec.options("defense")
    return DEFENSES[spec.defense](unlearned, trained, retain, rng=rng, **options)
