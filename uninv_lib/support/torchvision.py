"""Import torchvision, also where its compiled operators do not fit the installed torch.

A CPU wheel of torch beside a CUDA wheel of torchvision is common (pytorch/vision#9077, #8985).
torchvision's compiled library then does not load, and `import torchvision` stops while it attaches
Python code to operators that nobody declared. Datasets, transforms and models need none of them:
declaring the two names is enough.
"""

import importlib
import sys
from types import ModuleType

import torch

from uninv_lib.support.extras import needs

_SCHEMAS = ("nms", "qnms")
_declared: list[
    torch.library.Library
] = []  # a Library that is garbage-collected takes its operators with it


def import_torchvision(submodule: str = "") -> ModuleType:
    """torchvision, or one of its submodules (`"models"`, `"datasets"`).

    Raises ModuleNotFoundError where torchvision is not installed.
    """
    name = f"torchvision.{submodule}" if submodule else "torchvision"
    try:
        with needs("vision"):
            return importlib.import_module(name)
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
    for loaded in [m for m in sys.modules if m.split(".")[0] == "torchvision"]:
        del sys.modules[loaded]
    library = torch.library.Library("torchvision", "DEF")
    for schema in _SCHEMAS:
        library.define(f"{schema}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared.append(library)
    return importlib.import_module(name)
