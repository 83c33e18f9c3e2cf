"""A pretrained network as a model file: AudioSet's labels without training; weights by chance here."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from soundfold.cli import main
from soundfold.errors import RecipeError
from soundfold.features.audioset_mel import AudiosetMel
from soundfold.jobs.tagger import pretrained_model
from soundfold.models import build_efficientat
from soundfold.models.audioset_labels import AUDIOSET_LABELS
from soundfold.runtime import load


@pytest.mark.long
def test_the_model_file_answers_as_the_published_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_efficientat("mn04").train()
        network(AudiosetMel()(0.1 * torch.randn(4, 1, 32_000)))  # batch statistics that are not the identity
        network.eval()
    weights = tmp_path / "chance.safetensors"
    save_file(network.state_dict(), weights)
    monkeypatch.setenv("SOUNDFOLD_WEIGHTS", str(weights))
    path = pretrained_model("mn04", cache=tmp_path / "cache")
    made = path.stat().st_mtime_ns
    assert pretrained_model("mn04", cache=tmp_path / "cache") == path
    assert path.stat().st_mtime_ns == made, "made once, and then kept"
    model = load(path)
    assert len(model.card.labels) == 527
    assert model.card.labels == AUDIOSET_LABELS
    sounds = np.random.default_rng(0).normal(0, 0.1, (3, 1, model.card.window)).astype(np.float32)
    sounds[0] *= 1e-4
    for batch in (sounds, sounds[:1]):
        with torch.inference_mode():
            expected = network(AudiosetMel()(torch.from_numpy(batch))).sigmoid().numpy()
        np.testing.assert_allclose(model.probabilities(batch), expected, rtol=0, atol=1e-4)
    whole = path.read_bytes()
    monkeypatch.setattr("soundfold.jobs.tagger.export_model", lambda *given: given[3].write_bytes(whole))
    path.write_bytes(b"damaged")
    assert pretrained_model("mn04", cache=tmp_path / "cache") == path
    assert path.read_bytes() == whole, "a damaged one is made anew"


def test_an_unknown_network_gets_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(
        RecipeError, match="model must be one of mn04, mn05, mn10, mn20, got 'mn4'. Did you mean 'mn04'"
    ):
        pretrained_model("mn4", cache=tmp_path)


def test_a_model_file_in_the_place_of_a_name_is_sent_where_it_goes(tmp_path: Path) -> None:
    for name in (str(tmp_path), "runs/mine"):
        with pytest.raises(RecipeError, match=r"got '.*'\. A model file of yours goes before the sounds: soundfold"):
            pretrained_model(name)


def test_a_model_and_a_sound_must_be_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "one.wav"]) == 2
    assert "got 'one.wav' alone. Say: soundfold predict MODEL PATH…" in capsys.readouterr().err
    assert main(["predict", "--model", "mn4", "one.wav"]) == 2
    assert "Did you mean 'mn04'?" in capsys.readouterr().err
