"""torchvision's ResNet18, for small images."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field
from torch import nn

from uninv_lib.models.normalise import images_only
from uninv_lib.models.parts import NORMALISATIONS
from uninv_lib.support.torchvision import import_torchvision

PUBLISHED = 64
"""Channels of the first stage, which torchvision's class takes for granted."""


def resnet18(
    shape: tuple[int, ...],
    classes: int,
    *,
    width: Annotated[
        int, Field(ge=1, le=PUBLISHED, description="channels of the first layer")
    ] = PUBLISHED,
    normalisation: Annotated[
        Literal["batch", "group"], Field(description="of a convolution's channels")
    ] = "batch",
) -> list[nn.Module]:
    """torchvision's ResNet18 with a 3x3 stem and without the first pooling, as usual for small
    images.
    """
    images_only("resnet18", shape)
    resnet = import_torchvision("models.resnet")

    class Narrowed(resnet.ResNet):  # type: ignore[misc, name-defined]
        def _make_layer(self, block: Any, planes: int, *others: Any, **options: Any) -> nn.Module:
            if planes == PUBLISHED:
                self.inplanes = width
            narrowed = planes * width // PUBLISHED
            layer: nn.Module = super()._make_layer(block, narrowed, *others, **options)
            return layer

    norm = NORMALISATIONS[normalisation]
    net = Narrowed(resnet.BasicBlock, [2, 2, 2, 2], num_classes=classes, norm_layer=norm)
    net.conv1 = nn.Conv2d(shape[0], width, 3, padding=1, bias=False)
    net.maxpool = nn.Identity()
    if width != PUBLISHED:
        net.bn1, net.fc = norm(width), nn.Linear(8 * width, classes)
    return [net]
