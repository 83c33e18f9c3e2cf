"""Windows cut from blocks are those of the whole sound, whatever the blocks."""

import hypothesis
import numpy as np
from hypothesis import strategies as st

from soundfold.audio import windows
from soundfold.runtime.windowing import WindowCutter, stacked


@hypothesis.given(
    samples=st.integers(1, 90),
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=5).filter(any),
    window=st.integers(1, 15),
    part=st.floats(0.01, 1.0),
)
def test_every_window_of_the_whole_is_cut_once_and_holds_its_samples(samples, sizes, window, part):
    hop = max(1, round(part * window))
    sound = np.arange(2 * samples, dtype=np.float32).reshape(2, samples)
    cutter, told, at = WindowCutter(window, hop), [], 0
    while at < samples:
        for size in sizes:
            block = sound[:, at : at + size].copy()
            told += [(start, waveform.copy()) for start, waveform in cutter.feed(block)]
            block[:] = np.nan  # what is held is no view of a block that is over
            at += block.shape[1]
            assert cutter.missing == window - (min(at, samples) - hop * len(told))
    told += cutter.finish()
    assert [(start, start + waveform.shape[1]) for start, waveform in told] == windows(samples, window, hop)
    for start, waveform in told:
        np.testing.assert_array_equal(waveform, sound[:, start : start + window])


def test_windows_are_stacked_with_silence_around_a_short_one():
    whole, short = np.ones((2, 4), np.float32), np.ones((2, 2), np.float32)
    assert stacked([(0, whole), (4, short)], 4)[:, 0].tolist() == [[1, 1, 1, 1], [0, 1, 1, 0]]
    assert stacked([(0, short)], 4).tolist() == [[[0, 1, 1, 0]] * 2]
    assert np.shares_memory(stacked([(0, whole)], 4), whole)
