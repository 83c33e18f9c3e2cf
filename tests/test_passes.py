"""Several sounds through one network: each gets the answer that it gets alone, and passes are as full as can be."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_files import MEL_MODEL, TINY_MODEL
from soundfold.errors import AudioError
from soundfold.runtime import load
from soundfold.runtime.passes import UnderWay, hear_alone, hear_together
from soundfold.runtime.windowing import MOST_WINDOWS

pytestmark = pytest.mark.runtime
MODELS = [load(TINY_MODEL), load(MEL_MODEL)]


def sound(windows: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(windows * 8_000)).astype(np.float32)


def together(asked: list[UnderWay], at_hand: list[int]) -> tuple[dict, list[int]]:
    """Hear sounds of which so many are at hand each time that one is looked for; return answers and passes."""
    left, looks = list(asked), iter(at_hand)

    def more(wait: bool) -> UnderWay | None:
        return left.pop(0) if left and (wait or next(looks, 1)) else None

    passes: list[int] = []
    return dict(hear_together(more, on_pass=passes.append)), passes


@given(
    lengths=st.lists(st.tuples(st.floats(0.01, 12.0), st.integers(0, 1)), max_size=12),
    at_hand=st.lists(st.integers(0, 1), max_size=40),
)
def test_each_gets_the_answer_that_it_gets_alone(lengths: list[tuple[float, int]], at_hand: list[int]) -> None:
    sounds = [(MODELS[which], sound(windows, seed)) for seed, (windows, which) in enumerate(lengths)]
    asked = [UnderWay(key, model.probabilities, model.hear(heard, 8_000)) for key, (model, heard) in enumerate(sounds)]
    answers, passes = together(asked, at_hand)
    assert answers == {key: model.predict(heard, 8_000) for key, (model, heard) in enumerate(sounds)}
    assert max(passes, default=0) <= MOST_WINDOWS


def test_passes_are_as_full_as_can_be() -> None:
    model = MODELS[0]
    asked = [UnderWay(key, model.probabilities, model.hear(sound(1, key), 8_000)) for key in range(8)]
    assert together(asked, [])[1] == [4, 4]
    long = [UnderWay(key, model.probabilities, model.hear(sound(9, key), 8_000)) for key in range(2)]
    assert together(long, [])[1] == [4, 4, 4, 4, 2]


def test_a_short_sound_need_not_wait_for_the_end_of_a_long_one() -> None:
    model, passes = MODELS[0], []
    came = [UnderWay("long", model.probabilities, model.hear(sound(400, 0), 8_000)), None]
    came += [UnderWay(key, model.probabilities, model.hear(sound(1, key), 8_000)) for key in range(3)]
    ends = [
        (key, len(passes)) for key, _ in hear_together(lambda _: came.pop(0) if came else None, on_pass=passes.append)
    ]
    assert [key for key, _ in ends] == [0, 1, 2, "long"]
    assert ends[2][1] <= 4
    assert len(passes) == 101


def test_what_is_wrong_with_a_sound_is_told_of_it_alone() -> None:
    def broken() -> Iterator[np.ndarray]:
        yield np.zeros((1, 1, 8_000), np.float32)
        raise ZeroDivisionError

    model = MODELS[0]
    good = [UnderWay(key, model.probabilities, model.hear(sound(1, key), 8_000)) for key in range(2)]
    bad = UnderWay("bad", model.probabilities, broken())
    empty = UnderWay("empty", model.probabilities, model.hear(np.zeros(0, np.float32), 8_000))
    answers, _ = together([good[0], bad, empty, good[1]], [])
    assert isinstance(answers["bad"], ZeroDivisionError)
    assert isinstance(answers["empty"], AudioError)
    for key in range(2):
        assert answers[key] == model.predict(sound(1, key), 8_000)


def test_a_pass_that_fails_is_told_to_all_in_it_and_the_next_go_on() -> None:
    failed = []

    def run(windows: np.ndarray) -> np.ndarray:
        if not failed:
            failed.append(len(windows))
            raise MemoryError
        return MODELS[0].probabilities(windows)

    asked = [UnderWay(key, run, MODELS[0].hear(sound(1, key), 8_000)) for key in range(6)]
    answers, _ = together(asked, [])
    assert failed == [4]
    assert [isinstance(answers[key], MemoryError) for key in range(6)] == [True] * 4 + [False] * 2


def test_alone_is_what_predict_does() -> None:
    heard = sound(5.5, 0)
    model = MODELS[1]
    assert hear_alone(model.hear(heard, 8_000, hop_s=0.25), model.probabilities) == model.predict(
        heard, 8_000, hop_s=0.25
    )
