"""What public data tell of the part of an update that retained samples made."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from uninv_lib.attacks.adaptive.low_rank import (
    linear_layers,
    moved_by,
    nearest,
    parts_of,
    rows_of,
    update_of,
)
from uninv_lib.attacks.search.costs import dummy_gradient
from uninv_lib.models import logits
from uninv_lib.types import WhiteBoxView
