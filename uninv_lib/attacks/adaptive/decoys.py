"""Decoys told apart from the forgotten as several people are from each other."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import torch
from torch import Tensor

from uninv_lib.anatomy import anatomy_of_view, both
from uninv_lib.attacks.adaptive.low_rank import update_of
from uninv_lib.attacks.search.update import labels_of_bias
from uninv_lib.types import WhiteBoxView


def everybody(view: WhiteBoxView) -> WhiteBoxView:
    """The view of a release in which the decoys, whose number this attacker knows, were forgotten,
    too (ours).

    Who of the recovered is forgotten and who is a decoy it does not tell: the decoys leak as well.
    """
    more = int(view.strength or 0)
    if not more:
        return view
    labels = None if view.labels is None else _labels(view, view.labels, more)
    return replace(view, num_forgotten=view.num_forgotten + more, labels=labels)


def _labels(view: WhiteBoxView, known: Tensor, more: int) -> Tensor:
    """The known ones, and what the last bias tells of the others."""
    anatomy, update = anatomy_of_view(view), update_of(view)
    bias = both(anatomy.classifier)[1]
    if bias not in update:
        raise ValueError(f"net: no bias {bias!r}; allowed with labels of the forgotten: one")
    told = Counter(labels_of_bias(update[bias], len(known) + more).tolist())
    others = list((told - Counter(known.tolist())).elements())
    return torch.tensor([*known.tolist(), *others[:more]]).to(known.device)
