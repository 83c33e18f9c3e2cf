"""Stretch, shift of bands, levels and noise of spectrograms: what each does is what it says."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator

from soundfold.augment import (
    Draws,
    Scale,
    add_level,
    add_noise,
    apply_and_mix,
    apply_draws,
    band_shift,
    draw,
    draw_curve,
    draw_noise,
    draw_rate,
    time_shift,
    time_stretch,
)
from soundfold.augment.decibels import per_db
from soundfold.features import power_to_db, power_to_log
from soundfold.recipe import AugmentRecipe, build_recipe

OFF = {"time_shift": 0.0, "time_masks": 0, "frequency_masks": 0, "place": "centre"}


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def recipe(**changes: object) -> AugmentRecipe:
    return build_recipe({"augment": OFF | changes}).augment


def drawn_for(augment: AugmentRecipe, count: int = 6, seed: int = 0, **options: object) -> Draws:
    room = torch.full((count,), 9)
    return draw(augment, room, room, 16, 40, seeded(seed), **options)  # type: ignore[arg-type]


def test_a_recipes_defaults_draw_what_the_tutorial_has_and_nothing_else() -> None:
    draws = drawn_for(build_recipe({}).augment)
    assert {name for name, value in vars(draws).items() if value is not None} == {
        "scale", "shift", "frequency", "time",
    }  # fmt: skip
    nothing = drawn_for(recipe())
    assert {name for name, value in vars(nothing).items() if value is not None} == {"scale"}
    batch = torch.randn(6, 1, 16, 40, generator=seeded())
    assert apply_draws(batch, nothing) is batch


def test_the_tutorials_numbers_are_those_they_always_were() -> None:
    draws = drawn_for(build_recipe({}).augment, count=3)
    assert draws.shift is not None
    assert draws.frequency is not None
    assert draws.time is not None
    assert draws.shift.tolist() == [23, 14, 13]
    assert draws.frequency.tolist() == [[[5, 5], [9, 9]], [[7, 7], [6, 6]], [[6, 6], [3, 3]]]
    assert draws.time.tolist() == [[[8, 10], [20, 23]], [[23, 23], [25, 27]], [[29, 29], [8, 10]]]


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"time_shift": 0.4}, "shift"),
        ({"place": "random"}, "shift"),
        ({"time_stretch": 0.2}, "rate"),
        ({"band_shift": 3}, "bands"),
        ({"mix": "mixup"}, "mixing"),
        ({"noise_probability": 1}, "noise"),
        ({"filter_db": 6}, "level"),
        ({"gain_db": 6}, "level"),
        ({"mixstyle_probability": 1}, "style"),
        ({"frequency_masks": 2}, "frequency"),
        ({"time_masks": 2}, "time"),
    ],
)
def test_each_setting_turns_on_its_own_transform_and_nothing_else(change: dict[str, object], part: str) -> None:
    draws = drawn_for(recipe(**change))
    assert {name for name, value in vars(draws).items() if value is not None} == {"scale", part}
    batch = 10 * torch.randn(6, 1, 16, 40, generator=seeded())
    assert not torch.equal(apply_and_mix(batch, torch.eye(6), draws)[0], batch)


def test_where_waveforms_are_varied_pictures_get_only_what_is_theirs() -> None:
    sounds = {"time_shift": 0.4, "mix": "mixup", "noise_probability": 1, "filter_db": 6, "gain_db": 6}
    pictures = {"time_stretch": 0.2, "band_shift": 3, "mixstyle_probability": 1, "time_masks": 2}
    draws = drawn_for(recipe(domain="waveform", place="random", **sounds, **pictures))
    told = {name for name, value in vars(draws).items() if value is not None}
    assert told == {"scale", "rate", "bands", "style", "time"}
    assert drawn_for(recipe(domain="waveform", mix="cutmix")).mixing is not None


@given(shift=st.integers(-60, 60), size=st.integers(1, 50))
def test_at_its_own_tempo_a_stretch_is_a_shift(shift: int, size: int) -> None:
    batch = torch.randn(2, 1, 3, size, generator=seeded())
    steps = torch.tensor([shift, 0])
    assert torch.equal(time_stretch(batch, torch.ones(2), steps), time_shift(batch, steps))


@pytest.mark.parametrize("rate", [0.7, 0.9, 1.25, 1.5])
def test_a_stretch_moves_every_frame_away_from_the_middle_by_the_rate(rate: float) -> None:
    size, middle = 101, 50
    ramp = torch.arange(float(size)).expand(1, 1, 2, size)
    result = time_stretch(ramp, torch.tensor([rate]))[0, 0, 0]
    for frame in range(30, 71):
        assert result[frame].item() == pytest.approx(middle + (frame - middle) * rate, abs=2e-3)


def test_rates_are_as_often_slower_as_faster_and_within_their_bounds() -> None:
    rate = draw_rate(4_000, 0.25, seeded())
    assert rate.min() >= 1 / 1.25 - 1e-6
    assert rate.max() <= 1.25 + 1e-6
    assert rate.log().mean().abs() < 0.01


@given(silence=st.integers(1, 19), seed=st.integers(0, 200))
def test_placing_a_stretched_clip_cuts_none_that_fits(silence: int, seed: int) -> None:
    augment = recipe(place="random", time_stretch=0.5)
    room = torch.full((1,), silence)
    draws = draw(augment, room, room, 4, 40, seeded(seed))
    assert draws.rate is not None
    batch = torch.zeros(1, 1, 4, 40)
    batch[..., silence : 40 - silence] = 1.0
    heard = apply_draws(batch, draws)[0, 0, 0] > 1e-6
    rate = float(draws.rate[0])
    fits, alone = (40 - 2 * silence + 2) / rate < 40, silence > 20 * (rate - 1) + 1  # no second round is heard
    if fits and alone:
        assert not (heard[0] and heard[-1])


def test_a_shift_of_bands_moves_them_and_repeats_the_outermost() -> None:
    batch = torch.arange(5.0).view(1, 1, 5, 1).expand(3, 2, 5, 4)
    moved = band_shift(batch, torch.tensor([2.0, -1.0, 0.5]))
    assert moved[0, 0, :, 0].tolist() == [0, 0, 0, 1, 2]
    assert moved[1, 1, :, 3].tolist() == [1, 2, 3, 4, 4]
    assert moved[2, 0, :, 0].tolist() == [0, 0.5, 1.5, 2.5, 3.5]


@given(largest=st.floats(0.1, 30), points=st.integers(2, 100), seed=st.integers(0, 100))
def test_a_filter_stays_in_its_bounds_and_bends_at_no_more_than_three_places(
    largest: float, points: int, seed: int
) -> None:
    curve = draw_curve(6, largest, points, seeded(seed))
    assert curve.shape == (6, points)
    assert curve.abs().max() <= largest * (1 + 1e-6)
    bends = curve.double().diff(dim=1).diff(dim=1).abs() > 1e-4 * largest
    assert int(bends.sum(dim=1).max()) <= 6 if points > 2 else True  # each bend lies between two points


def test_a_level_is_added_to_each_band() -> None:
    batch = torch.rand(2, 2, 3, 4, generator=seeded())
    batch[:, 0, 0, 0] = -90.0  # the floor, out of reach
    level = torch.tensor([[1.0, 2.0, 3.0], [0.0, -5.0, 0.0]])
    heard = batch > -90.0
    expected = (batch + level.view(2, 1, 3, 1))[heard]
    assert torch.equal(add_level(batch, level)[heard], expected)


@pytest.mark.parametrize("scale", ["db", "log"])
def test_a_filter_leaves_silence_even_and_the_range_as_it_was(scale: Scale) -> None:
    """As a front end would give it that hears the filtered sound: power below its floor is silence."""
    power = torch.full((1, 1, 3, 6), 1e-12)
    power[..., 2:4] = torch.tensor([[1e-2, 1e-7], [1e-3, 1e-7], [1e-3, 1e-6]])
    level_db = torch.tensor([[-20.0, 0.0, 6.0]])

    def front_end(power: torch.Tensor) -> torch.Tensor:
        return power_to_db(power, 70.0) if scale == "db" else power_to_log(power, 1e-9)

    by_power = front_end(power * 10 ** (level_db / 10)[:, None, :, None])
    by_picture = add_level(front_end(power), level_db * per_db(scale), scale)
    # a soft floor is a part of what is barely over it, and rises with it
    torch.testing.assert_close(by_picture, by_power, rtol=0, atol=1e-3 if scale == "db" else 0.7)
    silence = by_picture[..., [0, 1, 4, 5]]
    assert (silence == silence.min()).all()


@pytest.mark.parametrize("least", [-10.0, 0.0, 20.0])
def test_noise_adds_the_power_that_was_drawn(least: float) -> None:
    batch = 8 * torch.randn(40, 2, 32, 120, generator=seeded(), dtype=torch.float64) - 30
    drawn = draw_noise(40, 0.5, least, 32, 120, seeded())
    power, noisy = (10 ** (each / 10) for each in (batch, add_noise(batch, drawn)))
    own, added = power.mean(dim=(1, 2, 3)), (noisy - power).mean(dim=(1, 2, 3))
    told = drawn.power.mean(dim=1).double()
    torch.testing.assert_close(added / own, told, rtol=0.15, atol=1e-9)
    snr_db = -10 * torch.log10(told[told > 0])
    assert 8 <= len(snr_db) <= 32
    assert snr_db.min() >= least - 0.01
    assert snr_db.max() <= least + 20.01
    assert ((noisy - power) > -1e-12 * power).all()


def test_noise_fluctuates_and_its_colour_differs_from_clip_to_clip() -> None:
    silence = torch.full((30, 1, 32, 400), -60.0)
    silence[:, :, 16, 200] = 40.0  # what the level counts from; all else is noise
    noise = add_noise(silence, draw_noise(30, 1.0, 10.0, 32, 400, seeded()))[:, 0]
    assert 3.0 < noise[:, 3].std(dim=1).mean() < 6.0
    tilt = noise[:, -4:].mean(dim=(1, 2)) - noise[:, :4].mean(dim=(1, 2))
    assert tilt.min() < -8
    assert tilt.max() > 8
    assert not torch.equal(noise[0] - noise[0].mean(), noise[1] - noise[1].mean())


@pytest.mark.parametrize(
    "changes",
    [
        {"mix": "between_class", "noise_probability": 0.7, "time_stretch": 0.2, "band_shift": 2, "time_masks": 1},
        {"filter_db": 9, "gain_db": 6, "mix": "mixup"},
    ],
)
def test_decibels_and_logarithms_are_varied_alike(changes: dict[str, object]) -> None:
    augment = recipe(**changes)
    db = 10 * torch.randn(6, 1, 16, 40, generator=seeded(), dtype=torch.float64) - 40
    db[:, :, 0, 0] = -200.0  # a floor that is out of reach, for it moves in decibels and stays in logarithms
    unit = math.log(10) / 10
    in_db, _ = apply_and_mix(db, torch.eye(6), drawn_for(augment, scale="db"))
    in_log, _ = apply_and_mix(db * unit, torch.eye(6), drawn_for(augment, scale="log"))
    apart = (in_log - in_db * unit)[..., 1:, :] if "filter_db" in changes else in_log - in_db * unit
    assert apart.abs().max() < 1e-3


def test_masks_come_last_so_that_nothing_fills_the_holes() -> None:
    augment = recipe(noise_probability=1, noise_snr_db=-10, mix="between_class", time_masks=1, time_mask=0.5)
    batch = 10 * torch.randn(6, 1, 16, 40, generator=seeded())
    draws = drawn_for(augment)
    result, _ = apply_and_mix(batch, torch.eye(6), draws)
    assert draws.time is not None
    for clip, ((first, end),) in enumerate(draws.time.tolist()):
        if end > first:
            assert result[clip, :, :, first:end].std() < 1e-5
