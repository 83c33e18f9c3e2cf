"""Events: windows joined as a plain look at every sample would join them."""

import math
from itertools import groupby

import numpy as np
import pytest

from soundfold.audio import windows
from soundfold.errors import SoundfoldError
from soundfold.runtime import FORMAT_VERSION, Calibration, Event, EventJoiner, Joining, ModelCard, Rejection

pytestmark = pytest.mark.runtime
LABELS = ("a", "b", "c")
RATE = 1_000


def card(answer: str = "several", **changes: object) -> ModelCard:
    values = {
        "format_version": FORMAT_VERSION, "soundfold_version": "0", "labels": LABELS, "answer": answer,
        "sample_rate": RATE, "channels": 1, "downmix": "first", "window": 1_000,
    }  # fmt: skip
    return ModelCard.model_validate(values | changes)


def joined(spans: list[tuple[int, int]], rows: np.ndarray, joining: Joining, known: ModelCard) -> list[Event]:
    joiner = EventJoiner(known, joining)
    events = [event for (start, stop), row in zip(spans, rows, strict=True) for event in joiner.add(start, stop, row)]
    return sorted([*events, *joiner.finish()], key=lambda event: (event.start_s, event.label))


def by_every_sample(spans: list[tuple[int, int]], rows: np.ndarray, joining: Joining, known: ModelCard) -> list[Event]:
    """The rule in the plainest way: a probability for each sample, runs, bridged gaps, short ones left out."""
    length = spans[-1][1]
    total, count = np.zeros((length, len(LABELS))), np.zeros((length, 1))
    for (start, stop), row in zip(spans, rows, strict=True):
        total[start:stop] += row
        count[start:stop] += 1
    moments = total / count
    heard = moments >= (joining.threshold or 0.5)
    if known.answer == "one":
        heard &= np.arange(len(LABELS)) == moments.argmax(axis=1, keepdims=True)
    events = []
    for k, label in enumerate(LABELS):
        runs: list[list[int]] = []
        for on, samples in groupby(range(length), key=lambda n: bool(heard[n, k])):
            inside = list(samples)
            if not on:
                continue
            if runs and inside[0] - runs[-1][1] <= round(joining.gap_s * RATE):
                runs[-1][1] = inside[-1] + 1
            else:
                runs.append([inside[0], inside[-1] + 1])
        for start, stop in runs:
            if stop - start >= round(joining.min_s * RATE):
                part = moments[start:stop, k]
                peak = part[heard[start:stop, k]].max()
                events.append(Event(start / RATE, stop / RATE, label, float(part.mean()), float(peak)))
    return sorted(events, key=lambda event: (event.start_s, event.label))


@pytest.mark.parametrize("answer", ["one", "several"])
@pytest.mark.parametrize("seed", range(40))
def test_events_are_those_that_every_sample_tells(seed: int, answer: str) -> None:
    draw = np.random.default_rng(seed)
    window = int(draw.integers(3, 60))
    hop = window if seed % 4 == 0 else int(draw.integers(1, window + 1))
    spans = windows(int(draw.integers(1, 700)), window, hop)
    rows = draw.uniform(size=(len(spans), len(LABELS))) ** draw.uniform(0.3, 2)
    choices = ([0.4, 0.5, 0.8, None], [0.0, 0.0, 0.011, 0.05], [0.0, 0.0, 0.01, 0.1])
    joining = Joining(*(draw.choice(np.array(some, object)) for some in choices))
    told, expected = (how(spans, rows, joining, card(answer)) for how in (joined, by_every_sample))
    assert [(e.start_s, e.end_s, e.label) for e in told] == [(e.start_s, e.end_s, e.label) for e in expected]
    np.testing.assert_allclose([e.probability for e in told], [e.probability for e in expected], atol=1e-12)
    np.testing.assert_allclose([e.peak for e in told], [e.peak for e in expected], atol=1e-12)


def test_overlapping_windows_place_a_sound_finer_than_a_window() -> None:
    """Something 0.2 s long at 5 s is in every window that covers it; most of them agree on the right second."""
    spans = windows(10_000, 4_000, 500)
    rows = np.array([[0.9 if start <= 5_000 and stop >= 5_200 else 0.0, 0, 0] for start, stop in spans])
    (event,) = joined(spans, rows, Joining(threshold=0.8), card())
    assert (event.start_s, event.end_s) == (5.0, 5.5)
    assert event.peak == pytest.approx(0.9)


