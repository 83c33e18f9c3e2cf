"""Networks and the classifier around them."""

import pytest
import torch

from conftest import SMALL
from soundfold.models import Classifier, Standardise, TutorialNet, build_classifier
from soundfold.recipe import Recipe, load_recipe


def test_tutorial_network_is_the_published_one() -> None:
    network = TutorialNet(2, 10)
    convolutions = [layer for layer in network.blocks if isinstance(layer, torch.nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [8, 16, 32, 64]
    assert [layer.kernel_size[0] for layer in convolutions] == [5, 3, 3, 3]
    assert [type(layer).__name__ for layer in network.blocks[:3]] == ["Conv2d", "ReLU", "BatchNorm2d"]
    assert all(not layer.bias.detach().any() for layer in convolutions)
    assert sum(parameter.numel() for parameter in network.parameters()) == 25_602
    assert network(torch.randn(3, 2, 64, 344)).shape == (3, 10)
    assert network(torch.randn(3, 2, 20, 33)).shape == (3, 10)


def test_starting_weights_depend_on_the_seed_alone_and_global_state_is_kept() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again, other = (build_classifier(Recipe(), 4, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_standardise_uses_the_kept_statistics_not_the_batchs() -> None:
    standardise = Standardise()
    standardise.set_statistics(-40.0, 20.0)
    batch = torch.full((2, 1, 3, 3), -40.0)
    assert torch.equal(standardise(batch), torch.zeros_like(batch))
    standardise.set_statistics(1.0, 0.0)
    assert torch.isfinite(standardise(batch)).all()
    assert set(standardise.state_dict()) == {"mean", "std"}


def test_standardise_takes_each_band_by_itself_where_asked() -> None:
    standardise = Standardise(3)
    standardise.set_statistics([0.0, 10.0, -10.0], [1.0, 2.0, 0.0])
    batch = torch.tensor([1.0, 14.0, -10.0]).reshape(1, 1, 3, 1).expand(2, 2, 3, 5)
    assert torch.equal(standardise(batch)[1, 1, :, 0], torch.tensor([1.0, 2.0, 0.0]))


@pytest.mark.parametrize("changes", [["features.deltas=2"], ["features.kind=mfcc", "features.n_mfcc=12"]])
def test_every_front_end_meets_its_network(changes: list[str]) -> None:
    for channels in (1, 2):
        recipe = load_recipe("tutorial", [*SMALL, f"channels={channels}", *changes])
        classifier = build_classifier(recipe, 3, 0).eval()
        waveform = torch.randn(2, channels, recipe.sound.window, generator=torch.Generator().manual_seed(0))
        assert classifier(waveform).shape == (2, 3)
        kept = classifier.features(waveform[:, :1])  # as a mono clip is kept
        doubled = classifier(waveform[:, :1].expand(-1, channels, -1))
        torch.testing.assert_close(classifier.classify(kept), doubled, rtol=1e-4, atol=1e-4)


def test_answer_is_the_same_in_any_batch_order_and_size() -> None:
    classifier = build_classifier(Recipe(), 5, 0).eval()
    batch = torch.randn(5, 2, Recipe().sound.window, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        together = classifier(batch)
        turned = classifier(batch.flip(0)).flip(0)
        alone = torch.cat([classifier(row[None]) for row in batch])
    torch.testing.assert_close(together, turned, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_portable_classifier_takes_the_same_weights() -> None:
    plain = build_classifier(Recipe(), 3, 0).eval()
    portable = Classifier(Recipe(), 3, portable=True).eval()
    portable.load_state_dict(plain.state_dict())
    waveform = torch.randn(2, 2, Recipe().sound.window, generator=torch.Generator().manual_seed(1)) * 0.1
    with torch.inference_mode():
        torch.testing.assert_close(plain(waveform), portable(waveform), rtol=1e-4, atol=1e-4)
