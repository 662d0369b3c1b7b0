"""Label inference by a user who rehearses it: python benchmarks/shadows.py; a row a request in results/shadows.jsonl.

The user holds labelled public samples and knows the kind of net. On one half of the samples shadow models are
pretrained, on the other fine-tuned, and samples of every class are forgotten from them; a logistic regression learns
which class was forgotten from how the log-odds of public samples change (shadow models: Salem et al. 2020, Chen et al.
2021; here for the forgotten label). The requests are those of sweeps/labels_scores_convnet.yaml.
"""

import json

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from uninv_lib import prepare
from uninv_lib.attacks.labels import log_odds
from uninv_lib.data import load
from uninv_lib.metrics import wilson
from uninv_lib.models import build, predictor
from uninv_lib.scene import LR, rng_of
from uninv_lib.sweep import RESULTS, read
from uninv_lib.training import fine_tune, fit, step
from uninv_lib.types import Predict

SHADOWS, DRAWS, FORGOTTEN = 8, 5, (1, 5)
PENALTIES = [0.01, 0.1, 1, 10]  # inverse strengths; cross-validated over shadows


@torch.no_grad()
def falls(before: Predict, after: Predict, samples: torch.Tensor) -> np.ndarray:
    """(2 · classes,) mean and smallest change of log-odds over the samples taken for each class, each of length 1."""
    answers = before(samples)
    taken = answers.argmax(1)
    own = (log_odds(after(samples)) - log_odds(answers)).gather(1, taken[:, None])[:, 0]
    parts = [own[taken == label] for label in range(answers.shape[1])]
    found = torch.stack([torch.stack([part.mean(), part.min()]) for part in parts], 1)
    return torch.nn.functional.normalize(found, eps=1e-300).flatten().numpy()


def rehearsed(spec, seed: int) -> list[tuple[np.ndarray, int]]:
    """What forgetting does to one shadow model, DRAWS times for each class and number of samples."""
    dataset, rng = load(spec.dataset), rng_of("shadow", seed)
    first, second = (dataset.public.take(part) for part in torch.randperm(len(dataset.public), generator=rng).chunk(2))
    net = build(spec.model, dataset, width=spec.width, seed=10_000 + seed)
    state = fit(net, first, rng=rng, epochs=40, lr=0.05, batch_size=16, augment=True)
    before = fine_tune(net, state, second, rng=rng, lr=LR)
    found = []
    for label in range(dataset.num_classes):
        own = (second.labels == label).nonzero()[:, 0]
        for count in FORGOTTEN * DRAWS:
            forgotten = own[torch.randperm(len(own), generator=rng)[:count]]
            after = step(net, before, second.take(forgotten), -spec.unlearning_rate)
            asked = torch.cat([first.inputs, without(second.inputs, forgotten)])
            found.append((falls(predictor(net, before), predictor(net, after), asked), label))
    return found


def without(inputs: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """All inputs but those `at` these places: the user has no copy of what a person had forgotten."""
    return inputs[torch.ones(len(inputs), dtype=torch.bool).index_fill(0, at, False)]


def learn(spec) -> GridSearchCV:
    runs = [rehearsed(spec, seed) for seed in tqdm(range(SHADOWS), desc="shadows", mininterval=1)]
    inputs, labels = zip(*(pair for run in runs for pair in run), strict=True)
    shadow = np.repeat(np.arange(SHADOWS), len(runs[0]))
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    chosen = GridSearchCV(model, {"logisticregression__C": PENALTIES}, cv=GroupKFold(SHADOWS))
    return chosen.fit(np.stack(inputs), labels, groups=shadow)


def row(record, learned: GridSearchCV) -> dict:
    scene = prepare(record.spec)
    view, label = scene.black_box(), int(scene.forget.labels[0])
    found = falls(view.before, view.after, scene.dataset.public.inputs)
    return {
        **{name: getattr(record.spec, name) for name in ("unlearning", "forget_share", "model_seed", "request")},
        "label": label,
        "right_plain": int(found[: view.num_classes].argmin() == label),
        "right_rehearsed": int(learned.predict(found[None])[0] == label),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    records = read("labels_scores_convnet")
    learned = learn(records[0].spec)
    print(f"C {learned.best_params_['logisticregression__C']:g}, on held-out shadows {learned.best_score_:.3f}")
    rows = [row(record, learned) for record in tqdm(records, desc="requests", mininterval=1)]
    with (RESULTS / "shadows.jsonl").open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(row) + "\n" for row in rows)
    for case in sorted({(row["unlearning"], row["forget_share"]) for row in rows}):
        of = [row for row in rows if (row["unlearning"], row["forget_share"]) == case]
        for way in ("right_plain", "right_rehearsed"):
            rate = wilson(sum(row[way] for row in of), len(of))
            print(*case, way, "{:.2f} [{:.2f}, {:.2f}]".format(*rate))
