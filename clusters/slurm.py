"""Start a Dask cluster of Slurm jobs, print its address, and keep it until Ctrl-C: python
clusters/slurm.py JOBS.
"""

import signal
import sys
from pathlib import Path

import dask
import yaml
from dask_jobqueue import SLURMCluster


def cluster() -> SLURMCluster:
    """The cluster that slurm.yaml describes, without a job yet."""
    dask.config.update(
        dask.config.config, yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
    )
    return SLURMCluster()


if __name__ == "__main__":
    with cluster() as made:
        made.scale(jobs=int(sys.argv[1]))
        print(made.scheduler_address, flush=True)
        signal.pause()
