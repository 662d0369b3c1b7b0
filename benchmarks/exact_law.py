"""Measure what exact unlearning shows of each sample: python benchmarks/exact_law.py;
results/exact_law.jsonl.

A row for each person: 8 private sets, 8 deletion requests in each, one sample a request. The same
64 people are forgotten at every size N, in growing company, so that only the company changes.
"""

import json
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from uninv_lib import Spec, load, metrics
from uninv_lib.attacks.features import analytic
from uninv_lib.attacks.features.nuisance import (
    labels_of_requests,
    private_size_of,
    recover_together,
    without_common,
)
from uninv_lib.attacks.inspection import inspect_view
from uninv_lib.attacks.search.update import NothingChanged, difference, labels_of_bias
from uninv_lib.forecast import stated_cosine
from uninv_lib.models import logits
from uninv_lib.runs import RESULTS
from uninv_lib.scene import pretrain, rng_of
from uninv_lib.training import fine_tune, gradient
from uninv_lib.types import Dataset, Split, State, WhiteBoxView

SEEDS, REQUESTS, PUBLIC_RUNS, PROJECTED = 8, 8, 64, 4
MLP, CONVNET = {"model": "mlp"}, {"model": "convnet", "width": 8}
RUNS = [
    *(
        {**MLP, "dtype": dtype, "size": size}
        for dtype in ("float64", "float32")
        for size in (8, 32, 128)
    ),
    *({**CONVNET, "dtype": "float64", "size": size} for size in (8, 32, 128)),
    {**MLP, "dtype": "float64", "size": 8, "epochs": 5},
    *({**MLP, "dtype": "float64", "size": size} for size in (256, 512)),
]


def flat(parts: dict[str, Tensor]) -> Tensor:
    return torch.cat([part.flatten() for part in parts.values()]).double()


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return torch.cosine_similarity(a, b, dim=-1)


def without(split: Split, person: int) -> Split:
    return split.take(torch.tensor([i for i in range(len(split)) if i != person]))


def private_set(dataset: Dataset, seed: int, size: int, like: Tensor) -> Split:
    """The first `size` private samples in an order drawn from the seed: a larger set holds every
    smaller one.
    """
    order = torch.randperm(len(dataset.private), generator=rng_of("private", seed))
    return dataset.private.take(order[:size]).to(like)


