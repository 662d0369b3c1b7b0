"""run(Spec) -> Record: the one place where the developer's side and the attackers' meet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any, get_type_hints

import torch
from torch import Tensor

from uninv_lib.attacks import ATTACKS, recover_features
from uninv_lib.attacks.adaptive import ADAPTIVE
from uninv_lib.attacks.labels.answers import probes_of_budget
from uninv_lib.attacks.search.update import NothingChanged
from uninv_lib.attacks.session import Session, numbered
from uninv_lib.measure import Outcome, measure, metrics_of
from uninv_lib.options import function_of
from uninv_lib.scene import Scene, device_of, prepare, rng_of
from uninv_lib.service import answering
from uninv_lib.shadows import candidates_of, shadows_of
from uninv_lib.spec import Record, Spec
from uninv_lib.support.cache import digest, kept
from uninv_lib.support.code import code_of
from uninv_lib.support.progress import Progress
from uninv_lib.support.provenance import commit, device_name, versions
from uninv_lib.types import BlackBoxView, Found, Reconstruction, WhiteBoxView

Watch = Callable[[int, Tensor], None]
"""Sees (step, inputs) of a feature recovery: last FOUND; KNOWING of who knows the defense."""
FOUND, KNOWING = -1, -2


def code_of_run(spec: Spec) -> str:
    """Hash of the code that a Spec runs: of `run`, of the methods that it chooses, and of the
    metrics of what they give.
    """
    adaptive = [function_of(ADAPTIVE[spec.defense])] if spec.defense in ADAPTIVE else []
    given = get_type_hints(ATTACKS[spec.attack].function)["return"]
    measures = [metric.function for metric in metrics_of(given).values()]
    return code_of(run, *spec.methods(), *adaptive, *measures)


def recover_or_grey(view: WhiteBoxView, *, rng: torch.Generator, **options: Any) -> Reconstruction:
    """`recover_features`; where the update was lost in rounding, a result and no failure, grey with
    the labels −1.

    Raises what else `recover_features` raises.
    """
    try:
        return recover_features(view, rng=rng, **options)
    except NothingChanged:
        return grey(view)


def grey(view: WhiteBoxView) -> Reconstruction:
    """What is recovered of an update that was lost in rounding: grey, with the labels −1."""
    like = next(iter(view.net.parameters()))
    inputs = torch.full((view.num_forgotten, *view.input_shape), 0.5).to(like)
    unknown = torch.full((view.num_forgotten,), -1, device=like.device)
    return Reconstruction(inputs, unknown, torch.ones(1, 1), 0.0)


def sees(spec: Spec) -> type:
    """The view that the Spec's attack receives."""
    kind: type = get_type_hints(ATTACKS[spec.attack].function)["view"]
    return kind


def attack(
    scene: Scene, *, knows: bool = False, progress: Progress = False, watch: Watch | None = None
) -> tuple[Found, torch.Generator]:
    """What the Spec's attack gives on its view of a scene, or, where it knows of the defense, on
    what ADAPTIVE makes of it; and its generator as it is then. Raises what the attack raises.
    """
    spec, noise = scene.spec, scene.noise()
    if sees(spec) is BlackBoxView:
        view: BlackBoxView | WhiteBoxView = _user(scene, noise)
    else:
        view = scene.knowing() if knows else scene.white_box()
    session = _session(scene, noise, progress, watch)
    try:
        found: Found = ATTACKS[spec.attack].function(
            view, session=session, budget=spec.budget, **spec.options("attack")
        )
    except NothingChanged:
        if not isinstance(view, WhiteBoxView):
            raise
        found = grey(view)
    return found, session.rng


def _session(
    scene: Scene, noise: Iterable[torch.Generator], progress: Progress, watch: Watch | None = None
) -> Session:
    """The session of a Record's attack, with a generator of its own; that of probes is the same for
    all requests.
    """
    spec = scene.spec
    drawn = (
        ("probes", spec.seed) if sees(spec) is BlackBoxView else ("attack", spec.seed, spec.request)
    )
    keep = partial(_keep, scene, noise)
    return Session([rng_of(*drawn)], progress=progress, watch=numbered(watch), keep=keep)


