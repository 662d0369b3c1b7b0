"""One table of unlearning methods × what none of them may trip over: nobody, everybody, a class,
several, a sequence, another training, options beyond their bounds.
"""

from dataclasses import replace
from functools import lru_cache
from math import inf, nan

import pytest
import torch
from pydantic import ValidationError

from uninv_lib import Spec, prepare
from uninv_lib.options import options_of
from uninv_lib.spec import explain
from uninv_lib.training import TRAINING
from uninv_lib.types import Split
from uninv_lib.unlearning import NEEDS, UNLEARNING
from uninv_lib.unlearning.needs import training_for

SMALL = {"dataset": "digits", "model": "linear", "budget": "smoke", "device": "cpu"}
each_method = pytest.mark.parametrize("method", UNLEARNING)


@lru_cache
def scene_of(training):
    return prepare(Spec(**SMALL, training=training, unlearning="retrain", private_size=40))


def unlearn(method, forget, retain, trained=None, **options):
    trained = trained or scene_of(training_for(method)).trained
    return UNLEARNING[method](
        trained, forget, retain, rng=torch.Generator().manual_seed(0), **options
    )


def parts(method, chosen):
    """(forget, retain) of the private samples, by a mask of who is forgotten."""
    private = scene_of(training_for(method)).private
    mask = chosen(private)
    return private.take(mask.nonzero()[:, 0]), private.take((~mask).nonzero()[:, 0])


def first(count):
    return lambda private: torch.arange(len(private)) < count


def whole(method, state):
    """Whether a state is one of the model: all its tensors, and finite."""
    before = scene_of(training_for(method)).trained.state
    return {n: t.shape for n, t in state.items()} == {
        n: t.shape for n, t in before.items()
    } and all(torch.isfinite(t).all() for t in state.values())


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


@each_method
def test_who_forgets_nobody_leaves_the_model_as_it_is_or_trains_again(method):
    forget, retain = parts(method, first(0))
    after = unlearn(method, forget, retain)
    assert whole(method, after)
    assert same(after, scene_of(training_for(method)).trained.state) or method == "retrain"


CHOSEN = {
    "everybody": first(40),
    "several samples": first(3),
    "all but one": first(39),
    "a class": lambda private: private.labels == private.labels[0],
    "all other classes": lambda private: private.labels != private.labels[0],
}


@each_method
@pytest.mark.parametrize("chosen", CHOSEN.values(), ids=CHOSEN)
def test_any_part_of_the_private_samples_can_be_forgotten(method, chosen):
    forget, retain = parts(method, chosen)
    assert whole(method, unlearn(method, forget, retain))


@each_method
def test_requests_follow_each_other(method):
    trained = scene_of(training_for(method)).trained
    both, rest = parts(method, first(2))
    one, two = (both.take(torch.tensor([i])) for i in (0, 1))
    kept = Split(torch.cat([two.inputs, rest.inputs]), torch.cat([two.labels, rest.labels]))
    between = unlearn(method, one, kept)
    after = unlearn(method, two, rest, replace(trained, state=between))
    assert whole(method, after)
    assert not same(after, trained.state)


PAIRS = [(m, t) for m in NEEDS for t in TRAINING if t not in NEEDS[m]]


@pytest.mark.parametrize(("method", "training"), PAIRS)
def test_a_method_refuses_a_training_that_it_does_not_build_on(method, training):
    told = f"training: '{training}'; allowed with unlearning '{method}': '{training_for(method)}'"
    with pytest.raises(ValidationError, match=told):
        Spec(**SMALL, unlearning=method, training=training)
    forget, retain = parts(method, first(1))
    with pytest.raises(ValueError, match=told):
        unlearn(method, forget, retain, scene_of(training).trained)


OPTIONS = [(m, name) for m, function in UNLEARNING.items() for name in options_of(function)]


@pytest.mark.parametrize(("method", "option"), OPTIONS)
@pytest.mark.parametrize("value", [-1, nan, inf, -inf, "much"])
def test_an_option_beyond_its_bounds_is_refused_by_name(method, option, value):
    with pytest.raises(ValidationError) as caught:
        Spec(**SMALL, unlearning=method, training=training_for(method), **{option: value})
    (told,) = explain(caught.value).splitlines()
    assert told.startswith(f"{option}: ")
    assert told.endswith(f"for unlearning '{method}' (came: {value!r})")


@pytest.mark.parametrize(("method", "option"), OPTIONS)
def test_an_option_of_zero_is_refused_or_runs(method, option):
    forget, retain = parts(method, first(1))
    fault = ""
    try:
        Spec(**SMALL, unlearning=method, training=training_for(method), **{option: 0})
    except ValidationError as error:
        fault = explain(error)
    if fault:
        assert fault.startswith(f"{option}: Input should be ")
    else:
        assert whole(method, unlearn(method, forget, retain, **{option: 0}))


@each_method
def test_a_rate_that_is_too_high_is_told_as_the_failure_of_the_method(method):
    if not {"unlearning_rate", "unlearning_steps"} <= set(options_of(UNLEARNING[method])):
        return
    forget, retain = parts(method, first(3))
    beyond = {"unlearning_rate": 1e38, "unlearning_steps": 20}
    with pytest.raises(FloatingPointError, match=rf"{method}: not finite after step \d+ of \d+"):
        unlearn(method, forget, retain, **beyond)
