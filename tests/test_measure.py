"""What a run is measured by."""

import pytest
import torch

from uninv_lib import Spec, run
from uninv_lib.measure import METRICS, Metric
from uninv_lib.measure.features import shared
from uninv_lib.types import Reconstruction


@pytest.mark.parametrize(
    ("given", "message"),
    [(1.0, "AttributeError"), ({"": "high"}, "ValueError"), (None, "NoneType")],
)
def test_a_metric_that_fails_is_told_by_its_name(monkeypatch, given, message):
    monkeypatch.setitem(METRICS[Reconstruction], "mine", Metric("", "ours", lambda _: given))
    with pytest.raises(RuntimeError, match=f"metric 'mine': .*{message}"):
        run(Spec(dataset="digits", model="linear", budget="smoke"))


@pytest.mark.parametrize(
    ("found", "share"),
    [
        ([2, 1, 0], 1),
        ([0, 1, -1], 2 / 3),
        ([-1, -1, 2], 1 / 3),
        ([2, 2, 2], 1 / 3),
        ([3, 0, 1], 2 / 3),
    ],
)
def test_labels_of_several_count_in_any_order_and_each_once(found, share):
    assert shared(torch.tensor(found), torch.tensor([0, 1, 2])) == pytest.approx(share)


def test_an_update_that_tells_no_label_is_still_a_change():
    ensemble = {"dataset": "digits", "model": "linear", "training": "sharded", "budget": "smoke"}
    metrics = run(Spec(**ensemble, unlearning="sisa", forget_size=2)).metrics
    assert metrics["label_accuracy"] == 0
    assert metrics["something_changed"] == 1


def test_two_classes_are_read_from_an_update_that_was_rounded():
    table = {"dataset": "breast_cancer", "model": "mlp", "budget": "smoke"}
    assert "gain_adaptive" in run(Spec(**table, defense="precision", strength=8)).metrics
