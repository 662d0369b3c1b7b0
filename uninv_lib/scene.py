"""Both sides of one run before the attack: pretraining, private training, the request, unlearning
and defense.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from uninv_lib.data import load
from uninv_lib.defenses import DEFENSES
from uninv_lib.models import build, predictor
from uninv_lib.spec import Spec
from uninv_lib.support.cache import code_digest, digest, kept
from uninv_lib.support.progress import Progress
from uninv_lib.training import fit, train
from uninv_lib.types import (
    BlackBoxView,
    Dataset,
    Predict,
    Recipe,
    Split,
    State,
    Trained,
    WhiteBoxView,
)
from uninv_lib.unlearning import UNLEARNING

EPOCHS = {"smoke": (2, 6), "quick": (5, 36), "default": (5, 36), "full": (120, 360)}
"""Epochs of pretraining with at least 1,000 public samples, and with fewer. 120 is published; 5 is
what a chapter can wait for (ours)."""
NOISE = 1e-3
"""Standard deviation of a noisy service's probabilities (ours)."""


@dataclass(frozen=True)
class Scene:
    """Both sides of one run before the attack: what the developer knows, and the views that the
    attackers get.
    """

    spec: Spec
    dataset: Dataset
    trained: Trained
    forget: Split
    retain: Split
    unlearned: State
    released: State

    @property
    def private(self) -> Split:
        """The private samples, the forgotten ones first."""
        parts = self.forget, self.retain
        inputs, labels = (torch.cat([getattr(p, n) for p in parts]) for n in ("inputs", "labels"))
        return Split(inputs, labels)

    def last_minibatches(self) -> tuple[Split, Split]:
        """Who was in the last minibatch of one epoch of private training, and who stood in its
        place when exact unlearning trained again: one sample less, nobody where it held one.
        """
        spec, last = self.spec, self.trained.batch_size
        private = private_samples(self.dataset, spec.seed, spec.private_size).to(self.forget.inputs)
        start = (len(private) - 1) // last * last
        order = torch.randperm(len(private), generator=rng_of("fine_tune", spec.seed))
        rng = rng_of("unlearn", spec.seed, spec.request)
        again = torch.randperm(len(self.retain), generator=rng)
        return private.take(order[start:]), self.retain.take(again[start:])

    def white_box(self) -> WhiteBoxView:
        """The server's view, with the assumptions of `spec.knowledge`."""
        known = self.spec.knowledge
        return WhiteBoxView(
            self.trained.net,
            self.trained.state,
            self.released,
            self.dataset.input_shape,
            len(self.forget),
            labels=self.forget.labels if "labels" in known else None,
            pretrained=self.trained.pretrained if "pretrained" in known else None,
            private_size=len(self.forget) + len(self.retain) if "private_size" in known else None,
            unlearning_steps=self.spec.unlearning_steps if "unlearning_steps" in known else None,
            public=self.dataset.public.to(self.forget.inputs).inputs if "public" in known else None,
            weight_decay=self.spec.weight_decay / max(1, len(self.retain))
            if "weight_decay" in known
            else None,
        )

    def black_box(self) -> BlackBoxView:
        """The user's view: answers as the service of `spec.answers` gives them."""
        seed, request = self.spec.seed, self.spec.request
        noise = (
            rng_of("answers", seed),
            rng_of("answers", seed, request),
        )  # the model before serves all requests
        before, after = (
            _service(predictor(self.trained.net, state), self.spec.answers, rng)
            for state, rng in zip((self.trained.state, self.released), noise, strict=True)
        )
        return BlackBoxView(before, after, self.dataset.num_classes, self.dataset.input_shape)


def _service(predict: Predict, answers: str, rng: torch.Generator) -> Predict:
    """`predict` with its probabilities rounded to 2 decimals, with Gaussian noise, or the label
    alone (one-hot).
    """

    def noisy(p: Tensor) -> Tensor:
        return p + (NOISE * torch.randn(p.shape, generator=rng)).to(p)

    change: dict[str, Predict] = {
        "rounded": lambda p: p.round(decimals=2),
        "noisy": noisy,
        "label": lambda p: one_hot(p.argmax(1), p.shape[1]).to(p),
    }
    return (
        predict if answers == "probabilities" else lambda inputs: change[answers](predict(inputs))
    )


def device_of(spec: Spec) -> torch.device:
    """The device asked for; "auto" takes CUDA, then MPS, then CPU. Raises ValueError where it is
    not there.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    name = next(d for d in there if there[d]) if spec.device == "auto" else spec.device
    if not there[name]:
        raise ValueError(
            f"device: {name!r} is not on this machine; allowed: auto, "
            f"{', '.join(d for d in there if there[d])}"
        )
    if name == "mps" and spec.dtype == "float64":
        raise ValueError("dtype: 'float64' on mps; allowed: float32, or device='cpu'")
    return torch.device(name)


def fast_in_bfloat16(device: torch.device) -> bool:
    """Whether training in 16 bits is the faster one: half the time on newer CPUs, ten times as long
    on those that have to emulate it, which AVX2 tells (our measurements).
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and torch.backends.cpu.get_cpu_capability() == "AVX512"


def rng_of(*parts: int | str) -> torch.Generator:
    """A generator of its own for each purpose, so that no stage shifts another's draws."""
    return torch.Generator().manual_seed(int(digest(*parts), 16) % 2**63)


