"""Partners, and what becomes of two clips and their targets in one."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

from soundfold.augment import (
    Mixing,
    Partners,
    Style,
    apply_and_mix,
    apply_and_mix_waveforms,
    apply_draws,
    apply_wave_draws,
    draw,
    draw_mixing,
    draw_partners,
    draw_waveform,
    mix,
    mix_style,
    mix_waveforms,
)
from soundfold.recipe import build_recipe


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def swapped(share: float, kind: str = "mixup") -> Mixing:
    """Two clips, each the other's partner."""
    return Mixing(kind, Partners(torch.tensor([1, -1])), torch.full((2,), share))  # type: ignore[arg-type]


@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=6), seed=st.integers(0, 1000))
def test_partners_are_others_of_the_same_batch_and_everyone_is_one(sizes: list[int], seed: int) -> None:
    ends = torch.tensor(sizes).cumsum(0).tolist()
    bounds = list(zip([0, *ends[:-1]], ends, strict=True))
    partners = draw_partners(sum(sizes), seeded(seed), bounds).of(torch.arange(sum(sizes))).tolist()
    for start, end in bounds:
        assert sorted(partners[start:end]) == list(range(start, end))
        if end - start > 1:
            assert all(partner != place for place, partner in enumerate(partners[start:end], start))


@given(size=st.integers(1, 70), shares=st.sampled_from([1, 2, 4, 8]), seed=st.integers(0, 1000))
def test_shares_of_a_large_batch_hold_their_partners_and_of_a_small_one_somebody(
    size: int, shares: int, seed: int
) -> None:
    partners = draw_partners(size, seeded(seed))
    whole = partners.of(torch.arange(size))
    for rank in range(shares):
        mine = slice(rank, None, shares)
        clips = torch.arange(size)[mine]
        found = partners[mine].of(clips)
        if size >= 4 * shares:
            assert torch.equal(found, whole[mine])
        elif len(clips) > 1 and size // 4 < 2:
            assert not torch.equal(found, clips)


@given(shares=st.integers(1, 9), seed=st.integers(0, 100))
def test_any_number_of_processes_finds_partners_in_its_share(shares: int, seed: int) -> None:
    partners = draw_partners(32, seeded(seed))
    for rank in range(shares):
        mine = slice(rank, None, shares)
        found = set(partners[mine].of(torch.arange(32)[mine]).tolist())
        assert found <= set(range(rank, 32, shares))
        assert len(found) > 1


def test_partners_differ_from_draw_to_draw() -> None:
    drawn = {tuple(draw_partners(16, seeded(seed)).of(torch.arange(16)).tolist()) for seed in range(20)}
    assert len(drawn) == 20


@settings(max_examples=30, deadline=None)
@given(kind=st.sampled_from(["mixup", "between_class", "cutmix"]), seed=st.integers(0, 1000))
def test_targets_are_shared_out_and_sum_to_what_they_did(kind: str, seed: int) -> None:
    targets = torch.rand(8, 5, generator=seeded(seed))
    targets /= targets.sum(dim=1, keepdim=True)
    drawn = draw_mixing(kind, 8, 0.5, 0.7, 30, seeded(seed))  # type: ignore[arg-type]
    mixed = drawn.targets(targets)
    torch.testing.assert_close(mixed.sum(dim=1), torch.ones(8))
    share = drawn.share[:, None]
    torch.testing.assert_close(mixed, share * targets + (1 - share) * drawn.partners.of(targets))


def test_the_part_of_the_clips_that_is_mixed_is_the_one_asked_for() -> None:
    share = draw_mixing("mixup", 5_000, 1.0, 0.3, 30, seeded()).share
    assert (share < 1).float().mean().item() == pytest.approx(0.3, abs=0.03)
    assert share[share < 1].mean().item() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(("alpha", "deviation"), [(0.2, 0.4226), (1.0, 0.2887), (5.0, 0.1508)])
def test_shares_are_beta_distributed(alpha: float, deviation: float) -> None:
    share = draw_mixing("mixup", 20_000, alpha, 1.0, 30, seeded()).share
    assert share.std().item() == pytest.approx(deviation, abs=0.005)  # 1 / (2 √(2 α + 1))


def test_mixup_is_the_weighted_mean() -> None:
    batch = torch.randn(2, 1, 3, 4, generator=seeded())
    mixed, targets = mix(batch, torch.eye(2), swapped(0.3))
    torch.testing.assert_close(mixed, 0.3 * batch + 0.7 * batch.flip(0))
    torch.testing.assert_close(targets, torch.tensor([[0.3, 0.7], [0.7, 0.3]]))


def test_cutmix_takes_a_run_of_whole_frames_and_the_target_counts_them() -> None:
    batch = torch.arange(8.0).view(8, 1, 1, 1).expand(8, 2, 5, 30)
    drawn = draw_mixing("cutmix", 8, 1.0, 1.0, 30, seeded())
    mixed, targets = mix(batch, torch.eye(8), drawn)
    partner = drawn.partners.of(torch.arange(8))
    for clip in range(8):
        own = mixed[clip] == clip
        assert (own == own[:1, :1]).all()
        frames = own[0, 0]
        assert (frames | (mixed[clip, 0, 0] == partner[clip])).all()
        assert int((frames[1:] != frames[:-1]).sum()) <= 2
        assert targets[clip, clip].item() == pytest.approx(frames.float().mean().item(), abs=1e-6)


