"""EfficientAT's networks and their front end: published values, shapes, and what fine-tuning needs."""

import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from soundfold.errors import ModelFileError, RecipeError
from soundfold.features.audioset_mel import AudiosetMel, audioset_mel
from soundfold.models.audioset_labels import AUDIOSET_LABELS
from soundfold.models.efficientat import EFFICIENTAT_WIDTHS, EfficientAT, build_efficientat, load_state
from soundfold.models.pretrained import find_weights, load_efficientat

FRONT_END = AudiosetMel()


def noise(batch: int, samples: int = 32_000, seed: int = 0) -> Tensor:
    return 0.1 * torch.randn(batch, 1, samples, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def published(tmp_path: Path) -> EfficientAT:
    """mn04 with its published weights."""
    beside = Path(__file__).parents[2] / "shared" / "weights"
    source = os.environ.get("SOUNDFOLD_WEIGHTS") or (beside if beside.is_dir() else None)
    if not source:
        pytest.skip("SOUNDFOLD_WEIGHTS does not point at published weights")
    return load_efficientat("mn04", find_weights("mn04", tmp_path, source=source))


@pytest.fixture(scope="module")
def settled() -> EfficientAT:
    """mn04 with weights from a seed, and batch statistics that are not the identity."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_efficientat("mn04", 7).train()
        for seed in range(3):
            network(FRONT_END(noise(4, seed=seed)))
    return network.eval()


# front end


@pytest.mark.parametrize("portable", [False, True])
def test_front_end_equals_the_published_one(golden: Path, portable: bool) -> None:
    stored = np.load(golden / "efficientat_mn04.npz")
    spectrogram = AudiosetMel(portable=portable)(torch.from_numpy(stored["waveform"])[:, None])
    assert spectrogram.shape == (3, 1, 128, 400)
    np.testing.assert_allclose(spectrogram[:, 0].numpy(), stored["logmel"], rtol=0, atol=1e-3)


@pytest.mark.parametrize("samples", [402, 8_001, 32_000, 32_321])
def test_both_forms_of_the_front_end_are_equal(samples: int) -> None:
    waveform = torch.cat([noise(1, samples), 1e-4 * noise(1, samples, 1), torch.zeros(1, 1, samples)])
    expected = FRONT_END(waveform)
    assert expected.shape == (3, 1, 128, (samples - 1) // 320 + 1)
    torch.testing.assert_close(AudiosetMel(portable=True)(waveform), expected, rtol=0, atol=1e-3)
    torch.testing.assert_close(audioset_mel(waveform), expected, rtol=0, atol=0)
    silence = (math.log(1e-5) + 4.5) / 5
    torch.testing.assert_close(expected[2], torch.full_like(expected[2], silence))


def test_tone_is_loudest_in_its_own_band() -> None:
    time_s = torch.arange(32_000) / 32_000
    tone = torch.sin(2 * torch.pi * 2_000.0 * time_s)[None, None]
    middle = 1127 * math.log(1 + 2_000 / 700) / (1127 * math.log(1 + 15_000 / 700)) * 129 - 1
    assert abs(int(FRONT_END(tone)[0, 0].mean(dim=1).argmax()) - middle) < 1


# networks


def test_mn04_equals_its_golden_values(golden: Path, published: EfficientAT) -> None:
    stored = np.load(golden / "efficientat_mn04.npz")
    for portable in (False, True):
        with torch.inference_mode():
            maps = published.features(AudiosetMel(portable=portable)(torch.from_numpy(stored["waveform"])[:, None]))
            embedding, logits = published.embed(maps), published.classifier(maps)
        np.testing.assert_allclose(embedding.numpy(), stored["embedding"], rtol=0, atol=1e-3)
        np.testing.assert_allclose(logits.numpy(), stored["logits"], rtol=0, atol=1e-3)


@pytest.mark.real
def test_published_network_hears_what_is_there(published: EfficientAT, real_data: Path) -> None:
    from soundfold.audio import fit_length
    from soundfold.audio import load as load_sound

    wanted = {3: "dog", 6: "gunshot", 7: "jackhammer", 8: "siren", 9: "music"}
    right = total = 0
    for label, word in wanted.items():
        for path in sorted(real_data.glob(f"audio/fold1/*-{label}-*-*.wav"))[:12]:
            waveform = torch.from_numpy(fit_length(load_sound(path, 32_000, 1), 128_000).copy())[None]
            with torch.inference_mode():
                best = published(FRONT_END(waveform))[0].topk(5).indices.tolist()
            right += any(word in AUDIOSET_LABELS[row].lower() for row in best)
            total += 1
    assert right / total > 0.6  # by chance it would be 5 in 100


@pytest.mark.parametrize(
    ("name", "parameters", "width"),
    [("mn04", 983_599, 384), ("mn05", 1_431_239, 480), ("mn10", 4_876_831, 960), ("mn20", 17_909_287, 1_920)],
)
def test_sizes_are_the_published_ones(name: str, parameters: int, width: int) -> None:
    """The paper says 0.98, 1.43, 4.88 and 17.91 million; mn10's file holds 4,901,277 numbers in 312 tensors."""
    network = build_efficientat(name)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    assert network.width == width
    state = network.state_dict()
    assert len(state) == 312
    if name == "mn10":
        assert sum(value.numel() for value in state.values()) == 4_901_277


def test_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        RecipeError, match=r"model must be one of mn04, mn05, mn10, mn20, got 'mn4'. Did you mean 'mn04'"
    ):
        build_efficientat("mn4")
    assert set(EFFICIENTAT_WIDTHS) == {"mn04", "mn05", "mn10", "mn20"}


