"""Speed, pitch, filter, noise and backgrounds of waveforms: measured on tones and noise."""

import math

import pytest
import torch
from torch import Generator, Tensor

from soundfold.augment import (
    Background,
    WaveNoise,
    add_background,
    add_level,
    add_wave_noise,
    amplify,
    apply_and_mix_waveforms,
    apply_wave_draws,
    change_speed,
    draw_background,
    draw_curve,
    draw_pitch,
    draw_wave_noise,
    draw_waveform,
    equalise,
    mix_waveforms,
    shift_pitch,
    time_shift,
)
from soundfold.augment.mixing import Mixing
from soundfold.augment.partners import Partners
from soundfold.recipe import AugmentRecipe, build_recipe

RATE, SAMPLES = 16_000, 16_000


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def tone(frequency_hz: float, samples: int = SAMPLES) -> Tensor:
    steps = torch.arange(samples, dtype=torch.float64) / RATE
    return torch.sin(2 * math.pi * frequency_hz * steps).float().view(1, 1, -1)


def loudest_hz(waveform: Tensor) -> float:
    window = torch.hann_window(waveform.shape[-1])
    return float(torch.fft.rfft(waveform[0, 0] * window).abs().argmax()) * RATE / waveform.shape[-1]


def recipe(**changes: object) -> AugmentRecipe:
    still = {"time_shift": 0.0, "time_masks": 0, "frequency_masks": 0, "place": "centre", "domain": "waveform"}
    return build_recipe({"augment": still | changes}).augment


@pytest.mark.parametrize("rate", [0.75, 0.9, 1.2])
@pytest.mark.parametrize("frequency_hz", [200.0, 3_000.0])
def test_speed_moves_tones_by_its_rate_and_keeps_them_clean(rate: float, frequency_hz: float) -> None:
    faster = change_speed(tone(frequency_hz), torch.tensor([rate]))
    assert loudest_hz(faster) == pytest.approx(frequency_hz * rate, rel=0.005)
    rate = round(rate * 2**16) / 2**16  # as it is kept
    # against the tone as it would have been recorded at that speed, away from the seam
    steps = (torch.arange(SAMPLES, dtype=torch.float64) - (SAMPLES - 1) / 2) * rate + (SAMPLES - 1) / 2
    ideal = torch.sin(2 * math.pi * frequency_hz * steps / RATE).float()
    error = (faster[0, 0] - ideal)[2_000:-2_000]
    assert 10 * torch.log10(error.square().mean() / 0.5) < (-80 if frequency_hz < 1_000 else -20)


