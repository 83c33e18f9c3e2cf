"""Resampling: identity, the law of lengths, frequency and level, blocks equal to the whole."""

import math

import numpy as np
import pytest

from soundfold.audio import PromptResampler, resample, resample_blocks, resampled_length
from soundfold.errors import AudioError

pytestmark = pytest.mark.runtime

RATES = [8_000, 11_024, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 192_000]


def noise(channels: int, samples: int) -> np.ndarray:
    return np.random.default_rng(samples).standard_normal((channels, samples)).astype(np.float32)


def cut(waveform: np.ndarray, size: int) -> list[np.ndarray]:
    return [waveform[:, at : at + size] for at in range(0, waveform.shape[1], size)]


def test_the_same_rate_gives_the_array_itself():
    waveform = noise(2, 100)
    assert resample(waveform, 44_100, 44_100) is waveform
    blocks = cut(waveform, 7)
    assert all(a is b for a, b in zip(resample_blocks(blocks, 8_000, 8_000), blocks, strict=True))


@pytest.mark.parametrize("old", RATES)
@pytest.mark.parametrize("new", [8_000, 16_000, 32_000, 44_100, 48_000])
def test_lengths_follow_the_law(old, new):
    for samples in (1, 2, 3, 17, 441, 2_404):
        exact = samples * new / old
        length = resampled_length(samples, old, new)
        assert length == max(1, math.floor(exact + 0.5))
        assert resample(noise(1, samples), old, new).shape == (1, length)


def test_a_length_of_fifteen_hours_is_exact():
    samples = 15 * 3_600 * 44_100 + 1
    assert resampled_length(samples, 44_100, 32_000) == (2 * samples * 32_000 + 44_100) // 88_200


@pytest.mark.parametrize(("old", "new"), [(192_000, 8_000), (44_100, 37), (48_000, 1), (2**31 - 1, 8_000)])
def test_of_a_very_short_sound_one_sample_remains(old, new):
    waveform = np.full((2, 3), 0.25, np.float32)
    whole = resample(waveform, old, new)
    assert whole.shape == (2, 1)
    assert np.abs(whole).max() <= 0.25  # what a low pass leaves of three samples amid silence
    joined = np.concatenate(list(resample_blocks(cut(waveform, 1), old, new)), axis=1)
    assert np.array_equal(joined, whole)


@pytest.mark.parametrize("old", [1_000, 4_000, 7_350, *RATES, 44_101])
@pytest.mark.parametrize("new", [8_000, 32_000, 44_100, 48_000])
@pytest.mark.parametrize("seconds", [0.002, 0.3])
def test_a_sound_begins_and_ends_as_it_would_amid_silence(old, new, seconds):
    sound = noise(1, max(1, round(seconds * old)))
    silence = np.zeros((1, old), np.float32)
    amid = resample(np.concatenate([silence, sound, silence], axis=1), old, new)
    whole = resample(sound, old, new)
    np.testing.assert_allclose(whole, amid[:, new : new + whole.shape[1]], atol=3e-5)


@pytest.mark.parametrize(("old", "new"), [(22_050, 44_100), (48_000, 44_100), (44_100, 16_000), (11_024, 44_100)])
@pytest.mark.parametrize("channels", [1, 2])
def test_blocks_of_any_size_equal_the_whole(old, new, channels):
    waveform = noise(channels, 5_003)
    whole = resample(waveform, old, new)
    for size in (1, 37, 441, 4_096, 5_003, 9_999):
        blocks = list(resample_blocks(cut(waveform, size), old, new))
        assert all(block.shape[1] for block in blocks)
        assert all(block.flags.c_contiguous for block in blocks)
        assert np.array_equal(np.concatenate(blocks, axis=1), whole)


