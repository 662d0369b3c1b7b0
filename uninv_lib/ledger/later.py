"""Findings of later work, and what an assumption buys, with the Records that speak of each."""

from __future__ import annotations

from uninv_lib import claims
from uninv_lib.ledger.entries import LEAK, Entry

METHOD = {"by": ("dataset", "unlearning"), "called": "{dataset}, {unlearning}"}
TEACHERS = ("random_labels", "salun", "bad_teacher")
APPROXIMATE = (*TEACHERS, "gradient_ascent", "amnesiac", "neggrad_plus", "scrub", "orthogonal")


def _methods(name: str, claim: str, attack: str, methods: tuple[str, ...], column: str) -> Entry:
    """On unlearning methods before one attacker; membership is told above a guess."""
    guessed = column == "membership"
    return Entry(
        name,
        claim,
        ("unlearning",),
        f"attack == '{attack}' and unlearning in {methods}",
        column=column,
        side="above",
        bound=0.5 if guessed else LEAK,
        unit="%" if guessed else "dB",
        chapter="02_machine_unlearning",
        **METHOD,  # type: ignore[arg-type]
    )


LATER: tuple[Entry, ...] = (
    Entry(
        "HRec (Bertran et al. 2024)",
        "Linear models give the forgotten sample back after exact unlearning, once they converged.",
        ("second_order",),
        "model == 'linear' and knowledge == 'public weight_decay' and forget_size == 1",
        ("dataset", "private_size", "weight_decay", "dtype"),
        "gain",
        "above",
        LEAK,
        "07_several_requests",
        called="{dataset}, N = {private_size}, decay {weight_decay:g}, {dtype}",
    ),
    Entry(
        "Label leakage (2604.07386)",
        "A server reads the label off the difference of two models in nine of ten requests.",
        ("labels_parameters",),
        "label_accuracy_server >= 0",
        ("unlearning", "training", "model", "forget_share"),
        "label_accuracy_server",
        "above",
        0.9,
        "07_several_requests",
        unit="%",
        called="share {forget_share:g}, {model}, {unlearning}, {training}",
        of=claims.share,
    ),
    Entry(
        "This book",
        "A server reads the label off after converged training, by the curvature of public data.",
        ("labels_parameters",),
        "training == 'converged'",
        ("unlearning", "model", "forget_share"),
        "label_accuracy_server_curvature",
        "above",
        0.9,
        "07_several_requests",
        unit="%",
        called="share {forget_share:g}, {model}, {unlearning}",
        of=claims.share,
    ),
    Entry(
        "Roots beneath the cut (2603.06640)",
        "The places that pruning zeroed help whoever looks at them.",
        ("defenses",),
        "dataset == 'photos' and defense == 'pruning'",
        ("strength",),
        "knowing",
        "above",
        0.0,
        "08_defenses",
        called="at {strength:g}",
    ),
    Entry(
        "UnlearnShield (2601.20325)",
        "Turning the update in cosine space hides the picture, from who knows of it.",
        ("defense_cards",),
        "defense == 'cosine' and attack == 'fast'",
        ("dataset", "strength"),
        "knows",
        "below",
        LEAK,
        "08_defenses",
        called="{dataset}, {strength:g} degrees",
    ),
    Entry(
        "This book",
        "C7 to C9 on chest X-rays: a defense hides the picture from who knows of it.",
        ("pneumonia",),
        "model == 'mlp' and defense != 'none'",
        ("defense", "strength"),
        "knows",
        "below",
        LEAK,
        "08_defenses",
        called="{defense}, at {strength:g}",
    ),
    _methods(
        "Chen et al. 2021; ReA (2507.20573)",
        "Approximate unlearning tells who was forgotten, by membership.",
        "membership",
        APPROXIMATE,
        "membership",
    ),
    _methods(
        "Chen et al. 2021",
        "Exact unlearning tells who was forgotten, by membership, too.",
        "membership",
        ("retrain", "sisa"),
        "membership",
    ),
    Entry(
        "ReA (2507.20573)",
        "Orthogonal unlearning leaks less of the picture than gradient ascent.",
        ("unlearning",),
        "attack == 'fast' and unlearning in ('gradient_ascent', 'orthogonal')",
        ("dataset",),
        "gain",
        "below",
        0.0,
        "02_machine_unlearning",
        against=("unlearning", "gradient_ascent"),
    ),
    Entry(
        "TC-UMIA (2605.01129)",
        "Dropout at answers hides the label from a user who asks public samples.",
        ("defense_cards",),
        "answers == 'dropout' and attack == 'labels'",
        ("dataset", "model"),
        "label_accuracy",
        "below",
        0.5,
        "08_defenses",
        unit="%",
        of=claims.share,
    ),
    Entry(
        "This book",
        "Exact unlearning leaks to who knows θ_0 and N after several epochs of private training.",
        ("ladder",),
        "unlearning == 'retrain' and private_size < 256 and knowledge != 'none'",
        ("private_size", "private_epochs"),
        "gain",
        "above",
        LEAK,
        "06_exact_vs_approximate",
        called="N = {private_size}, {private_epochs:g} epochs",
    ),
    Entry(
        "This book",
        "Exact unlearning leaks after two minibatches in the order of the first training.",
        ("ladder",),
        "unlearning == 'retrain' and private_size == 256 and order == 'same'",
        ("knowledge",),
        "gain",
        "above",
        LEAK,
        "06_exact_vs_approximate",
        called="known: {knowledge}",
    ),
    _methods(
        "This book",
        "Methods that teach a wrong answer leak the picture, as gradient ascent does.",
        "fast",
        (*TEACHERS, "gradient_ascent"),
        "gain",
    ),
    _methods(
        "This book",
        "Training again leaks the picture, of 256 private samples in two minibatches.",
        "fast",
        ("retrain", "sisa"),
        "gain",
    ),
)
"""Findings of later work, and of this book, as far as Records of ours speak of them."""


