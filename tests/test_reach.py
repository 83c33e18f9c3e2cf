"""What a search can come to is what its draws come to, no more and no less."""

import random
import time
from pathlib import Path

import pytest

from soundfold.recipe import Recipe, load_recipe, preset_names
from soundfold.recipe.reach import reach
from soundfold.recipe.space import Choices, Plain, Range, Space, load_space

NESTED = """
augment.mix: [none, mixup]
features.kind: {choices: [log_mel, pcen], when: {augment.mix: mixup}}
features.pcen_gain: {choices: [0.5, 0.9], when: {features.kind: pcen}}
features.n_mfcc: {choices: [20, 30], when: {features.kind: mfcc}}
augment.frequency_masks: {low: 0, high: 3}
features.n_mels: {choices: [32, 48], when: {augment.frequency_masks: [0, 9]}}
training.momentum: {low: 0.5, high: 0.9, when: {training.optimizer: sgd}}
"""


def drawn(space: Space, recipe: Recipe, draws: int) -> tuple[set[str], int]:
    """Return the settings that so many draws drew, and how many kinds of sound and features they asked for."""
    generator = random.Random(0)

    def pick(_: str, allowed: Choices | Range) -> Plain:
        if isinstance(allowed, Choices):
            return generator.choice(allowed.values)
        return generator.randint(int(allowed.low), int(allowed.high)) if allowed.whole else allowed.high

    names, kinds = set[str](), set[str]()
    plain = recipe.as_dict()
    for values in [{}, *(space.draw(recipe, pick) for _ in range(draws))]:
        names |= set(values)
        kinds.add(str([{**plain[part], **_of(part, values)} for part in ("sound", "features")]))
    return names, len(kinds)


def _of(section: str, values: dict[str, Plain]) -> dict[str, Plain]:
    return {name.partition(".")[2]: value for name, value in values.items() if name.startswith(f"{section}.")}


@pytest.mark.parametrize("name", preset_names())
def test_of_each_preset_all_that_can_be_drawn_is_counted_and_nothing_else(name: str) -> None:
    recipe = load_recipe(name)
    space = load_space(None, recipe)
    found = reach(space, recipe)
    assert (set(found.settings), found.kinds) == drawn(space, recipe, 500)


def test_conditions_on_conditions_and_on_numbers_are_followed(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(NESTED)
    recipe = Recipe()
    space = load_space(tmp_path / "s.yaml", recipe)
    found = reach(space, recipe)
    assert (set(found.settings), found.kinds) == drawn(space, recipe, 2_000)
    assert "features.n_mfcc" not in found.settings
    assert "training.momentum" not in found.settings
    # log_mel, pcen with either gain; each with the recipe's n_mels or one of two others
    assert found.kinds == 3 * 3


def test_the_recipe_s_own_features_are_a_kind_beside_those_of_the_space(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("features.n_mels: [20, 30]\n")
    recipe = Recipe()
    assert reach(load_space(tmp_path / "s.yaml", recipe), recipe).kinds == 3


def test_settings_that_ask_for_nothing_of_each_other_are_multiplied_and_not_gone_through() -> None:
    names = ("n_fft", "hop_length", "n_mels", "top_db", "n_mfcc", "pcen_gain", "pcen_bias", "pcen_power")
    choices = Choices((3, 5, 7, 9, 11, 13), {})  # none of which the recipe has
    space = Space("s", {f"features.{name}": choices for name in names})
    started = time.perf_counter()
    assert reach(space, Recipe()).kinds == 6**8 + 1
    assert time.perf_counter() - started < 3, "gone through, it takes ten times as long"
