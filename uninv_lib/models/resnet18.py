"""torchvision's ResNet18, for small images."""

from __future__ import annotations

from torch import nn

from uninv_lib.models.normalise import images_only
from uninv_lib.support.torchvision import import_torchvision


def resnet18(shape: tuple[int, ...], classes: int) -> list[nn.Module]:
    """torchvision's ResNet18 with a 3x3 stem and without the first pooling, as usual for small
    images.
    """
    images_only("resnet18", shape)
    net = import_torchvision("models").resnet18(num_classes=classes)
    net.conv1 = nn.Conv2d(shape[0], 64, 3, padding=1, bias=False)
    net.maxpool = nn.Identity()
    return [net]