def tones(level: Tensor, scale: float = 1.0) -> Tensor:
    """Two spectrograms: a tone in the third band at one level, one in the sixth at another, each in near silence."""
    batch = torch.full((2, 1, 8, 5), -100.0)
    batch[0, :, 2], batch[1, :, 5] = level[0], level[1]
    return batch * scale


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_between_classes_the_levels_are_the_shares_whatever_they_were(share: float) -> None:
    """With amplitudes p and 1 − p such that p·A₁ : (1 − p)·A₂ is share : 1 − share."""
    mixed, _ = mix(tones(torch.tensor([0.0, -24.0])), torch.eye(2), swapped(share, "between_class"))
    apart_db = mixed[0, 0, 2, 0] - mixed[0, 0, 5, 0]
    assert apart_db.item() == pytest.approx(20 * math.log10(share / (1 - share)), abs=1e-3)


def test_between_classes_equal_powers_stay_the_power() -> None:
    """Equally loud and in the same bands: (p² + (1 − p)²) / (p² + (1 − p)²) of the power, for every share."""
    batch = torch.full((2, 2, 4, 6), -30.0)
    for share in (0.1, 0.5, 0.8):
        torch.testing.assert_close(mix(batch, torch.eye(2), swapped(share, "between_class"))[0], batch)


def test_silence_does_not_drown_a_sound() -> None:
    batch = torch.stack([torch.full((1, 4, 6), -10.0), torch.full((1, 4, 6), -100.0)])
    mixed, _ = mix(batch, torch.eye(2), swapped(0.5, "between_class"))
    assert mixed[0].max() > -55.0  # 40 dB down, and no 90


def test_between_class_mixing_agrees_with_that_of_waveforms() -> None:
    """Two tones far apart: the spectrum's peaks of the mixed waveforms stand as high as those of mixed spectra."""
    samples = 8_192
    steps = torch.arange(samples) / samples
    waves = torch.stack([0.5 * torch.sin(2 * math.pi * 500 * steps), 0.03 * torch.sin(2 * math.pi * 2_000 * steps)])
    mixed, _ = mix_waveforms(waves[:, None], torch.eye(2), swapped(0.4, "between_class"))

    def peaks(waveforms: Tensor) -> Tensor:
        power = torch.fft.rfft(waveforms).abs().square().clamp(min=1e-3)
        return 10 * torch.log10(power[..., [500, 2_000]])

    pictures, _ = mix(peaks(waves)[:, None, :, None], torch.eye(2), swapped(0.4, "between_class"))
    torch.testing.assert_close(peaks(mixed[:, 0]), pictures[:, 0, :, 0], rtol=0, atol=0.05)


def test_a_clip_takes_on_its_partners_statistics_and_keeps_its_pattern() -> None:
    batch = torch.randn(2, 2, 6, 50, generator=seeded()) * torch.tensor([1.0, 9.0]).view(2, 1, 1, 1) - 20.0
    batch[1] += torch.linspace(0, 30, 6)[:, None]
    swapped_style = mix_style(batch, Style(Partners(torch.tensor([1, -1])), torch.zeros(2)))
    for clip in (0, 1):
        theirs = batch[1 - clip]
        torch.testing.assert_close(swapped_style[clip].mean(dim=(0, 2)), theirs.mean(dim=(0, 2)))
        deviation = swapped_style[clip].std(dim=(0, 2), correction=0)
        torch.testing.assert_close(deviation, theirs.std(dim=(0, 2), correction=0), rtol=0.02, atol=0)
        for band in range(6):
            both = torch.stack([swapped_style[clip, :, band].flatten(), batch[clip, :, band].flatten()])
            assert torch.corrcoef(both)[0, 1] > 0.9999


def test_whole_batches_of_an_epoch_are_mixed_as_each_alone() -> None:
    augment = build_recipe({"augment": {"mix": "between_class", "mixstyle_probability": 0.5, "gain_db": 6}}).augment
    batch = 10 * torch.randn(21, 1, 8, 12, generator=seeded()) - 30
    room, bounds = torch.full((21,), 2), [(0, 8), (8, 16), (16, 21)]
    targets = torch.eye(21)
    draws = draw(augment, room, room, 8, 12, seeded(), bounds=bounds)
    features, mixed = apply_and_mix(batch[:16], targets[:16], draws[:16])
    for start, end in bounds[:2]:
        rows = slice(start, end)
        alone = apply_and_mix(batch[rows], targets[rows], draws[rows])
        torch.testing.assert_close(alone[0], features[rows], rtol=1e-5, atol=1e-4)
        assert torch.equal(alone[1], mixed[rows])
        assert not mixed[rows, : start or 0].any()
        assert not mixed[rows, end:].any()


def test_who_forgets_the_targets_is_told() -> None:
    room = torch.zeros(4, dtype=torch.int64)
    augment = build_recipe({"augment": {"mix": "mixup"}}).augment
    with pytest.raises(ValueError, match="draws must mix no targets here.* Call apply_and_mix$"):
        apply_draws(torch.zeros(4, 1, 8, 12), draw(augment, room, room, 8, 12, seeded()))
    augment = build_recipe({"augment": {"mix": "mixup", "domain": "waveform"}}).augment
    draws = draw_waveform(augment, room, room, 100, 8_000, seeded())
    with pytest.raises(ValueError, match="draws must mix no targets here.* Call apply_and_mix_waveforms"):
        apply_wave_draws(torch.zeros(4, 1, 100), draws)
    assert apply_and_mix_waveforms(torch.zeros(4, 1, 100), torch.eye(4), draws)[1].shape == (4, 4)


def test_targets_of_a_recipe_that_does_not_mix_come_back_as_they_are() -> None:
    room = torch.zeros(4, dtype=torch.int64)
    batch, targets = torch.randn(4, 1, 8, 12, generator=seeded()), torch.eye(4)
    draws = draw(build_recipe({}).augment, room, room, 8, 12, seeded())
    features, same = apply_and_mix(batch, targets, draws)
    assert same is targets
    assert torch.equal(features, apply_draws(batch, draws))