def _user(scene: Scene, noise: tuple[torch.Generator, torch.Generator]) -> BlackBoxView:
    """The user's view, with what the attack, or what its options choose, assumes."""
    entries = scene.spec.entries("attack")
    assumed = {name for entry in entries for name in getattr(entry, "assumes", ())}
    given: dict[str, Any] = {"public": scene.public.inputs} if "public" in assumed else {}
    if "shadows" in assumed:
        asked = torch.cat([part.inputs for part in candidates_of(scene)])
        given |= {"shadows": shadows_of(scene), "candidates": asked}
    return replace(scene.black_box(noise), **given)


def _keep(
    scene: Scene,
    noise: Iterable[torch.Generator],
    name: str,
    compute: Callable[[], dict[str, Tensor]],
) -> dict[str, Tensor]:
    """What an attack makes of the model before, kept on disk for all requests under it. The answers
    that follow draw the same noise, kept or not.
    """
    spec = scene.spec
    code = code_of(answering, *spec.methods("attack"))
    settings = spec.options("attack"), spec.answers, spec.budget, spec.seed
    found = kept(name, digest(code, *settings, *scene.trained.state.values()), compute)
    for rng in noise:
        rng.manual_seed(rng.initial_seed())
    return found


def probes_of(scene: Scene, *, progress: Progress = False) -> tuple[Tensor, int]:
    """(probes (classes, m, *input_shape), answers asked for them) of a Spec of label inference.
    Made of the model before, so kept on disk for all requests under it.
    """
    spec, noise = scene.spec, scene.noise()
    view, session = _user(scene, noise), _session(scene, noise, progress)
    return probes_of_budget(view, session=session, budget=spec.budget, probes=spec.probes)


def knowing(scene: Scene, *, progress: Progress = False) -> Reconstruction:
    """What the attacker of a Record's adaptive metrics finds, who knows of the scene's defense; one
    of ADAPTIVE; where that one sees more people than the attack tells apart, what it finds without.
    """
    try:
        found, _ = attack(scene, knows=True, progress=progress)
    except ValueError:
        if scene.knowing().num_forgotten <= len(scene.forget):
            raise
        found, _ = attack(scene, progress=progress)
    assert isinstance(found, Reconstruction)
    return found


def run(spec: Spec, *, progress: Progress = False, watch: Watch | None = None) -> Record:
    """One Spec, from pretraining to the attack's metrics, which `measure.METRICS` explains.

    Metrics of feature recovery have a suffix for each null baseline (_random, _class_mean,
    _max_diff), for each of several samples (_0, _1, ...), for the attacker who knows of the
    defense, where one is known (_adaptive), and without curvature, of "second_order"
    (_first_order); those of label inference for fewer probes a class (_1, _2, _5, ...) and for the
    server, by the last bias or with public data (_server, _server_logit, _server_curvature);
    accuracies for the models _before, _after unlearning and _released. `watch` sees the recovered
    pictures as they emerge, the recovery itself, and that of who knows of the defense. Raises what
    `prepare` and the attacks raise.
    """
    started = time.perf_counter()
    scene = prepare(spec, progress=progress)
    prepared = time.perf_counter()
    found, rng = attack(scene, progress=progress, watch=watch)
    if watch is not None and isinstance(found, Reconstruction):
        watch(FOUND, found.inputs)
    adaptive = isinstance(found, Reconstruction) and spec.defense in ADAPTIVE
    known = knowing(scene, progress=progress) if adaptive else None
    if watch is not None and known is not None:
        watch(KNOWING, known.inputs)
    attacked = time.perf_counter()
    values = measure(Outcome(scene, found, rng, known))
    seconds = {
        **scene.seconds,
        "prepare": prepared - started,
        "attack": attacked - prepared,
        "measure": time.perf_counter() - attacked,
    }
    return Record(
        spec=spec,
        metrics=values,
        seconds={name: round(value, 3) for name, value in seconds.items()},
        versions=versions(),
        commit=commit(),
        device=device_name(device_of(spec.device, spec.dtype)),
    )