def pretrain(spec: Spec, *, progress: Progress = False) -> tuple[torch.nn.Module, State]:
    """The net and θ_0, trained on the public samples; kept on disk by what they depend on."""
    dataset = load(spec.dataset)
    options = {"width": spec.width} if spec.model in ("mlp", "convnet") else {}
    net = build(spec.model, dataset, seed=spec.model_seed, **options)
    device, like = device_of(spec), torch.zeros(0, dtype=getattr(torch, spec.dtype))
    public = dataset.public
    epochs = spec.epochs or EPOCHS[spec.budget][len(public) < 1000]
    # Published: lr 0.1 and batch 128, for 40,000 samples; small sets need more steps an epoch
    # (ours).
    lr, batch_size = (
        (0.1, 128) if len(public) >= 10_000 else (0.05, 32) if len(public) >= 500 else (0.05, 16)
    )
    if spec.model == "resnet18" and len(public) % batch_size == 1:
        batch_size += 1  # BatchNorm cannot train on one sample that is down to one pixel
    bfloat16 = len(public) >= 10_000 and fast_in_bfloat16(device)  # where minutes become hours
    fields = [
        spec.dataset,
        spec.model,
        spec.width,
        spec.model_seed,
        epochs,
        lr,
        batch_size,
        bfloat16,
        device.type,
    ]
    fields.append(
        torch.get_num_threads()
    )  # sums in another order give another model after enough steps

    def compute() -> dict[str, Tensor]:
        return dict(
            fit(
                net.to(device),
                public.to(public.inputs.to(device)),
                rng=rng_of("pretrain", spec.model_seed),
                epochs=epochs,
                lr=lr,
                batch_size=batch_size,
                augment=dataset.kind == "image",
                flip=dataset.mirrored,
                bfloat16=bfloat16,
                progress=progress,
            )
        )

    key = digest(code_digest(), fields, public.inputs, public.labels)
    like = like.to(device)
    state = {
        n: t.to(like) if t.is_floating_point() else t.to(device)
        for n, t in kept("pretrained", key, compute).items()
    }
    return net.to(like), state


def private_samples(dataset: Dataset, seed: int, size: int | None = None) -> Split:
    """The first `size` private samples of the order that the seed draws, or all of them."""
    drawn = torch.randperm(len(dataset.private), generator=rng_of("private", seed))
    return dataset.private.take(drawn[:size])


def classes_in_turn(seed: int, num_classes: int) -> list[int]:
    """The classes that requests 0, 1, 2, ... forget a share of, where the private samples hold all
    of them.
    """
    return torch.randperm(num_classes, generator=rng_of("classes", seed)).tolist()


def choose(spec: Spec, private: Split) -> tuple[Split, Split]:
    """(forget, retain) for this deletion request: forget_size samples, or a share of each of
    forget_classes classes.

    Requests 0, 1, 2, ... take the private samples in turn, or the classes, in an order drawn from
    the seed.
    """
    if spec.forget_share is None:
        order = torch.randperm(len(private), generator=rng_of("people", spec.seed)).roll(
            -spec.request * spec.forget_size
        )
        return private.take(order[: spec.forget_size]), private.take(order[spec.forget_size :])
    present = private.labels.unique()
    if spec.forget_classes > len(present):
        raise ValueError(
            f"forget_classes: {spec.forget_classes}; allowed: 1 to {len(present)}, the "
            "private classes"
        )
    turn = classes_in_turn(spec.seed, len(present))
    rng, chosen = rng_of("request", spec.seed, spec.request), []
    for i in range(spec.request, spec.request + spec.forget_classes):
        own = (private.labels == present[turn[i % len(present)]]).nonzero()[:, 0]
        count = max(1, round(spec.forget_share * len(own)))
        chosen.append(own[torch.randperm(len(own), generator=rng)[:count]])
    own = torch.cat(chosen)
    rest = torch.ones(len(private), dtype=torch.bool).index_fill(0, own, False).nonzero()[:, 0]
    return private.take(own), private.take(rest)


def prepare(spec: Spec, *, progress: Progress = False) -> Scene:
    """Everything up to the attack: pretrain, fine-tune on the private samples, unlearn the request,
    defend.

    Raises ValueError where the data set has fewer private samples than private_size,
    FloatingPointError where unlearning diverges.
    """
    dataset = load(spec.dataset)
    if spec.private_size > len(dataset.private):
        raise ValueError(
            f"private_size: {spec.private_size}; allowed for {spec.dataset}: 1 to "
            f"{len(dataset.private)}"
        )
    net, pretrained = pretrain(spec, progress=progress)
    like = next(iter(net.parameters())).detach()
    private = private_samples(dataset, spec.seed, spec.private_size)
    forget, retain = (part.to(like) for part in choose(spec, private))
    recipe = Recipe(
        net=net,
        pretrained=pretrained,
        training=spec.training,
        options={"weight_decay": spec.weight_decay} if spec.training == "converged" else {},
    )
    state = train(recipe, private.to(like), rng=rng_of("fine_tune", spec.seed))
    trained = Trained(**vars(recipe), state=state)
    names = ("unlearning_rate", "unlearning_steps", "unlearning_batch_size")
    options: dict[str, Any] = {name: getattr(spec, name) for name in names}
    options = options if spec.unlearning == "gradient_ascent" else {}
    rng = rng_of("unlearn", spec.seed, spec.request)
    unlearned = UNLEARNING[spec.unlearning](trained, forget, retain, rng=rng, **options)
    released = unlearned
    if spec.defense != "none":
        rng = rng_of("defend", spec.seed, spec.request)
        released = DEFENSES[spec.defense](
            unlearned, trained, retain, rng=rng, strength=spec.strength
        )
    return Scene(spec, dataset, trained, forget, retain, unlearned, released)