ALONE = "dataset == 'digits' and forget_size == 1 and unlearning == 'gradient_ascent'"
BY_SEARCH = f"{ALONE} and model == 'convnet' and unlearning_steps == 1"


def _rung(
    name: str, file: str, where: str, by: tuple[str, ...], called: str, **more: object
) -> Entry:
    """What an assumption buys: decibels more than without it, request by request."""
    words: dict[str, object] = {"column": "gain", "chapter": "06_exact_vs_approximate"} | more
    return Entry(name, name, (file,), where, by, side="above", bound=0.0, called=called, **words)  # type: ignore[arg-type]


LADDER: tuple[Entry, ...] = (
    _rung(
        "θ_0 and N, after exact unlearning of one full batch",
        "private_size_closed_form",
        "private_size > 1",
        ("dtype", "private_size"),
        "N = {private_size}, {dtype}",
        against=("knowledge", "none"),
        over=None,
    ),
    _rung(
        "float64 in place of float32, with θ_0 and N",
        "private_size_closed_form",
        "knowledge == 'pretrained private_size'",
        ("private_size",),
        "N = {private_size}",
        against=("dtype", "float32"),
        over=None,
    ),
    _rung(
        "N − 1 others in the private set, without θ_0",
        "private_size_closed_form",
        "knowledge == 'none' and dtype == 'float64'",
        ("private_size",),
        "N = {private_size}",
        against=("private_size", 1),
        over=None,
    ),
    _rung(
        "public curvature, after converged training",
        "second_order",
        "model == 'linear' and knowledge == 'public weight_decay' and forget_size == 1",
        ("dataset", "private_size", "weight_decay"),
        "{dataset}, N = {private_size}, decay {weight_decay:g}",
        column="curvature",
        chapter="07_several_requests",
    ),
    _rung(
        "the weight decay, beside that curvature",
        "second_order",
        "dataset == 'digits' and model == 'linear' and dtype == 'float32' and forget_size == 1",
        ("private_size", "weight_decay"),
        "N = {private_size}, decay {weight_decay:g}",
        against=("knowledge", "public"),
        chapter="07_several_requests",
    ),
    _rung(
        "GroupNorm in place of BatchNorm",
        "nets",
        "model == 'convnet' and activation == 'relu' and normalisation in ('batch', 'group')",
        ("normalisation",),
        "digits",
        chapter="04_recovery_measured",
        against=("normalisation", "batch"),
    ),
    _rung(
        "the label, told to an attacker who reads it off",
        "ladder",
        f"{BY_SEARCH} and epochs == 5 and unlearning_rate == 0.001",
        ("dataset", "model"),
        "{dataset}, {model}",
        chapter="03_feature_recovery",
        against=("knowledge", "none"),
    ),
    _rung(
        "another rate than 0.001",
        "ladder",
        f"{ALONE} and epochs == 5 and unlearning_steps == 1 and knowledge == 'none'",
        ("model", "unlearning_rate"),
        "{model}, rate {unlearning_rate:g}",
        chapter="03_feature_recovery",
        against=("unlearning_rate", 0.001),
    ),
    _rung(
        "five steps of rate 0.003 in place of one",
        "ladder",
        f"{ALONE} and unlearning_rate == 0.003 and knowledge == 'none'",
        ("model",),
        "{model}",
        chapter="04_recovery_measured",
        against=("unlearning_steps", 1),
    ),
    _rung(
        "how many steps there were, of five",
        "ladder",
        f"{ALONE} and unlearning_rate == 0.003 and unlearning_steps == 5",
        ("model",),
        "{model}",
        chapter="04_recovery_measured",
        against=("knowledge", "none"),
    ),
    _rung(
        "minibatches, of four people in four steps",
        "ladder",
        "forget_size == 4",
        ("unlearning_batch_size",),
        "{unlearning_batch_size:g} at a time",
        chapter="04_recovery_measured",
        against=("unlearning_batch_size", 4),
    ),
    _rung(
        "another stage of pretraining than 5 epochs",
        "ladder",
        f"{ALONE} and unlearning_rate == 0.001 and unlearning_steps == 1 and knowledge == 'none'",
        ("model", "epochs"),
        "{model}, {epochs:g} epochs",
        chapter="03_feature_recovery",
        against=("epochs", 5),
    ),
    _rung(
        "pretraining without shifts and mirror images",
        "ladder",
        "dataset == 'photos'",
        ("model",),
        "photos, {model}",
        chapter="03_feature_recovery",
        against=("augmentation", True),
    ),
    _rung(
        "more epochs of private training, unlearned exactly",
        "ladder",
        "unlearning == 'retrain' and private_size < 256",
        ("knowledge", "private_size", "private_epochs"),
        "{private_epochs:g} epochs, N = {private_size}, known: {knowledge}",
        against=("private_epochs", 1),
    ),
    _rung(
        "the order of the first training, of two minibatches",
        "ladder",
        "unlearning == 'retrain' and private_size == 256",
        ("knowledge",),
        "N = 256, known: {knowledge}",
        against=("order", "anew"),
    ),
    _rung(
        "which defense, at any of its strengths",
        "defense_cards",
        "defense != 'none' and attack == 'fast' and knowledge == 'none'",
        ("dataset", "defense"),
        "{dataset}, {defense}",
        chapter="08_defenses",
        column="knowing",
    ),
)
"""What else an attacker knows, or has, and the decibels that it buys."""
