"""What is measured: a scene and what attacks gave of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from uninv_lib import metrics
from uninv_lib.anatomy import Anatomy, anatomy_of_view
from uninv_lib.attacks import Session, baselines
from uninv_lib.attacks.features import second_order
from uninv_lib.attacks.inspection import inspect_view
from uninv_lib.attacks.search.last_layer import Separated
from uninv_lib.scene import Scene, rng_of
from uninv_lib.training import train
from uninv_lib.types import (
    Found,
    LabelScores,
    MembershipScores,
    Reconstruction,
    State,
    WhiteBoxView,
)

Values = Mapping[str, float]
"""A metric's values, by the suffix to its name."""
RETRAINED = 5
"""Two are the least that have a spread; of ten pairs it is steadier (ours)."""


@dataclass(frozen=True)
class Outcome:
    """What is measured. found: what the attack gave; knowing: what it gave to who knows of the
    defense, where one is known; rng: the attack's generator, as the attack left it.
    """

    scene: Scene
    found: Found
    rng: torch.Generator
    knowing: Reconstruction | None = None

    @cached_property
    def picture(self) -> Reconstruction:
        """What a feature recovery found."""
        assert isinstance(self.found, Reconstruction)
        return self.found

    @cached_property
    def scores(self) -> LabelScores:
        """What a label inference found."""
        assert isinstance(self.found, LabelScores)
        return self.found

    @cached_property
    def membership(self) -> MembershipScores:
        """What a membership attack found."""
        assert isinstance(self.found, MembershipScores)
        return self.found

    @cached_property
    def retrained(self) -> list[State]:
        """RETRAINED models that never saw the forgotten samples, the minibatches of each in an
        order of its own.
        """
        scene, seed, request = self.scene, self.scene.spec.seed, self.scene.spec.request
        orders = [rng_of("retrain", seed, request, i) for i in range(RETRAINED)]
        return [train(scene.trained, scene.retain, rng=rng) for rng in orders]

    @cached_property
    def anatomy(self) -> Anatomy:
        """Of the model before."""
        return anatomy_of_view(self.scene.white_box())

    @cached_property
    def changed(self) -> bool:
        """Whether the update was more than rounding leaves: then there is a label, or a picture
        that is not grey.
        """
        told, drawn = self.picture.labels >= 0, self.picture.inputs != 0.5
        return bool(told.any() or drawn.any())

    @cached_property
    def pictures(self) -> dict[str, Tensor]:
        """What was recovered, what the null baselines have, what who knows of the defense has, and
        what is found without curvature: each in the order of the truth, by its suffix.
        """
        truth, public, view = self.scene.forget.inputs, self.scene.public, self.scene.black_box()
        found = {
            "": self.picture.inputs,
            "_random": baselines.random_image(len(truth), truth.shape[1:], rng=self.rng).to(truth),
            "_class_mean": baselines.class_mean(self.picture.labels, public),
            "_max_diff": baselines.max_diff(view, public, len(truth)),
        }
        if self.knowing is not None:
            found["_adaptive"] = self.knowing.inputs
            found |= self._guesses(self.knowing)
        if "_first_order" in self.orders and second_order.is_linear(self.anatomy):
            session = Session([rng_of("attack", self.scene.spec.seed)])
            found["_first_order"] = second_order.recover(
                inspect_view(self._first_order), session=session
            ).inputs
        return {name: metrics.match(inputs, truth) for name, inputs in found.items()}

    def _guesses(self, knowing: Reconstruction) -> dict[str, Tensor]:
        """Of a recovery of more samples than were forgotten, as with decoys, of which the nearest
        count: the null baselines with as many guesses.
        """
        truth, public, view = self.scene.forget.inputs, self.scene.public, self.scene.black_box()
        count = len(knowing.inputs)
        if count == len(truth):
            return {}
        noise = baselines.random_image(count, truth.shape[1:], rng=self.rng).to(truth)
        return {
            "_random_adaptive": noise,
            "_class_mean_adaptive": baselines.class_mean(knowing.labels, public),
            "_max_diff_adaptive": baselines.max_diff(view, public, count),
        }

    @cached_property
    def orders(self) -> dict[str, Separated]:
        """What reached the last layer, as found with the curvature and without, by suffix."""
        if self.scene.spec.attack != "second_order" or not self.changed:
            return {}
        views = {"": self.scene.white_box(), "_first_order": self._first_order}
        return {name: second_order.last_features(view) for name, view in views.items()}

    @cached_property
    def _first_order(self) -> WhiteBoxView:
        return second_order.first_order(self.scene.white_box())

    def of_pictures(self, measure: Callable[[Tensor, Tensor], Tensor]) -> dict[str, float]:
        """The mean of a measure over the forgotten samples, for each of `pictures`."""
        truth = self.scene.forget.inputs
        return {name: measure(x, truth).mean().item() for name, x in self.pictures.items()}

    def right(self, ranked: Tensor) -> float:
        """The share of the forgotten classes among as many of the first of a ranking."""
        true = self.scene.forget.labels.unique().cpu()
        return torch.isin(ranked[: len(true)].cpu(), true).double().mean().item()
