"""Files of this version and of earlier ones open, and answer as they did when they were kept."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from make_kept_models import KEPT, asked_sound, asked_windows
from soundfold import load
from soundfold.runtime.seal import check_seal

pytestmark = pytest.mark.runtime

FILES = sorted(KEPT.glob("*/*.onnx"))
BOUND = {"float32": 1e-4, "float16": 1e-4, "int8": 0.25}
"""As an export is held to: rounding may push a value of int8 to the next of 256 steps, on another processor too."""


@cache
def kept_answers(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "answers.json").read_text(encoding="utf-8"))


def test_every_kind_of_file_was_kept() -> None:
    kinds = {"tutorial", "mfcc", "texture", "scratch", "several", "two-seeds", "float16", "int8", "calibrated"}
    kinds |= {"silence", "several-silence"}  # which tell no class of silence, as the older ones do
    kinds |= {"calibrated-by-window"}  # the older one judges the mean of a longer sound too
    folders = [path for path in KEPT.iterdir() if path.is_dir()]
    assert folders
    for folder in folders:
        assert {path.stem for path in folder.glob("*.onnx")} == kinds == set(kept_answers(folder))


@pytest.mark.parametrize("portable", [False, True], ids=["numpy", "portable"])
@pytest.mark.parametrize("path", FILES, ids=[f"{path.parent.name}-{path.stem}" for path in FILES])
def test_a_kept_file_answers_as_it_did(path: Path, portable: bool) -> None:
    kept, model = kept_answers(path.parent)[path.stem], load(path, portable=portable)
    card, bound = model.card, BOUND[model.card.precision]
    assert check_seal(path.read_bytes(), path.name)
    given = model.probabilities(asked_windows(card.channels, card.window))
    np.testing.assert_allclose(given, kept["windows"], rtol=0, atol=bound)
    told = model.predict(asked_sound(card.sample_rate), card.sample_rate)
    assert list(told.probabilities) == list(kept["sound"])
    np.testing.assert_allclose(list(told.probabilities.values()), list(kept["sound"].values()), rtol=0, atol=bound)
    if card.precision != "int8":
        assert [told.label, told.nearest, told.labels and list(told.labels)] == kept["told"]


@pytest.mark.parametrize("path", FILES, ids=[f"{path.parent.name}-{path.stem}" for path in FILES])
def test_a_kept_file_still_says_what_it_is(path: Path) -> None:
    card = load(path).card
    assert card.soundfold_version == path.parent.name
    assert card.precision == (path.stem if path.stem in ("float16", "int8") else "float32")
    assert card.answer == ("several" if path.stem.startswith("several") else "one")
    assert card.silence_is_unknown == (path.stem.endswith("silence") or path.stem.endswith("by-window"))
    silence = load(path).predict(np.zeros(card.window, np.float32), card.sample_rate)
    assert (silence.label == "unknown") == (card.silence_is_unknown or path.stem == "calibrated")
    assert (card.calibration is not None) == path.stem.startswith("calibrated")
    if card.calibration is not None:
        assert card.calibration.rejection.by_window == path.stem.endswith("by-window")
