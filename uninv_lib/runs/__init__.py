"""Many runs: a grid in a file -> a folder for each run -> one table -> one page."""

from uninv_lib.results import RESULTS, frame, grid, read

__all__ = ["RESULTS", "frame", "grid", "read"]
