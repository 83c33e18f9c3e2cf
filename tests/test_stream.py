"""Streams: what `predict` answers for the whole, whatever the blocks; times that stay exact; gaps."""

import itertools
import time
from fractions import Fraction

import numpy as np
import pytest

from clicks import clicks_of
from model_files import MEL_MODEL, SAMPLE_RATE, TINY_MODEL, tiny_probabilities
from soundfold.audio import fit_length, resample, resampled_length
from soundfold.errors import AudioError
from soundfold.runtime import Event, EventJoiner, Gap, Joining, Model, Span, Stream, load

pytestmark = pytest.mark.runtime
hypothesis = pytest.importorskip("hypothesis")
st = hypothesis.strategies


@pytest.fixture(scope="module", params=[TINY_MODEL, MEL_MODEL], ids=["tiny", "mel"])
def model(request: pytest.FixtureRequest) -> Model:
    return load(request.param)


@pytest.fixture(scope="module")
def tiny() -> Model:
    return load(TINY_MODEL)


def noise(seconds: float, rate: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    swell = np.linspace(0.05, 1.0, round(seconds * rate))
    return (np.random.default_rng(seed).uniform(-1, 1, (channels, len(swell))) * swell).astype(np.float32)


def cut(waveform: np.ndarray, sizes: list[int]) -> list[np.ndarray]:
    """Return blocks of these sizes over and over, until the sound is at its end."""
    blocks, at = [], 0
    for size in itertools.cycle(sizes):
        if at >= waveform.shape[-1]:
            return blocks
        blocks.append(waveform[..., at : at + size])
        at += size
    raise AssertionError


def assert_same(told: list[Span], expected: tuple[Span, ...]) -> None:
    assert [(span.start_s, span.end_s) for span in told] == [(span.start_s, span.end_s) for span in expected]
    rows, wanted = ([list(span.probabilities.values()) for span in spans] for spans in (told, expected))
    np.testing.assert_allclose(rows, wanted, atol=1e-4)
    assert [(span.label, span.labels, span.nearest) for span in told] == [
        (span.label, span.labels, span.nearest) for span in expected
    ]


@hypothesis.settings(max_examples=60)
@hypothesis.given(
    sizes=st.lists(st.integers(0, 5_000), min_size=1, max_size=6).filter(any),
    seconds=st.floats(0.001, 4.0),
    rate=st.sampled_from([8_000, 11_025, 44_100, 48_000, 7_919]),
    channels=st.sampled_from([1, 2, 5]),
    hop_s=st.sampled_from([None, 0.05, 0.123, 0.25, 0.5]),
)
def test_blocks_of_any_size_get_the_answers_of_the_whole(model, sizes, seconds, rate, channels, hop_s):
    waveform = noise(seconds, rate, channels)
    told = list(model.stream(cut(waveform, sizes), rate, hop_s=hop_s))
    assert_same(told, model.predict(waveform, rate, hop_s=hop_s).timeline)


@pytest.mark.parametrize("size", [1, 8_000, 8_001, 10**6])
def test_one_sample_at_a_time_and_all_at_once(tiny: Model, size: int) -> None:
    waveform = noise(2.3, SAMPLE_RATE)
    told = list(tiny.stream(cut(waveform, [size]), SAMPLE_RATE, hop_s=0.5))
    assert_same(told, tiny.predict(waveform, SAMPLE_RATE, hop_s=0.5).timeline)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32])
def test_pcm_is_heard_as_predict_hears_it(tiny: Model, kind: type) -> None:
    waveform = (np.random.default_rng(0).integers(0, 255, 12_000)).astype(kind)
    assert_same(list(tiny.stream(cut(waveform, [700]), 8_000)), tiny.predict(waveform, 8_000).timeline)


def test_an_answer_comes_with_the_block_that_completes_its_window(tiny: Model) -> None:
    stream = Stream(tiny, SAMPLE_RATE, hop_s=0.25)
    waveform = noise(2.0, SAMPLE_RATE)
    assert stream.feed(waveform[:, :7_999]) == []
    (first,) = stream.feed(waveform[:, 7_999:8_000])
    assert (first.start_s, first.end_s) == (0.0, 1.0)
    assert stream.feed(waveform[:, 8_000:9_999]) == []
    (second,) = stream.feed(waveform[:, 9_999:10_000])
    assert (second.start_s, second.end_s) == (0.25, 1.25)
    assert stream.finish() == [], "all samples were heard already"


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100, 48_000, 96_000])
def test_a_window_is_answered_as_soon_as_its_sound_is_known(tiny: Model, rate: int) -> None:
    block, needed = rate // 100, 0.0126  # a hundred samples of the model's 8 kHz, and rounding
    opened = Stream(tiny, rate, hop_s=0.25)
    for number, part in enumerate(cut(noise(3.0, rate), [block]), 1):
        for told in opened.feed(part):
            assert isinstance(told, Span)
            assert number * block / rate - told.end_s <= needed * (rate != SAMPLE_RATE) + block / rate


def test_latency_counts_from_the_last_sample_of_the_window(tiny: Model) -> None:
    stream = Stream(tiny, SAMPLE_RATE)
    told = stream.feed(noise(1.5, SAMPLE_RATE), at=time.monotonic() - 2.0)
    assert told[0].latency_s == pytest.approx(2.5, abs=0.2), "it had waited 2 s, with 0.5 s of sound after the window"
    assert "latency_s" in told[0].as_dict()
    assert "latency_s" not in tiny.predict(noise(1.5, SAMPLE_RATE), SAMPLE_RATE).timeline[0].as_dict()


