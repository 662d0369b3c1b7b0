"""The attacks. They receive a view and nothing else; a test keeps this package away from data and
training.
"""

from uninv_lib.attacks.features.recover import recover_features
from uninv_lib.attacks.labels.answers import infer_labels
from uninv_lib.attacks.labels.probes import make_probes

__all__ = ["infer_labels", "make_probes", "recover_features"]