@pytest.mark.parametrize("old", [44_100, 48_000, 11_025, 8_000, 44_101])
@pytest.mark.parametrize("new", [8_000, 32_000, 44_100])
def test_what_is_given_ahead_is_what_the_whole_has(old, new):
    sound = noise(2, 2 * old)
    whole = resample(sound, old, new)
    opened = PromptResampler(old, new)
    told: list[np.ndarray] = []
    draw = np.random.default_rng(old + new)
    at = ahead = 0
    while at < sound.shape[1]:
        size = int(draw.integers(1, old // 20))
        told.append(opened.feed(sound[:, at : at + size]))
        at += size
        early = opened.ahead(int(draw.integers(1, new // 10)))
        if early.shape[1]:
            told.append(early)
            ahead += 1
    told.append(opened.finish())
    assert ahead > 3 or old == new
    joined = np.concatenate([part for part in told if part.shape[1]], axis=1)
    assert joined.shape == whole.shape
    np.testing.assert_allclose(joined, whole, atol=1e-5)


def test_empty_blocks_change_nothing_and_no_blocks_give_none():
    waveform = noise(2, 999)
    empty = waveform[:, :0]
    joined = np.concatenate(list(resample_blocks([empty, waveform, empty], 44_100, 48_000)), axis=1)
    assert np.array_equal(joined, resample(waveform, 44_100, 48_000))
    assert list(resample_blocks([], 44_100, 48_000)) == []


@pytest.mark.parametrize("old", RATES)
def test_a_sine_keeps_its_frequency_and_its_level(old):
    new, hz, level = 44_100, 1_000.0, 0.5
    time = np.arange(old) / old
    tone = resample((level * np.sin(2 * np.pi * hz * time)).astype(np.float32)[np.newaxis], old, new)[0]
    middle = tone[new // 4 : new // 4 + new // 2]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert np.argmax(spectrum) * new / len(middle) == hz
    expected = level * np.sin(2 * np.pi * hz * np.arange(len(tone)) / new)
    np.testing.assert_allclose(middle, expected[new // 4 : new // 4 + new // 2], atol=2e-4)


def test_what_the_new_rate_cannot_hold_is_removed():
    time = np.arange(48_000) / 48_000
    tone = np.sin(2 * np.pi * 12_000 * time).astype(np.float32)[np.newaxis]
    assert np.abs(resample(tone, 48_000, 16_000)[0, 1_000:-1_000]).max() < 1e-4


def test_channels_stay_apart_and_in_order():
    waveform = noise(3, 2_000)
    whole = resample(waveform, 44_100, 32_000)
    for channel in range(3):
        assert np.array_equal(whole[channel : channel + 1], resample(waveform[channel : channel + 1], 44_100, 32_000))
    assert np.array_equal(resample(np.asfortranarray(waveform), 44_100, 32_000), whole)


def test_messages():
    with pytest.raises(AudioError, match=r"^samples must be at least 1, got 0\.$"):
        resample(np.zeros((1, 0), np.float32), 8_000, 16_000)
    with pytest.raises(AudioError, match=r"^new_rate must be a whole number of Hz from 1 to 4,294,967,295, got 0\."):
        resample(np.zeros((1, 5), np.float32), 8_000, 0)
    with pytest.raises(AudioError, match=r"^sample_rate must be a whole number of Hz from 1 to .*, got -1\."):
        list(resample_blocks([np.zeros((1, 5), np.float32)], -1, 8_000))
    with pytest.raises(AudioError, match=r"^waveform must have the shape \(channels, samples\), got \(5,\)\.$"):
        resample(np.zeros(5, np.float32), 8_000, 16_000)
    with pytest.raises(AudioError, match=r"^block must have 2 channels like those before, got 1\.$"):
        list(resample_blocks([noise(2, 9), noise(1, 9)], 8_000, 16_000))


@pytest.mark.parametrize(
    "rate", [0, -1, 2**32, 10**15, 44_100.5, float("nan"), float("inf"), "44100", None, np.zeros(2)]
)
def test_what_is_no_rate_is_told_before_anything_is_resampled(rate):
    with pytest.raises(AudioError, match=r"^sample_rate must be a whole number of Hz from 1 to 4,294,967,295, got "):
        resample(noise(1, 9), rate, 8_000)
    with pytest.raises(AudioError, match=r"^sample_rate must be a whole number of Hz from 1 to 4,294,967,295, got "):
        list(resample_blocks([noise(1, 9)], rate, 8_000))


@pytest.mark.parametrize("kind", [float, np.int32, np.uint16, np.float32])
def test_a_rate_is_the_same_whatever_kind_of_number_holds_it(kind):
    waveform = noise(1, 900)
    assert np.array_equal(resample(waveform, kind(44_100), 8_000), resample(waveform, 44_100, 8_000))