@pytest.mark.parametrize(("rate", "new_rate"), [(44_100, 8_000), (11_025, 8_000), (7_919, 8_000)])
def test_times_do_not_drift(rate: int, new_rate: int) -> None:
    assert clicks_of(rate, new_rate, 300, 20) <= 1.5 / new_rate, "more than a sample off"


def test_lost_sound_is_told_and_what_follows_stands_at_its_time(tiny: Model) -> None:
    rate = 44_100
    before, after = noise(1.3, rate, seed=1), noise(1.7, rate, seed=2)
    stream = Stream(tiny, rate)
    told = [*stream.feed(before), *stream.skip(round(0.31 * rate)), *stream.feed(after), *stream.finish()]
    gaps = [entry for entry in told if isinstance(entry, Gap)]
    assert [(gap.start_s, gap.end_s) for gap in gaps] == [(pytest.approx(1.3), pytest.approx(1.61))]
    assert gaps[0].as_dict()["lost"] is True
    spans = [entry for entry in told if isinstance(entry, Span)]
    assert [span.start_s for span in spans] == pytest.approx([0.0, 1.0, 1.61, 2.61], abs=1 / SAMPLE_RATE)
    assert [span.end_s for span in spans] == pytest.approx([1.0, 1.3, 2.61, 3.31], abs=1 / SAMPLE_RATE)
    pieces = [piece for part in (before, after) for piece in cut(resample(part, rate, SAMPLE_RATE), [SAMPLE_RATE])]
    expected = tiny_probabilities(np.stack([fit_length(piece, SAMPLE_RATE) for piece in pieces]))
    np.testing.assert_allclose([list(span.probabilities.values()) for span in spans], expected, atol=1e-4)


def test_many_gaps_add_up_to_no_error(tiny: Model) -> None:
    rate, lost, stream = 44_100, 44_101, Stream(tiny, 44_100)
    for _ in range(500):
        stream.feed(np.zeros(441, np.float32))
        *_, gap = stream.skip(lost)
    (last,) = [*stream.feed(np.zeros(441, np.float32)), *stream.finish()]
    samples = 500 * (441 + lost)
    assert gap.end_s == samples / rate == stream.heard_s - 0.01
    assert round(last.start_s * SAMPLE_RATE) == resampled_length(samples, rate, SAMPLE_RATE)
    assert abs(Fraction(last.start_s) - Fraction(samples, rate)) < Fraction(1, SAMPLE_RATE)


def test_nothing_lost_is_no_gap_and_no_sound_no_answer(tiny: Model) -> None:
    stream = Stream(tiny, 8_000)
    assert stream.skip(0) == []
    assert stream.feed(np.empty(0)) == []
    assert stream.finish() == []
    assert list(tiny.stream([], 8_000)) == []


def test_what_cannot_be_heard_is_refused(tiny: Model) -> None:
    with pytest.raises(AudioError, match="hop must be more than 0"):
        tiny.stream([], 8_000, hop_s=2.0)
    with pytest.raises(AudioError, match="sample_rate must be a whole number of Hz from 1 to .*, got 0"):
        tiny.stream([], 0)
    with pytest.raises(AudioError, match="sample_rate must be a whole number of Hz from 1 to .*, got 44100.5"):
        tiny.stream([], 44_100.5)  # type: ignore[arg-type]
    with pytest.raises(AudioError, match="must hold finite numbers, got NaN"):
        list(tiny.stream([np.full(9, np.nan)], 8_000))
    with pytest.raises(AudioError, match=r"got \(2, 2, 2\)"):
        list(tiny.stream([np.zeros((2, 2, 2))], 8_000))
    stream = Stream(tiny, 8_000)
    stream.finish()
    for use in (lambda: stream.feed(np.zeros(9)), lambda: stream.skip(1), stream.finish):
        with pytest.raises(AudioError, match="stream must not be used after its end"):
            use()


@hypothesis.settings(max_examples=20)
@hypothesis.given(sizes=st.lists(st.integers(1, 9_000), min_size=1, max_size=4), hop_s=st.sampled_from([None, 0.25]))
def test_events_come_as_they_are_over_and_are_those_of_the_whole(tiny, sizes, hop_s):
    loud = np.concatenate([np.zeros(11_000), np.full(21_000, 0.6), np.zeros(15_000), np.full(9_000, 0.6)])
    joining = Joining(threshold=0.6)
    joiner, expected = EventJoiner(tiny.card, joining), []
    for span in tiny.predict(loud, SAMPLE_RATE, hop_s=hop_s).timeline:
        place = round(span.start_s * SAMPLE_RATE), round(span.end_s * SAMPLE_RATE)
        expected += joiner.add(*place, np.array(list(span.probabilities.values())))
    expected += joiner.finish()
    stream = Stream(tiny, SAMPLE_RATE, hop_s=hop_s, joining=joining)
    events = [told for told in stream.hear(cut(loud, sizes)) if isinstance(told, Event)]
    assert len(events) >= 3
    assert [(event.label, event.start_s, event.end_s) for event in events] == [
        (event.label, event.start_s, event.end_s) for event in expected
    ]


def test_an_event_ends_where_sound_was_lost(tiny: Model) -> None:
    stream = Stream(tiny, SAMPLE_RATE, joining=Joining(threshold=0.6, gap_s=9.0))
    loud = np.full(16_000, 0.6, np.float32)
    told = [*stream.feed(loud), *stream.skip(4_000), *stream.feed(loud), *stream.finish()]
    kinds = [type(entry).__name__ for entry in told]
    assert kinds == ["Span", "Span", "Event", "Gap", "Span", "Span", "Event"]
    assert [(entry.start_s, entry.end_s) for entry in told if isinstance(entry, Event)] == [(0.0, 2.0), (2.5, 4.5)]
