"""What the recovery explorer shows: python benchmarks/explorer.py; results/explorer.safetensors.

About six minutes on one core, with OMP_NUM_THREADS=1 as the book is built.
"""

from uninv_lib.widgets.recorded import record
from uninv_lib.widgets.recovery import GRID

record(GRID)