class Company:
    """One private set: the model before, and the model after each of the requests."""

    def __init__(self, run: dict, seed: int) -> None:
        self.seed, self.size, self.epochs = seed, run["size"], run.get("epochs", 1)
        words = {name: value for name, value in run.items() if name in ("model", "width", "dtype")}
        self.dataset = load("digits")
        self.net, self.theta0 = pretrain(Spec(dataset="digits", device="cpu", **words))
        self.like = next(iter(self.net.parameters())).detach()
        self.private = private_set(self.dataset, seed, self.size, self.like)
        self.before = self.tune(self.theta0, self.private, "before")
        self.people = range(REQUESTS)
        self.after = [
            self.tune(self.theta0, without(self.private, j), "after", j) for j in self.people
        ]

    def tune(self, state: State, split: Split, *key: int | str) -> State:
        rng = rng_of("exact_law", self.seed, *key)
        return fine_tune(self.net, state, split, rng=rng, epochs=self.epochs)

    def gradients(self, state: State) -> tuple[Tensor, Tensor]:
        """(each forgotten sample's gradient, the mean over the private set)."""
        each = [
            flat(gradient(self.net, state, self.private.take(torch.tensor([j]))))
            for j in self.people
        ]
        return torch.stack(each), flat(gradient(self.net, state, self.private))

    def views(self) -> list[WhiteBoxView]:
        shape = self.dataset.input_shape
        return [WhiteBoxView(self.net, self.before, after, shape, 1) for after in self.after]

    def nuisance(self, orders: Sequence[int]) -> Tensor:
        """(PUBLIC_RUNS, p) updates of fine-tuning θ on fresh public samples (the test part), or
        what two orders of the same samples change in them.
        """
        found = []
        for i in range(PUBLIC_RUNS):
            size = min(self.size, 2 * len(self.dataset.test) // 3)
            drawn = torch.randperm(
                len(self.dataset.test), generator=rng_of("public", self.seed, i)
            )[:size]
            split = self.dataset.test.take(drawn).to(self.like)
            ends = [
                flat(difference(self.net, self.before, self.tune(self.before, split, i, o)))
                for o in orders
            ]
            found.append(ends[0] if len(ends) == 1 else ends[0] - ends[1])
        return torch.stack(found)


def projected(updates: Tensor, nuisance: Tensor) -> Tensor:
    """Updates without the mean and the leading directions of the nuisance."""
    around = torch.linalg.svd(nuisance - nuisance.mean(0), full_matrices=False).Vh[:PROJECTED]
    basis = torch.linalg.qr(torch.cat([nuisance.mean(0)[None], around]).T)[0]
    return updates - updates @ basis @ basis.T


def ratio(company: Company, recovered: list[Tensor]) -> list[float]:
    return metrics.psnr(
        torch.cat(recovered).double(), company.private.inputs[:REQUESTS].double()
    ).tolist()


def picture(view: WhiteBoxView) -> Tensor:
    """The closed form's; grey where rounding lost the update."""
    try:
        return analytic.recover(inspect_view(view)).inputs
    except NothingChanged:
        return torch.full((1, *view.input_shape), 0.5)


def measured(company: Company) -> dict[str, Tensor | list[float]]:
    """Each quantity for each person of this company."""
    views, net = company.views(), company.net
    g, mean = company.gradients(company.theta0)
    update = torch.stack([flat(difference(net, company.before, after)) for after in company.after])
    step = flat(difference(net, company.before, company.theta0))
    cleaned, few = without_common(views), without_common(views[:3])
    labels = company.private.labels[:REQUESTS]
    own = (
        logits(net, company.before, company.private.inputs[:REQUESTS])
        .softmax(1)
        .gather(1, labels[:, None])[:, 0]
    )

    def seen(others: Sequence[WhiteBoxView]) -> Tensor:
        return cosine(
            torch.stack([flat(difference(net, v.before, v.after)) for v in others]),
            g[: len(others)],
        )

    def right(others: Sequence[WhiteBoxView]) -> list[float]:
        last = [list(difference(net, v.before, v.after).values())[-1] for v in others]
        return [
            float(labels_of_bias(u, 1)[0] == label) for u, label in zip(last, labels, strict=True)
        ]

    found: dict[str, Tensor | list[float]] = {
        "confidence": own.detach(),
        "grad_norm": g.norm(dim=1),
        "mean_norm": mean.norm().expand(REQUESTS),
        "alignment": cosine(g, mean),
        "predicted_norms": 1 / (1 + (mean.norm() / g.norm(dim=1)) ** 2).sqrt(),
        "predicted": stated_cosine(g, mean),
        "predicted_before": stated_cosine(*company.gradients(company.before)),
        "cosine": cosine(update, g),
        "cosine_official": cosine((company.size - 1) * update + step, g),
        "cosine_mean": cosine(update - (update.sum(0) - update) / (REQUESTS - 1), g),
        "cosine_median": seen(cleaned),
        "cosine_median_3": torch.cat([seen(few), torch.full((REQUESTS - 3,), torch.nan)]),
        "cosine_projected": cosine(projected(update, company.nuisance([0])), g),
        "label": right(views),
        "label_median": right(cleaned),
        "label_meeting": (labels_of_requests(views) == labels).double(),
    }
    if company.size > 128:
        found["cosine_order"] = cosine(projected(update, company.nuisance([0, 1])), g)
        found["cosine_batch"] = _by_last_batch(company, g, update)
    if analytic.applies(inspect_view(views[0])):
        found["psnr"] = ratio(company, [picture(v) for v in views])
        found["psnr_median"] = ratio(company, [picture(v) for v in cleaned])
        found["psnr_meeting"] = ratio(company, [r.inputs for r in recover_together(views)])
        found["psnr_meeting_3"] = ratio(
            company, [recover_together(_three(views, j))[0].inputs for j in company.people]
        )
    if company.size <= 128:
        known = [WhiteBoxView(**{**vars(v), "pretrained": company.theta0}) for v in views]
        found["size_found"] = [float(private_size_of(v) == company.size) for v in known]
    return found


def _three(views: list[WhiteBoxView], j: int) -> list[WhiteBoxView]:
    return [views[(j + i) % len(views)] for i in range(3)]


def _by_last_batch(company: Company, g: Tensor, update: Tensor) -> Tensor:
    """Cosine of the update and g_j minus the mean gradient of the model after's last minibatch,
    which is one short.
    """
    found = []
    for j in company.people:
        rest = without(company.private, j)
        order = torch.randperm(
            len(rest), generator=rng_of("exact_law", company.seed, "after", j)
        ).split(128)[-1]
        found.append(
            cosine(g[j] - flat(gradient(company.net, company.theta0, rest.take(order))), update[j])
        )
    return torch.stack(found)


def rows(run: dict) -> Iterator[dict]:
    for seed in range(SEEDS):
        columns = {
            name: [float(v) for v in values]
            for name, values in measured(Company(run, seed)).items()
        }
        for j in range(REQUESTS):
            values = {name: float(f"{column[j]:.6g}") for name, column in columns.items()}
            yield {
                "dataset": "digits",
                "width": 16,
                "epochs": 1,
                **run,
                "seed": seed,
                "request": j,
                **values,
            }


if __name__ == "__main__":
    torch.set_num_threads(1)
    with (RESULTS / "exact_law.jsonl").open("w", encoding="utf-8") as out:
        for run in RUNS:
            for row in rows(run):
                out.write(json.dumps({k: v for k, v in row.items() if v == v}) + "\n")
            out.flush()
            print(run, flush=True)
