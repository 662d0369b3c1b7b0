"""What a fully connected layer inside a net tells of several samples, each apart (ours)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from uninv_lib.anatomy import both
from uninv_lib.attacks.exact.labelled import people_at
from uninv_lib.attacks.inspection import Inspection
from uninv_lib.attacks.search.known import ErrorsKnown, Known


def told_inside(
    request: Inspection, names: Mapping[str, str], scale: Tensor
) -> tuple[Known, Tensor] | None:
    """(what is known of the samples, labels) where the first linear layer behind others, with a
    ReLU behind it, tells all of them apart; None otherwise.

    names: {name in the opened net: name in the net}; scale: by which the update was divided.
    """
    anatomy = request.anatomy
    linear = (n for n in anatomy.layers if isinstance(anatomy.net.get_submodule(n), nn.Linear))
    layer = next(linear, None)
    if request.view.num_forgotten == 1 or layer in (None, anatomy.last):
        return None
    found = people_at(request, str(layer))
    if found is None or len(found) != request.view.num_forgotten:
        return None
    weight = both(str(layer))[0]
    opened = next(name for name, old in names.items() if old == weight)
    known = ErrorsKnown(
        errors=found.errors.to(scale) / scale,
        features=found.people.entered.to(scale),
        layer=opened.rpartition(".")[0],
    )
    return known, found.labels.to(scale.device)