def test_gaps_are_bridged_before_short_events_are_left_out() -> None:
    spans = windows(5_000, 1_000, 1_000)
    rows = np.array([[0.9], [0.3], [0.6], [0.0], [0.8]]) * [1, 0, 0]
    whole = joined(spans, rows, Joining(min_s=2.0, gap_s=1.0), card())
    assert [(e.start_s, e.end_s, e.peak) for e in whole] == [(0.0, 5.0, 0.9)]
    assert whole[0].probability == pytest.approx(0.52)
    assert joined(spans, rows, Joining(min_s=2.0), card()) == []
    assert len(joined(spans, rows, Joining(), card())) == 3


def test_events_come_as_soon_as_they_are_over() -> None:
    joiner = EventJoiner(card())
    assert joiner.add(0, 1_000, np.array([0.9, 0.8, 0.0])) == []
    assert joiner.add(1_000, 2_000, np.array([0.9, 0.1, 0.0])) == []
    assert [event.label for event in joiner.add(2_000, 3_000, np.array([0.1, 0.1, 0.0]))] == ["b"]
    assert [event.label for event in joiner.add(3_000, 4_000, np.zeros(3))] == ["a"]
    assert joiner.finish() == []


def test_where_no_window_was_nothing_is_heard() -> None:
    spans = [(0, 1_000), (5_000, 6_000)]
    assert [(e.start_s, e.end_s) for e in joined(spans, np.array([[0.9, 0, 0]] * 2), Joining(), card())] == [
        (0.0, 1.0), (5.0, 6.0)
    ]  # fmt: skip
    assert EventJoiner(card()).finish() == []


def test_thresholds_of_the_model_hold_unless_one_is_asked_for() -> None:
    trusted = card("one", calibration=Calibration(temperature=1.0, thresholds={"a": 0.3, "b": 0.9}))
    spans, rows = windows(3_000, 1_000, 1_000), np.array([[0.35, 0.3, 0.2], [0.1, 0.85, 0.05], [0.2, 0.2, 0.6]])
    assert [event.label for event in joined(spans, rows, Joining(), trusted)] == ["a", "c"]
    assert [event.label for event in joined(spans, rows, Joining(threshold=0.8), trusted)] == ["b"]


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.1, math.nan])
def test_a_threshold_out_of_range_is_told(threshold: float) -> None:
    with pytest.raises(SoundfoldError, match=r"threshold must be above 0 and at most 1, got .*\. Say 0\.5"):
        Joining(threshold=threshold)


@pytest.mark.parametrize("seconds", [-0.1, math.inf, math.nan])
def test_lengths_out_of_range_are_told(seconds: float) -> None:
    with pytest.raises(SoundfoldError, match=r"shortest event must be a number of seconds from 0 on, got"):
        Joining(min_s=seconds)
    with pytest.raises(SoundfoldError, match=r"gap must be a number of seconds from 0 on, got"):
        Joining(gap_s=seconds)


def test_a_window_that_is_unknown_is_no_event_however_sure_its_network_is() -> None:
    zeros, ones = (0.0,) * 3, (1.0,) * 3
    # refuses what is surer than about 0.9: known where -sum(z²) is at least the threshold
    rule = Rejection(
        centre=zeros, spread=ones, linear=zeros, square=(-1.0,) * 3, threshold=-10.0, false_alarms_per_hour=1.0
    )
    rows = np.array([[0.6, 0.3, 0.1], [0.99, 0.005, 0.005], [0.6, 0.3, 0.1]])
    spans = [(0, 1_000), (1_000, 2_000), (2_000, 3_000)]
    for answer, heard in (("one", [(0.0, 1.0), (2.0, 3.0)]), ("several", [(0.0, 3.0)])):
        ruled = card(answer, calibration=Calibration(temperature=1.0, rejection=rule))
        events = joined(spans, rows, Joining(), ruled)
        assert [(event.start_s, event.end_s) for event in events] == heard
