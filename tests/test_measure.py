"""What a run is measured by."""

import pytest

from uninv_lib import Spec, run
from uninv_lib.measure import METRICS, Metric
from uninv_lib.types import Reconstruction


@pytest.mark.parametrize(
    ("given", "message"),
    [(1.0, "AttributeError"), ({"": "high"}, "ValueError"), (None, "NoneType")],
)
def test_a_metric_that_fails_is_told_by_its_name(monkeypatch, given, message):
    monkeypatch.setitem(METRICS[Reconstruction], "mine", Metric("", "ours", lambda _: given))
    with pytest.raises(RuntimeError, match=f"metric 'mine': .*{message}"):
        run(Spec(dataset="digits", model="linear", budget="smoke"))