def test_speed_shortens_a_sound_about_the_middle_and_rolls_it() -> None:
    clicks = torch.zeros(1, 1, SAMPLES)
    clicks[..., [SAMPLES // 2 - 4_000, SAMPLES // 2 + 4_000]] = 1.0
    faster = change_speed(clicks, torch.tensor([1.25]), torch.tensor([500]))[0, 0]
    first, second = (int(half.argmax()) for half in (faster[: SAMPLES // 2 + 500], faster[SAMPLES // 2 + 500 :]))
    assert first == pytest.approx(SAMPLES // 2 - 3_200 + 500, abs=1)
    assert second == pytest.approx(3_200, abs=1)


def test_at_its_own_speed_a_clip_is_only_rolled() -> None:
    waveform, shift = torch.randn(2, 2, 999, generator=seeded()), torch.tensor([-40, 1_300])
    assert torch.equal(change_speed(waveform, torch.ones(2), shift), time_shift(waveform, shift))


@pytest.mark.parametrize("semitones", [-5.0, -1.0, 3.0, 12.0])
@pytest.mark.parametrize("frequency_hz", [200.0, 440.0, 1_500.0])
def test_pitch_moves_tones_by_semitones_to_within_half_the_grains_pace(semitones: float, frequency_hz: float) -> None:
    factor = torch.tensor([2 ** (semitones / 12)])
    shifted = shift_pitch(tone(frequency_hz), factor, RATE)
    assert loudest_hz(shifted) == pytest.approx(frequency_hz * float(factor), abs=20.5)
    assert 10 * torch.log10(shifted.square().mean() / 0.5) > -3.5


@pytest.mark.parametrize("semitones", [-4.0, 4.0])
def test_pitch_leaves_the_tempo_and_the_loudness(semitones: float) -> None:
    bursts = torch.randn(1, 1, SAMPLES, generator=seeded())
    envelope = (torch.arange(SAMPLES) // 2_000 % 2).float()
    shifted = shift_pitch(bursts * envelope, torch.tensor([2 ** (semitones / 12)]), RATE)[0, 0]
    loud, still = shifted[envelope == 1], shifted[envelope == 0]
    assert loud.square().mean() == pytest.approx(0.7, abs=0.25)  # grains of noise fade over each other at some loss
    assert still.square().mean() < 0.1 * loud.square().mean()
    for burst in range(1, 8, 2):
        assert shifted[burst * 2_000 + 300 : burst * 2_000 + 1_700].square().mean() > 0.3


@pytest.mark.parametrize("semitones", [-4.0, 4.0])
def test_pitch_leaves_no_clicks_where_grains_meet(semitones: float) -> None:
    factor = 2 ** (semitones / 12)
    shifted = shift_pitch(tone(110.0), torch.tensor([factor]), RATE)[0, 0]
    steepest = 2 * math.pi * 110 * max(factor, 1.0) / RATE
    assert shifted[200:-200].diff().abs().max() < 1.3 * steepest  # the seam of the window is a jump of the tone itself


def test_pitch_is_drawn_evenly_over_semitones() -> None:
    semitones = 12 * draw_pitch(4_000, 3.0, seeded()).log2()
    assert semitones.abs().max() <= 3 + 1e-4
    assert semitones.std().item() == pytest.approx(6 / math.sqrt(12), rel=0.05)


@pytest.mark.parametrize("samples", [4_000, 4_001])
def test_a_filter_changes_tones_by_what_its_curve_says(samples: int) -> None:
    curve = torch.tensor([[-6.0, 3.0, 9.0]])  # at 0 Hz, at the middle of a mel-like scale, at half the rate
    middle_hz = RATE / 2 * (math.sqrt(33) - 1) / 32
    for frequency_hz, db in ((RATE / samples, -6.0), (middle_hz, 3.0), (RATE / 2 * 0.999, 9.0)):
        before = tone(round(frequency_hz * samples / RATE) * RATE / samples, samples)
        after = equalise(before, curve)
        gain_db = 10 * torch.log10(after.square().mean() / before.square().mean())
        assert gain_db.item() == pytest.approx(db, abs=0.15)


def test_a_filter_delays_nothing() -> None:
    click = torch.zeros(1, 1, 2_001)
    click[..., 1_000] = 1.0
    answer = equalise(click, draw_curve(1, 12.0, 64, seeded()))[0, 0]
    assert int(answer.abs().argmax()) == 1_000
    torch.testing.assert_close(answer, answer.flip(0), rtol=1e-4, atol=1e-6)


def test_a_filter_of_waveforms_is_one_of_spectrograms() -> None:
    from soundfold.features import build_features

    settings = build_recipe(
        {
            "sound": {"sample_rate": RATE, "channels": 1, "length_s": 1.0},
            "features": {"n_mels": 32, "fmin_hz": 300, "fmax_hz": 7_000},
        }
    )
    front_end = build_features(settings)
    waveform = torch.randn(3, 1, SAMPLES, generator=seeded())
    gain_db = torch.tensor([[6.0], [-4.0], [0.0]])
    curve = gain_db.expand(3, 64)
    by_wave = front_end(amplify(equalise(waveform, curve), gain_db[:, 0]))
    by_picture = add_level(front_end(waveform), 2 * gain_db.expand(3, 32))
    torch.testing.assert_close(by_wave, by_picture, rtol=0, atol=0.01)


def test_noise_has_the_drawn_ratio_and_colours() -> None:
    waveform = 0.3 * torch.randn(64, 1, SAMPLES, generator=seeded())
    drawn = draw_wave_noise(64, 0.75, 5.0, SAMPLES, seeded(1))
    noise = (add_wave_noise(waveform, drawn) - waveform)[:, 0]
    ratio = noise.square().mean(dim=1) / waveform[:, 0].square().mean(dim=1)
    torch.testing.assert_close(ratio, drawn.ratio, rtol=1e-3, atol=1e-6)
    snr_db = -10 * torch.log10(drawn.ratio[drawn.ratio > 0])
    assert 36 <= len(snr_db) <= 60
    assert snr_db.min() >= 5 - 1e-3
    assert snr_db.max() <= 25 + 1e-3
    power = torch.fft.rfft(noise).abs().square()
    octaves = torch.stack([power[:, 2**k : 2 ** (k + 1)].mean(dim=1) for k in range(6, 13)], dim=1)
    slope_db = 10 * torch.log10(octaves[:, -1] / octaves[:, 0]) / 6
    told = drawn.ratio > 0
    assert slope_db[told & (drawn.colour == 0)].abs().max() < 0.6  # white: even
    assert (slope_db[told & (drawn.colour == 1)] + 3.01).abs().max() < 0.6  # pink: 3 dB an octave


def test_no_two_clips_hear_the_same_stretch_of_noise() -> None:
    waveform = torch.ones(2, 1, 500)
    drawn = WaveNoise(torch.ones(2), torch.zeros(2, dtype=torch.int64), torch.tensor([0, 7]), torch.randn(2, 600))
    noise = add_wave_noise(waveform, drawn) - 1
    assert not torch.allclose(noise[0], noise[1], atol=1e-2)
    scale = noise[0, 0, 7] / noise[1, 0, 0]
    torch.testing.assert_close(noise[0, 0, 7:], noise[1, 0, :-7] * scale, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("channels", [1, 2])
def test_a_background_is_the_drawn_part_of_the_drawn_sound_at_the_drawn_ratio(channels: int) -> None:
    backgrounds = torch.randn(3, channels, 150, generator=seeded())
    waveform = torch.randn(2, 2, 100, generator=seeded(1))
    drawn = Background(torch.tensor([0.25, 0.0]), torch.tensor([2, 0]), torch.tensor([50, 3]))
    result = add_background(waveform, drawn, backgrounds)
    added = result[0] - waveform[0]
    expected = backgrounds[2, :, 50:150].expand(2, 100)
    scale = (0.25 * waveform[0].square().mean() / expected.square().mean()).sqrt()
    torch.testing.assert_close(added, expected * scale, rtol=1e-4, atol=1e-5)
    assert torch.equal(result[1], waveform[1])


def test_a_silent_background_adds_nothing() -> None:
    waveform = torch.randn(2, 1, 100, generator=seeded())
    drawn = draw_background(2, 1.0, 0.0, 1, 0, seeded())
    assert torch.equal(add_background(waveform, drawn, torch.zeros(1, 1, 100)), waveform)


def test_between_class_mixing_brings_clips_to_the_shares_asked_for() -> None:
    waveform = torch.cat([tone(500.0), 0.02 * tone(3_000.0)])
    drawn = Mixing("between_class", Partners(torch.tensor([1, -1])), torch.tensor([0.5, 0.5]))
    mixed, targets = mix_waveforms(waveform, torch.eye(2), drawn)
    spectrum = torch.fft.rfft(mixed[0, 0]).abs()
    assert (spectrum[500] / spectrum[3_000]).item() == pytest.approx(1.0, abs=0.01)
    assert torch.equal(targets, torch.full((2, 2), 0.5))


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"time_shift": 0.4}, "shift"),
        ({"place": "random"}, "shift"),
        ({"speed": 0.2}, "rate"),
        ({"pitch_shift": 2}, "pitch"),
        ({"mix": "mixup"}, "mixing"),
        ({"mix": "between_class"}, "mixing"),
        ({"background_folder": "sounds", "background_probability": 1}, "background"),
        ({"noise_probability": 1}, "noise"),
        ({"filter_db": 6}, "curve_db"),
        ({"gain_db": 6}, "gain_db"),
    ],
)
def test_each_setting_turns_on_its_own_transform_and_nothing_else(change: dict[str, object], part: str) -> None:
    room, backgrounds = torch.full((6,), 30), torch.randn(2, 1, 450, generator=seeded())
    waveform = torch.randn(6, 1, 400, generator=seeded())

    def drawn(**changes: object) -> dict[str, object]:
        draws = draw_waveform(recipe(**changes), room, room, 400, RATE, seeded(), backgrounds=(2, 450))
        result, _ = apply_and_mix_waveforms(waveform, torch.eye(6), draws, backgrounds)
        assert torch.equal(result, waveform) == (not changes or changes.get("domain") == "spectrogram")
        return {name: value for name, value in vars(draws).items() if value is not None}

    assert set(drawn()) == {"sample_rate"}
    assert set(drawn(**change)) == {"sample_rate", part}
    if part not in ("rate", "pitch", "background"):
        assert set(drawn(**change, domain="spectrogram")) == {"sample_rate"}


def test_backgrounds_that_were_not_passed_are_missed() -> None:
    room = torch.zeros(2, dtype=torch.int64)
    augment = recipe(background_folder="sounds", background_probability=1)
    draws = draw_waveform(augment, room, room, 400, RATE, seeded(), backgrounds=(2, 400))
    with pytest.raises(ValueError, match="backgrounds must be given, since the draws mix some in, got None"):
        apply_wave_draws(torch.zeros(2, 1, 400), draws)
