"""Label inference in white box: the forgotten class is the one whose logit the last layer's
parameters lowered most.
"""

from __future__ import annotations

import torch

from uninv_lib.anatomy import Anatomy, entered, joined
from uninv_lib.attacks.features.second_order import (
    first_order,
    last_features,
    last_layer_gradient,
)
from uninv_lib.attacks.inspection import inspect_view
from uninv_lib.attacks.search.last_layer import signed
from uninv_lib.types import LabelScores, WhiteBoxView

SCORES = ("bias", "rows", "answer", "logit", "curvature")


def labels_of_parameters(view: WhiteBoxView, *, score: str = "logit") -> LabelScores:
    """Rank the classes by what unlearning did to the last layer; asks no answers.

    score: "bias", the change of each class's bias alone; "rows" (ours), the sum of the changes of
    all parameters of the class, which have the sign of its output error where no feature is
    negative (where one is, the bias alone), so that a class still shows whose bias drowned in
    rounding; "answer" (ours), what the model before answers to the features behind the change, for
    who does not know which labels' loss was climbed; none of these needs anything beyond the threat
    model. "logit" (ours), the change
    Δw_c · h_c + Δb_c of each logit at the mean h_c of the public features that the model before
    takes for class c; "curvature" (ours), the same of the gradient that `last_layer_gradient` finds
    behind the change. The last two assume `view.public`, without
    labels. Raises ValueError for an unknown score and without public data, NothingChanged where the
    last layer is the same in both models.
    """
    if score not in SCORES:
        raise ValueError(f"score: {score!r}; allowed: {', '.join(SCORES)}")
    alone = score in ("bias", "rows", "answer")
    if not alone and view.public is None:
        raise ValueError(f"view.public: None; score {score!r} assumes public samples")
    request = inspect_view(view)
    view, anatomy = request.view, request.anatomy
    if score == "answer":
        return _answered(first_order(view), anatomy)
    moved = last_layer_gradient(view if score == "curvature" else first_order(view), anatomy)
    if alone or view.public is None:
        whole = score == "rows" and not signed(anatomy, view.before)
        change = moved.sum(1) if whole else moved[:, -1]
        return LabelScores(change, change.argsort(), 0)
    rows = entered(anatomy, view.before, view.public)
    taken = (rows @ joined(view.before, anatomy.head).T).argmax(1)
    own = torch.stack(
        [
            rows[taken == c].mean(0) if (taken == c).any() else rows.mean(0)
            for c in range(len(moved))
        ]
    )
    change = (moved * own).sum(1)
    return LabelScores(change, change.argsort(), 0)


def _answered(view: WhiteBoxView, anatomy: Anatomy) -> LabelScores:
    features = last_features(view, anatomy).features.cpu().double()
    rows = torch.cat([features, features.new_ones(len(features), 1)], 1)
    change = -(rows @ joined(view.before, anatomy.head).T).softmax(1).sum(0)
    return LabelScores(change, change.argsort(), 0)
