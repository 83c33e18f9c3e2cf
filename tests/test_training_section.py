"""Settings of training that contradict each other are told before any work begins."""

import pytest

from soundfold.errors import RecipeError
from soundfold.recipe import load_recipe

pytestmark = pytest.mark.runtime

LINEAR = ("model.name=linear", "training.optimizer=lbfgs")
UNVARIED = ("place=centre", "time_shift=0", "frequency_masks=0", "time_masks=0")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["weight_decay=0.01"], r"training\.weight_decay must be 0 with training\.optimizer = adam, got 0\.01\. Set "
                                r"training\.optimizer to adamw"),
        (["warmup=0.1"], r"training\.warmup must be 0 with training\.schedule = one_cycle, which rises by itself, "
                         r"got 0\.1\. Set"),
        (["sampling=balanced", "weighting=classes"],
         r"training\.weighting must be none with training\.sampling = balanced.*got classes\. Leave one"),
        (["optimizer=lbfgs"], r"training\.optimizer must be lbfgs with model\.name = linear, and only there"),
        ([*LINEAR, "average=0.9"], r"training\.average must be 0 with training\.optimizer = lbfgs.*\.average=0"),
        ([*LINEAR, "sampling=balanced"], r"training\.sampling must be each with training\.optimizer = lbfgs"),
        ([*LINEAR, "accumulate=2"], r"training\.accumulate must be 1 with training\.optimizer = lbfgs"),
        (LINEAR, r"augment\.place must be centre with training\.optimizer = lbfgs, which hears every clip once and as "
                 r"it is, got random\. Say place=centre, time_shift=0, frequency_masks=0, time_masks=0"),
        ([*LINEAR, *UNVARIED, "crop=random"], r"augment\.crop must be start .*got random\. Say crop=start$"),
        ([*LINEAR, *UNVARIED, "mix=mixup"], r"augment\.mix must be none .*got mixup\. Say mix=none$"),
        (["average=1"], r"training\.average must be less than 1, got 1"),
        (["layer_decay=0"], r"training\.layer_decay must be greater than 0, got 0"),
        (["optimizer=adamW"], r"training\.optimizer must be"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_told(changes: list[str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe("tutorial", changes)


@pytest.mark.parametrize(
    "changes",
    [
        ["optimizer=adamw", "weight_decay=0.01", "schedule=cosine", "warmup=0.1", "average=0.99"],
        ["optimizer=sgd", "momentum=0", "weight_decay=0.01", "schedule=linear", "sampling=balanced"],
        ["weighting=recordings", "label_smoothing=0.1", "clip_norm=1", "accumulate=4"],
        ["layer_decay=0.5", "head_lr=10", "freeze=2", "anchor=0.01"],
        [*LINEAR, *UNVARIED, "weighting=recordings"],
    ],
)
def test_what_goes_together_is_taken(changes: list[str]) -> None:
    load_recipe("tutorial", changes)
