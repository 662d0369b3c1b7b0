"""The page "Running a chapter again" says of sweeps what results/benchmark_sweep.jsonl holds."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_what_a_sweep_gains_and_costs_is_what_the_rows_hold() -> None:
    lines = (ROOT / "results" / "benchmark_sweep.jsonl").read_text(encoding="utf-8").splitlines()
    *compared, many = map(json.loads, lines)
    page = " ".join((ROOT / "book" / "reruns.md").read_text(encoding="utf-8").split())
    for row in compared:
        turns = f"{min(row['ratios']):.2f}, {max(row['ratios']):.2f}"
        assert f"| {row['ratio']:.2f} | {turns} |" in page
        assert f"| {row['runs']} " in page
    starts, costs = (
        [row["start_s"] for row in compared],
        [row["overhead_ms"] for row in compared[:2]],
    )
    assert "apart: {:.1f}, {:.1f} and {:.1f} s.".format(*starts) in page
    assert "with one worker, was {:.1f} and {:.1f} ms.".format(*costs) in page
    assert f"{many['runs']:,} runs that do nothing took {many['seconds']:.1f} s" in page
    assert f"all done, {many['resume_s']:.1f} s" in page
    assert (
        f"grew by {many['client_growth_mib']:.1f} MiB after the first quarter, to "
        f"{many['client_peak_mib']:.1f}." in page
    )
