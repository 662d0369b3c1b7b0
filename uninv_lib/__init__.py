"""uninv_lib: see, reproduce and measure how machine unlearning leaks what it forgets."""

import uninv_lib.support.threads  # noqa: F401, for torch reads once how its threads wait

# isort: split
from uninv_lib.data import load
from uninv_lib.experiment import run
from uninv_lib.inspection import inspect_net
from uninv_lib.scene import Scene, prepare
from uninv_lib.spec import Record, Spec

__all__ = ["Record", "Scene", "Spec", "inspect_net", "load", "prepare", "run"]
__version__ = "0.2.0"
