"""Augmentation: drawn for a batch, applied to any part of it, the same for the same generator."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from soundfold.augment import apply_draws, draw, draw_place, draw_strips, draw_time_shift, hide, time_shift
from soundfold.recipe import AugmentRecipe, build_recipe


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def off(**changes: object) -> AugmentRecipe:
    still = {"time_shift": 0.0, "time_masks": 0, "frequency_masks": 0, "place": "centre"}
    return build_recipe({"augment": still | changes}).augment


@given(shift=st.integers(-50, 50), size=st.integers(1, 20))
def test_time_shift_rolls_like_torch(shift: int, size: int) -> None:
    batch = torch.arange(2 * 3 * size).reshape(2, 3, size)
    assert torch.equal(time_shift(batch, torch.tensor([shift, 0]))[0], batch[0].roll(shift, -1))
    assert torch.equal(time_shift(batch, torch.tensor([shift, 0]))[1], batch[1])


def test_channels_never_run_into_each_other() -> None:
    batch = torch.stack([torch.zeros(10), torch.ones(10)])[None]
    shifted = time_shift(batch, torch.tensor([3]))
    assert torch.equal(shifted, batch)


def test_rolling_a_spectrogram_equals_rolling_the_waveform_but_at_the_seam() -> None:
    from soundfold.features import build_features

    recipe = build_recipe({"sound": {"sample_rate": 8000, "channels": 1, "length_s": 1.024}})
    front_end = build_features(recipe)
    waveform = torch.randn(1, 1, recipe.sound.window, generator=seeded())
    frames, hops = recipe.sound.window // 512 + 1, 5
    by_wave = front_end(waveform.roll(hops * 512, -1))
    by_frame = time_shift(front_end(waveform), torch.tensor([hops]))
    seam = {0, 1, frames - 1, hops - 1, hops, hops + 1}
    inner = [frame for frame in range(hops + 2, frames - 2) if frame not in seam]
    torch.testing.assert_close(by_wave[..., inner], by_frame[..., inner], rtol=1e-4, atol=1e-2)


@given(before=st.integers(0, 30), after=st.integers(0, 30), seed=st.integers(0, 1000))
def test_placing_never_wraps_sound_round(before: int, after: int, seed: int) -> None:
    shift = draw_place(torch.tensor([before]), torch.tensor([after]), seeded(seed))
    assert -before <= int(shift) <= after


def test_placing_reaches_both_ends() -> None:
    shifts = draw_place(torch.full((500,), 3), torch.full((500,), 4), seeded())
    assert set(shifts.tolist()) == set(range(-3, 5))


@given(part=st.floats(0, 1), size=st.integers(1, 400), seed=st.integers(0, 1000))
def test_shift_stays_within_its_part(part: float, size: int, seed: int) -> None:
    shift = draw_time_shift(20, part, size, seeded(seed))
    assert int(shift.min()) >= 0
    assert int(shift.max()) <= part * size


@given(part=st.floats(0, 1), size=st.integers(1, 400), seed=st.integers(0, 1000))
def test_strips_stay_inside_the_axis_and_within_their_width(part: float, size: int, seed: int) -> None:
    strips = draw_strips(10, 3, part, size, seeded(seed))
    assert strips.shape == (10, 3, 2)
    first, end = strips.unbind(-1)
    assert int(first.min()) >= 0
    assert int(end.max()) <= size
    assert int((end - first).max()) <= part * size


def test_hidden_strips_hold_the_clips_mean_and_the_rest_is_untouched() -> None:
    batch = torch.randn(2, 2, 8, 12, generator=seeded())
    frequency = torch.tensor([[[1, 3]], [[0, 0]]])
    time = torch.tensor([[[4, 6]], [[0, 2]]])
    hidden = hide(batch, frequency, time)
    for clip in range(2):
        mean = batch[clip].mean()
        mask = torch.zeros(8, 12, dtype=torch.bool)
        mask[slice(*frequency[clip, 0])] = True
        mask[:, slice(*time[clip, 0])] = True
        torch.testing.assert_close(hidden[clip][:, mask], mean.expand(2, int(mask.sum())))
        assert torch.equal(hidden[clip][:, ~mask], batch[clip][:, ~mask])


def test_nothing_asked_changes_nothing() -> None:
    batch = torch.randn(3, 2, 8, 12, generator=seeded())
    room = torch.full((3,), 4)
    assert torch.equal(apply_draws(batch, draw(off(), room, room, 8, 12, seeded())), batch)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 100), parts=st.integers(1, 4))
def test_shares_of_a_batch_are_the_batch(seed: int, parts: int) -> None:
    """What lets several processes work on one batch: each applies its rows of the same numbers."""
    batch = torch.randn(7, 1, 8, 12, generator=seeded(seed))
    room = torch.randint(0, 5, (7,), generator=seeded(seed))
    draws = draw(build_recipe({}).augment, room, room, 8, 12, seeded(seed))
    whole = apply_draws(batch, draws)
    for rank in range(parts):
        mine = slice(rank, None, parts)
        assert torch.equal(apply_draws(batch[mine], draws[mine]), whole[mine])


@pytest.mark.parametrize(
    "change", [{"time_shift": 0.5}, {"time_masks": 2}, {"frequency_masks": 2}, {"place": "random"}]
)
def test_same_generator_same_batch_and_another_seed_another(change: dict[str, object]) -> None:
    batch = torch.randn(16, 1, 32, 64, generator=seeded())
    room = torch.full((16,), 20)

    def varied(seed: int) -> torch.Tensor:
        return apply_draws(batch, draw(off(**change), room, room, 32, 64, seeded(seed)))

    assert torch.equal(varied(1), varied(1))
    assert not torch.equal(varied(1), varied(2))
    assert not torch.equal(varied(1), batch)
