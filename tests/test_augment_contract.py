"""What every transform keeps to: one contract, for each alone and for the two chains with everything on."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import pytest
import torch
from torch import Generator, Tensor

from soundfold import augment
from soundfold.recipe import AugmentRecipe, build_recipe

CLIPS, CHANNELS, BANDS, FRAMES, SAMPLES, RATE = 8, 2, 16, 40, 1_000, 8_000
TARGETS = torch.eye(4)[torch.arange(CLIPS) % 4]
BACKGROUNDS = torch.randn(3, 1, SAMPLES + 50, generator=Generator().manual_seed(9))
STILL = {"place": "centre", "time_shift": 0.0, "time_masks": 0, "frequency_masks": 0}
STRONG = {
    "place": "random", "time_shift": 0.5, "noise_probability": 1.0, "noise_snr_db": 0.0, "filter_db": 12.0,
    "gain_db": 12.0,
}  # fmt: skip
PICTURE = STRONG | {
    "time_stretch": 0.3, "band_shift": 4.0, "frequency_masks": 2, "frequency_mask": 0.3, "time_masks": 2,
    "time_mask": 0.3,
}  # fmt: skip
WAVE = STRONG | {
    "domain": "waveform", "speed": 0.3, "pitch_shift": 4.0, "background_folder": "sounds",
    "background_probability": 1.0, "background_snr_db": 0.0,
}  # fmt: skip


class Transform(NamedTuple):
    """A transform: draws numbers for some clips at a strength of 0 or 1, and applies them."""

    draw: Callable[[int, float, Generator], Any]
    apply: Callable[[Tensor, Any], Tensor]
    waveform: bool = False
    mixes: bool = False


def recipe(settings: dict[str, Any], strength: float) -> AugmentRecipe:
    return build_recipe({"augment": STILL | (settings if strength else {})}).augment


def draw_place(room: int, count: int, strength: float, generator: Generator) -> Tensor:
    silence = torch.full((count,), round(room * strength))
    return augment.draw_place(silence, silence, generator)


def draw_chain(settings: dict[str, Any], count: int, strength: float, generator: Generator) -> augment.Draws:
    room = torch.full((count,), 5)
    return augment.draw(recipe(settings, strength), room, room, BANDS, FRAMES, generator)


def draw_waves(settings: dict[str, Any], count: int, strength: float, generator: Generator) -> augment.WaveDraws:
    room = torch.full((count,), 50)
    backgrounds = (len(BACKGROUNDS), BACKGROUNDS.shape[-1])
    return augment.draw_waveform(
        recipe(settings, strength), room, room, SAMPLES, RATE, generator, backgrounds=backgrounds
    )


def mixing(kind: Any, count: int, strength: float, generator: Generator) -> augment.Mixing:
    return augment.draw_mixing(kind, count, 1.0, strength, FRAMES, generator)


def targets(batch: Tensor) -> Tensor:
    return TARGETS[: len(batch)].to(batch)


def apply_waves(batch: Tensor, drawn: augment.WaveDraws) -> Tensor:
    return augment.apply_wave_draws(batch, drawn, BACKGROUNDS.to(batch))


ALONE = {
    "place": Transform(partial(draw_place, 12), augment.time_shift),
    "time shift": Transform(lambda n, s, g: augment.draw_time_shift(n, 0.5 * s, FRAMES, g), augment.time_shift),
    "frequency masks": Transform(
        lambda n, s, g: augment.draw_strips(n, 2, 0.4 * s, BANDS, g), lambda x, d: augment.hide(x, d, None)
    ),
    "time masks": Transform(
        lambda n, s, g: augment.draw_strips(n, 2, 0.4 * s, FRAMES, g), lambda x, d: augment.hide(x, None, d)
    ),
    "time stretch": Transform(lambda n, s, g: augment.draw_rate(n, 0.3 * s, g), augment.time_stretch),
    "band shift": Transform(lambda n, s, g: augment.draw_band_shift(n, 4.0 * s, g), augment.band_shift),
    "gain": Transform(lambda n, s, g: augment.draw_gain(n, 12.0 * s, g), lambda x, d: augment.add_level(x, d[:, None])),
    "filter": Transform(lambda n, s, g: augment.draw_curve(n, 12.0 * s, BANDS, g), augment.add_level),
    "noise": Transform(lambda n, s, g: augment.draw_noise(n, s, 0.0, BANDS, FRAMES, g), augment.add_noise),
    "chain": Transform(partial(draw_chain, PICTURE), augment.apply_draws),
    "waveform place": Transform(partial(draw_place, 300), augment.time_shift, waveform=True),
    "waveform time shift": Transform(
        lambda n, s, g: augment.draw_time_shift(n, 0.5 * s, SAMPLES, g), augment.time_shift, waveform=True
    ),
    "speed": Transform(lambda n, s, g: augment.draw_rate(n, 0.3 * s, g), augment.change_speed, waveform=True),
    "pitch": Transform(
        lambda n, s, g: augment.draw_pitch(n, 4.0 * s, g), lambda x, d: augment.shift_pitch(x, d, RATE), waveform=True
    ),
    "waveform gain": Transform(lambda n, s, g: augment.draw_gain(n, 12.0 * s, g), augment.amplify, waveform=True),
    "waveform filter": Transform(
        lambda n, s, g: augment.draw_curve(n, 12.0 * s, 32, g), augment.equalise, waveform=True
    ),
    "waveform noise": Transform(
        lambda n, s, g: augment.draw_wave_noise(n, s, 0.0, SAMPLES, g), augment.add_wave_noise, waveform=True
    ),
    "background": Transform(
        lambda n, s, g: augment.draw_background(n, s, 0.0, len(BACKGROUNDS), 50, g),
        lambda x, d: augment.add_background(x, d, BACKGROUNDS.to(x)),
        waveform=True,
    ),
    "waveform chain": Transform(partial(draw_waves, WAVE), apply_waves, waveform=True),
}
MIXING = {
    "mixup": Transform(partial(mixing, "mixup"), lambda x, d: augment.mix(x, targets(x), d)[0], mixes=True),
    "between class": Transform(
        partial(mixing, "between_class"), lambda x, d: augment.mix(x, targets(x), d)[0], mixes=True
    ),
    "cutmix": Transform(partial(mixing, "cutmix"), lambda x, d: augment.mix(x, targets(x), d)[0], mixes=True),
    "mixstyle": Transform(lambda n, s, g: augment.draw_style(n, s, 1.0, g), augment.mix_style, mixes=True),
    "mixing chain": Transform(
        partial(draw_chain, PICTURE | {"mix": "between_class", "mixstyle_probability": 1.0}),
        lambda x, d: augment.apply_and_mix(x, targets(x), d)[0],
        mixes=True,
    ),
    "waveform mixup": Transform(
        partial(mixing, "mixup"), lambda x, d: augment.mix_waveforms(x, targets(x), d)[0], waveform=True, mixes=True
    ),
    "waveform between class": Transform(
        partial(mixing, "between_class"),
        lambda x, d: augment.mix_waveforms(x, targets(x), d)[0],
        waveform=True,
        mixes=True,
    ),
    "mixing waveform chain": Transform(
        partial(draw_waves, WAVE | {"mix": "between_class"}),
        lambda x, d: augment.apply_and_mix_waveforms(x, targets(x), d, BACKGROUNDS.to(x))[0],
        waveform=True,
        mixes=True,
    ),
}
EVERY = ALONE | MIXING
of_every = pytest.mark.parametrize("transform", EVERY.values(), ids=EVERY)
of_alone = pytest.mark.parametrize("transform", ALONE.values(), ids=ALONE)
of_mixing = pytest.mark.parametrize("transform", MIXING.values(), ids=MIXING)


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def sounds(transform: Transform, count: int = CLIPS, dtype: torch.dtype = torch.float32) -> Tensor:
    if transform.waveform:
        return 0.2 * torch.randn(count, CHANNELS, SAMPLES, generator=seeded(1), dtype=dtype)
    return 15.0 * torch.randn(count, CHANNELS, BANDS, FRAMES, generator=seeded(1), dtype=dtype) - 40.0


@of_every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_and_type_are_kept_and_the_input_is_left_alone(transform: Transform, dtype: torch.dtype) -> None:
    batch = sounds(transform, dtype=dtype)
    before = batch.clone()
    result = transform.apply(batch, transform.draw(CLIPS, 1.0, seeded()))
    assert result.shape == batch.shape
    assert result.dtype == dtype
    assert torch.equal(batch, before)


@of_every
def test_strength_zero_changes_nothing(transform: Transform) -> None:
    batch = sounds(transform)
    assert torch.equal(transform.apply(batch, transform.draw(CLIPS, 0.0, seeded())), batch)


@of_every
def test_same_seed_same_result_and_another_seed_another_for_every_clip(transform: Transform) -> None:
    batch = sounds(transform)
    first, again, other = (transform.apply(batch, transform.draw(CLIPS, 1.0, seeded(seed))) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    changed = (first != batch).flatten(1).any(dim=1)
    assert changed.float().mean() > 0.7  # a mask may happen to have no width


@of_every
def test_all_channels_are_treated_alike(transform: Transform) -> None:
    batch = sounds(transform)[:, :1].expand(-1, 2, *[-1] * (sounds(transform).ndim - 2))
    result = transform.apply(batch, transform.draw(CLIPS, 1.0, seeded()))
    assert torch.equal(result[:, 0], result[:, 1])


@of_alone
@pytest.mark.parametrize("rows", [slice(2, 5), slice(1, None, 2), slice(0, 1)])
def test_the_numbers_of_some_clips_give_the_results_of_these_clips(transform: Transform, rows: slice) -> None:
    batch, drawn = sounds(transform), transform.draw(CLIPS, 1.0, seeded())
    torch.testing.assert_close(
        transform.apply(batch[rows], drawn[rows]), transform.apply(batch, drawn)[rows], rtol=1e-6, atol=1e-6
    )


@of_alone
def test_no_clip_depends_on_its_neighbours(transform: Transform) -> None:
    batch, drawn = sounds(transform), transform.draw(CLIPS, 1.0, seeded())
    alone = torch.full_like(batch, torch.nan)
    alone[3] = batch[3]
    torch.testing.assert_close(transform.apply(alone, drawn)[3], transform.apply(batch, drawn)[3])


@of_mixing
@pytest.mark.parametrize("shares", [1, 2])
def test_the_share_of_a_process_is_mixed_as_in_the_whole_batch(transform: Transform, shares: int) -> None:
    batch, drawn = sounds(transform), transform.draw(CLIPS, 1.0, seeded())
    whole = transform.apply(batch, drawn)
    for rank in range(shares):
        mine = slice(rank, None, shares)
        torch.testing.assert_close(transform.apply(batch[mine], drawn[mine]), whole[mine], rtol=1e-5, atol=1e-5)


@of_mixing
def test_a_clip_alone_is_mixed_with_none(transform: Transform) -> None:
    batch, drawn = sounds(transform, 1), transform.draw(1, 1.0, seeded())
    assert torch.isfinite(transform.apply(batch, drawn)).all()
    assert transform.apply(batch[:0], drawn[:0]).shape == batch[:0].shape


@of_every
@pytest.mark.parametrize("sound", ["silence", "clipping", "both"])
def test_silence_and_clipping_stay_finite(transform: Transform, sound: str) -> None:
    batch = sounds(transform)
    silence, loudest = (0.0, 1.0) if transform.waveform else (-100.0, 60.0)
    clipped = torch.where(batch > batch.median(), loudest, -1.0 if transform.waveform else silence)
    batch = torch.full_like(batch, silence) if sound == "silence" else clipped
    if sound == "both":
        batch[::2] = silence
    for seed in range(5):
        assert torch.isfinite(transform.apply(batch, transform.draw(CLIPS, 1.0, seeded(seed)))).all()


@of_every
def test_all_is_done_on_the_device_of_the_batch_with_nothing_asked_of_it(transform: Transform) -> None:
    """A tensor on `meta` has a shape and no values: whoever asks for one, or brings another device's, gets an error."""
    meta = torch.device("meta")
    result = transform.apply(sounds(transform).to(meta), transform.draw(CLIPS, 1.0, seeded()).to(meta))
    assert result.device == meta
    assert result.shape == sounds(transform).shape