def test_answer_does_not_depend_on_the_batch(settled: EfficientAT) -> None:
    spectrogram = FRONT_END(noise(5))
    with torch.inference_mode():
        together = settled(spectrogram)
        turned = settled(spectrogram.flip(0)).flip(0)
        alone = torch.cat([settled(row[None]) for row in spectrogram])
    assert together.shape == (5, 7)
    torch.testing.assert_close(turned, together, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-5)


def test_embedding_is_what_the_classifier_sees(settled: EfficientAT) -> None:
    with torch.inference_mode():
        maps = settled.features(FRONT_END(noise(2)))
        embedding = settled.embed(maps)
        torch.testing.assert_close(settled.classifier[2:](embedding), settled.classifier(maps))
    assert embedding.shape == (2, settled.width)


def test_views_are_embedding_logits_and_the_last_residual_block(settled: EfficientAT) -> None:
    spectrogram = FRONT_END(noise(2))
    with torch.inference_mode():
        root, logits, block = settled.views(spectrogram)
        embedding = settled.embed(settled.features(spectrogram))
        torch.testing.assert_close(root * root.abs(), embedding)
        torch.testing.assert_close(logits, settled(spectrogram))
        torch.testing.assert_close(block, settled.features[:16](spectrogram).mean(dim=(2, 3)))
    assert [view.shape for view in (root, logits, block)] == [(2, 384), (2, 7), (2, 64)]
    assert settled.view_sizes() == [384, 7, 64]


def test_a_fourth_view_is_of_the_two_blocks_before_the_last_stage(settled: EfficientAT) -> None:
    spectrogram = FRONT_END(noise(2))
    with torch.inference_mode():
        three, four = settled.views(spectrogram), settled.views(spectrogram, 4)
        blocks = [settled.features[: block + 1](spectrogram).mean(dim=(2, 3)) for block in (11, 12)]
        assert all(torch.equal(one, other) for one, other in zip(three, four[:3], strict=True))
        torch.testing.assert_close(four[3], torch.cat(blocks, dim=1))
    assert [view.shape[1] for view in four] == settled.view_sizes(4) == [384, 7, 64, 96]
    assert settled.features[12].block[0][0].in_channels == blocks[0].shape[1], "the next stage begins behind them"
    assert settled.features[13].block[0][0].in_channels == blocks[1].shape[1]
    assert settled.features[13].block[1][0].stride == (2, 2)


def test_layer_maps_are_those_on_the_way(settled: EfficientAT) -> None:
    spectrogram = FRONT_END(noise(2))
    with torch.inference_mode():
        last, third, again = settled.layer_maps(spectrogram, (-1, 2, -1))
        torch.testing.assert_close(last, settled.features(spectrogram))
        torch.testing.assert_close(third, settled.features[:3](spectrogram))
        assert torch.equal(again, last)
    with pytest.raises(IndexError):
        settled.layer_maps(spectrogram, (17,))


def test_stages_hold_every_weight_once_in_order() -> None:
    network = build_efficientat("mn04", 3)
    stages = network.stages()
    assert len(stages) == 18
    of_stages = [id(parameter) for stage in stages for parameter in stage.parameters()]
    assert of_stages == [id(parameter) for parameter in network.parameters()]


def test_frozen_statistics_stay_in_training_and_weights_still_learn() -> None:
    network = build_efficientat("mn04", 3)
    network.frozen_statistics = True
    network.train()
    before = {name: value.clone() for name, value in network.named_buffers()}
    network(FRONT_END(noise(2))).sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in network.named_buffers())
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert network.classifier[4].training  # dropout still drops
    network.frozen_statistics = False
    network.train()
    network(FRONT_END(noise(2)))
    assert not all(torch.equal(value, before[name]) for name, value in network.named_buffers())


def misname(state: dict[str, Tensor]) -> None:
    state["other"] = state.pop("features.0.0.weight")


def misshape(state: dict[str, Tensor]) -> None:
    state["classifier.5.weight"] = state["classifier.5.weight"][:5]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            misname,
            r"w\.pt: does not fit .*: features\.0\.0\.weight must be \(8, 1, 3, 3\), got absent \(2 of",
        ),
        (misshape, r"classifier\.5\.weight must be \(7, 512\), got \(5, 512\) \(1 of 312 layers differ\)\. Name the w"),
    ],
)
def test_weights_that_do_not_fit_are_refused_and_change_nothing(
    settled: EfficientAT, damage: Callable[[dict[str, Tensor]], None], message: str
) -> None:
    state = settled.state_dict()
    damage(state)
    network = build_efficientat("mn04", 7)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(ModelFileError, match=message):
        load_state(network, state, "w.pt")
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_another_head_takes_the_published_blocks(settled: EfficientAT) -> None:
    network = build_efficientat("mn04", 3)
    own = network.classifier[5].weight.clone()
    load_state(network, settled.state_dict(), "w.pt", head=False)
    assert torch.equal(network.classifier[5].weight, own)
    assert torch.equal(network.features[3].block[0][0].weight, settled.features[3].block[0][0].weight)


# labels


def test_labels_are_audiosets_in_the_published_order() -> None:
    assert len(AUDIOSET_LABELS) == len(set(AUDIOSET_LABELS)) == 527
    assert all(label == label.strip() and label for label in AUDIOSET_LABELS)
    known = {
        0: "Speech", 5: "Narration, monologue", 74: "Dog", 86: "Livestock, farm animals, working animals", 137: "Music",
        288: "Water", 300: "Vehicle", 396: "Siren", 413: "Air conditioning", 427: "Gunshot, gunfire", 500: "Silence",
        526: "Field recording",
    }  # fmt: skip
    assert {row: AUDIOSET_LABELS[row] for row in known} == known
