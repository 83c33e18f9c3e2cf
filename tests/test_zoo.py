"""Networks of other libraries: transformers' audio encoders as front ends, timm's image networks on pictures."""

import contextlib
import importlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import soundfold
from conftest import SMALL
from soundfold.errors import DownloadError, MissingExtraError, ModelFileError, PathError, RecipeError
from soundfold.evaluation import read_predictions
from soundfold.export.onnx_file import _exported, _quiet
from soundfold.models import build_classifier, build_front_end
from soundfold.models.encoder_files import WEIGHTS_FILE, find_encoder, weights_digest
from soundfold.models.hub import fetch_from_hub
from soundfold.models.timm_backbone import TimmBackbone, find_backbone_weights
from soundfold.models.transformers_encoder import TransformersEncoder, check_encoder
from soundfold.recipe import Recipe, load_recipe
from soundfold.runtime.graph_cost import check_cost
from soundfold.training.wide_norm import WideBatchNorm2d, widen_batch_norm
from tiny_encoders import KINDS, save_tiny_encoder, tiny_encoder

LENGTH_S = 0.4


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    pytest.importorskip("transformers")
    root = tmp_path_factory.mktemp("encoders")
    return {kind: save_tiny_encoder(kind, root / kind) for kind in KINDS}


def recipe_of(folder: Path, *changes: str) -> Recipe:
    rate = 48_000 if folder.name == "clap" else 16_000
    named = (f"features.network=hf/{folder}", f"sample_rate={rate}", f"length_s={LENGTH_S}")
    return load_recipe("probe", [*named, *changes])


def built(folder: Path, *, portable: bool = False) -> TransformersEncoder:
    front_end = build_front_end(recipe_of(folder), portable=portable, weights=folder / WEIGHTS_FILE)
    assert isinstance(front_end, TransformersEncoder)
    return front_end


def sounds(samples: int) -> np.ndarray:
    """Return noise, a tone in noise, silence, and an offset: (4, samples) float32."""
    generator = np.random.default_rng(0)
    noise = generator.normal(0, 0.1, (2, samples))
    noise[1] = 0.1 * noise[1] + 0.3 * np.sin(np.arange(samples) / 7)
    return np.concatenate([noise, np.zeros((1, samples)), np.full((1, samples), 0.5)]).astype(np.float32)


def heard(kind: str, hidden: Tensor, samples: int) -> Tensor:
    """Return the mean of a last hidden state over what hears the window, worked out here by hand."""
    if kind == "clap":
        return hidden.mean(dim=(2, 3))
    if kind == "ast":  # 38 frames; patches of 16 every 10: those at 0, 10, 20 lie wholly in the sound; 2 bands
        return hidden[:, 2:].unflatten(1, (2, 9))[:, :, :3].mean(dim=(1, 2))
    return hidden[:, : samples // 320].mean(dim=1) if kind == "whisper" else hidden.mean(dim=1)


@pytest.mark.parametrize("kind", KINDS)
def test_an_encoder_hears_what_its_own_extractor_gives_it(kind: str, encoders: dict[str, Path]) -> None:
    network, extractor = tiny_encoder(kind)
    encoder = built(encoders[kind])
    samples = recipe_of(encoders[kind]).sound.window
    batch = sounds(samples)
    given = extractor(list(batch), sampling_rate=extractor.sampling_rate, return_tensors="pt")
    theirs = given[extractor.model_input_names[0]]
    waveform = torch.from_numpy(batch)[:, None]
    torch.testing.assert_close(encoder.input(waveform), theirs.float(), atol=2e-3, rtol=1e-4)
    half = {"ast": "audio_spectrogram_transformer", "wav2vec2": "wav2vec2", "clap": "audio_model"}
    whole = network.model.encoder if kind == "whisper" else getattr(network, half.get(kind, ""), network)
    with torch.inference_mode():
        expected = heard(kind, whole(theirs.float()).last_hidden_state, samples)
        told = encoder(waveform)[:, 0, :, 0]
    torch.testing.assert_close(told, expected, atol=1e-4, rtol=1e-3)
    assert encoder.shape == (1, told.shape[1], 1)
    assert told[0].sub(told[1]).abs().max() > 0.002  # else it would prove nothing


# wav2vec 2.0 and HuBERT are WavLM with plainer attention; Whisper's goes all the way below
@pytest.mark.parametrize("kind", ["ast", "wavlm", "clap"])
def test_an_encoder_fits_into_a_model_file(kind: str, encoders: dict[str, Path]) -> None:
    encoder, portable = built(encoders[kind]), built(encoders[kind], portable=True)
    samples = recipe_of(encoders[kind]).sound.window
    with _quiet():
        graph = _exported(portable, "waveform", (1, samples), "views")
    check_cost(graph.SerializeToString(), (4, 1, samples), kind)  # what it takes can be known before it runs
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    for batch in (sounds(samples)[:1], sounds(samples)[:3]):
        waveform = torch.from_numpy(batch)[:, None]
        with torch.inference_mode():
            expected = encoder(waveform).numpy()
        told = session.run(None, {"waveform": waveform.numpy()})[0]
        np.testing.assert_allclose(told, expected, atol=2e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_the_waveform_and_nothing_learns(kind: str, encoders: dict[str, Path]) -> None:
    encoder = built(encoders[kind])
    waveform = torch.from_numpy(sounds(recipe_of(encoders[kind]).sound.window)[:2])[:, None].requires_grad_()
    encoder(waveform).square().sum().backward()
    assert waveform.grad is not None
    assert torch.isfinite(waveform.grad).all()
    assert (waveform.grad != 0).any()
    encoder.train()
    assert not any(module.training for module in encoder.modules())
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


def test_a_probe_on_an_encoder_is_one_model_file(small_data: Path, encoders: dict[str, Path], tmp_path: Path) -> None:
    folder = encoders["whisper"]
    run = soundfold.train(small_data, recipe=recipe_of(folder), test_fold=3, out=tmp_path / "run", cache=tmp_path / "c")
    assert run.accuracy is not None
    assert run.accuracy > 0.9
    predictions = read_predictions(tmp_path / "run" / "predictions.parquet")
    told = soundfold.load(tmp_path / "run").predict(predictions["path"].iloc[0])
    assert told.probabilities["low"] == pytest.approx(predictions["p:low"].iloc[0], abs=1e-3)
    kept = load_file(tmp_path / "run" / "weights.safetensors")
    published = load_file(folder / WEIGHTS_FILE)
    name = "encoder.conv1.weight"
    torch.testing.assert_close(kept[f"features.network.{name.removeprefix('encoder.')}"], published[f"model.{name}"])


def test_what_decides_an_encoders_answer_decides_what_is_kept(encoders: dict[str, Path], tmp_path: Path) -> None:
    folder = save_tiny_encoder("wavlm", tmp_path / "again")
    before = weights_digest(folder / WEIGHTS_FILE)
    assert before == weights_digest(encoders["wavlm"] / WEIGHTS_FILE)
    settings = folder / "preprocessor_config.json"
    settings.write_text(settings.read_text().replace('"do_normalize": false', '"do_normalize": true'))
    assert weights_digest(folder / WEIGHTS_FILE) != before


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("whisper", ["sample_rate=32000"], r"sound must be 16000 Hz and one channel for features.network = hf/.*, got"),
        ("whisper", ["channels=2"], "got 16000 Hz and 2. Say sample_rate=16000 and channels=1"),
        ("whisper", ["length_s=1.5"], "sound.length_s must be at most 1 for features.network = hf/.*, got 1.5. Lower"),
        ("ast", ["length_s=1.5"], "sound.length_s must be at most 0.975 for"),
        ("clap", ["length_s=1.5"], "sound.length_s must be at most 1 for"),
    ],
)
def test_sound_that_an_encoder_cannot_hear_is_told(
    kind: str, changes: list[str], message: str, encoders: dict[str, Path]
) -> None:
    with pytest.raises(RecipeError, match=message):
        check_encoder(recipe_of(encoders[kind], *changes), encoders[kind])


def test_what_no_model_file_could_hold_is_told(
    encoders: dict[str, Path], small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("soundfold.models.transformers_encoder._MOST_BYTES", 1_000)
    with pytest.raises(
        RecipeError, match="a model file holds encoders of up to 1e-06 GB, got 0.0 GB. Choose a smaller"
    ):
        soundfold.train(small_data, recipe=recipe_of(encoders["wavlm"]), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def changed(source: Path, folder: Path, **settings: object) -> Path:
    """Return a copy of an encoder's folder with other entries in its configuration."""
    folder.mkdir()
    for file in source.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | settings))
    return folder


def test_another_kind_of_network_is_told_and_its_code_not_run(encoders: dict[str, Path], tmp_path: Path) -> None:
    code = {"AutoModel": "own.Own", "AutoConfig": "own.OwnConfig"}
    for kind, told in (("bert", "got bert"), ("own", "got own"), ([], r"got \[\]")):
        folder = changed(encoders["wavlm"], tmp_path / str(kind), model_type=kind, auto_map=code)
        (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
        with pytest.raises(RecipeError, match=f"an encoder must be one of audio-spectrogram-transformer, .*{told}"):
            check_encoder(recipe_of(folder), folder)
    known = changed(encoders["wavlm"], tmp_path / "known", auto_map=code)
    (known / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    built(known)
    assert not (tmp_path / "ran").exists()


def test_files_that_are_missing_or_damaged_are_told(encoders: dict[str, Path], tmp_path: Path) -> None:
    source = encoders["wavlm"]
    for file, error, message in (
        ("config.json", PathError, "holds no config.json. Name a folder"),
        ("preprocessor_config.json", PathError, "holds no preprocessor_config.json, which tells how the network hears"),
        (WEIGHTS_FILE, ModelFileError, "must hold model.safetensors; other formats can run code. Load the network"),
    ):
        folder = changed(source, tmp_path / f"no-{file}")
        (folder / "pytorch_model.bin").write_bytes(b"a pickle")
        (folder / file).unlink()
        with pytest.raises(error, match=message):
            find_encoder(f"hf/{folder}")
    damaged = changed(source, tmp_path / "damaged")
    (damaged / WEIGHTS_FILE).write_bytes((source / WEIGHTS_FILE).read_bytes()[:1000])
    with pytest.raises(ModelFileError, match="model.safetensors: does not fit its settings, or is damaged"):
        built(damaged)
    (damaged / "config.json").write_text("no json")
    with pytest.raises(ModelFileError, match="config.json: is no configuration of a network, or is damaged"):
        check_encoder(recipe_of(damaged), damaged)
    other = changed(source, tmp_path / "other", hidden_size=32)
    with pytest.raises(ModelFileError, match="model.safetensors: does not fit its settings, or is damaged"):
        built(other)


def test_weights_that_are_missing_or_no_numbers_are_told(encoders: dict[str, Path], tmp_path: Path) -> None:
    source = encoders["wavlm"]
    state = load_file(source / WEIGHTS_FILE)
    name = next(name for name in state if "attention.k_proj.weight" in name)
    without = changed(source, tmp_path / "without")
    save_file({key: value for key, value in state.items() if key != name}, without / WEIGHTS_FILE, {"format": "pt"})
    with pytest.raises(ModelFileError, match=f"must hold all weights of the network, got none for {name} and 0 others"):
        built(without)
    unmasked = changed(source, tmp_path / "unmasked")
    rest = {key: value for key, value in state.items() if key != "masked_spec_embed"}
    assert len(rest) == len(state) - 1
    save_file(rest, unmasked / WEIGHTS_FILE, {"format": "pt"})
    built(unmasked)
    broken = changed(source, tmp_path / "broken")
    save_file(state | {name: torch.full_like(state[name], torch.nan)}, broken / WEIGHTS_FILE, {"format": "pt"})
    with pytest.raises(ModelFileError, match=f"must hold finite numbers, got others in {name}"):
        built(broken)


def test_a_name_that_leads_nowhere_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")
    with pytest.raises(PathError, match="features.network must be hf/ and a folder that is here, or a name like"):
        find_encoder("hf//no/such/folder")

    def offline(*_: object, **__: object) -> str:
        raise ConnectionError("no way out.\nmore")

    monkeypatch.setattr(hub, "snapshot_download", offline)
    told: list[str] = []
    with pytest.raises(
        DownloadError,
        match=r"a/b: cannot be fetched from huggingface.co \(no way out\)\. Bring its folder from another",
    ):
        find_encoder("hf/a/b", told.append)
    assert told == ["fetching a/b from huggingface.co"]
    with pytest.raises(DownloadError, match=r"a/b: its files are no longer on this computer\. Bring its folder"):
        find_encoder("hf/a/b")
    assert not hub.utils.are_progress_bars_disabled()


def test_what_lies_in_the_hubs_cache_is_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")

    def kept(_: str, *, allow_patterns: list[str], local_files_only: bool = False) -> str:
        assert local_files_only
        return str(tmp_path)

    monkeypatch.setattr(hub, "snapshot_download", kept)
    (tmp_path / "x").touch()
    assert fetch_from_hub("a/b", ["x"], "x", None, "Mend.") == tmp_path


def test_settings_that_do_not_go_with_other_libraries_networks_are_told() -> None:
    for recipe, changes, message in (
        (
            "tutorial",
            ["model.name=tim/resnet18"],
            "model.name must be one of tutorial, .*timm/NAME, got 'tim/re",
        ),
        ("tutorial", ["model.name=timm/"], "timm/NAME, got 'timm/'"),
        (
            "tutorial",
            ["model.name=timm/resnet18", "model.start=probe"],
            "model.start must be random or pretrained with",
        ),
        (
            "tutorial",
            ["model.name=timm/resnet18", "kept_blocks=3"],
            "model.kept_blocks must be 0 with model.name = timm",
        ),
        ("probe", ["features.network=mn06"], "features.network must be one of mn04, mn05, mn10, mn20, hf/NAME, got"),
        (
            "probe",
            ["features.network=hf/a/b", "features.weights=x"],
            "features.weights must be null with features.netw",
        ),
    ):
        with pytest.raises(RecipeError, match=message):
            load_recipe(recipe, changes)


@contextlib.contextmanager
def without(*names: str) -> Iterator[None]:
    """Let some packages be missing."""
    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            for loaded in [loaded for loaded in sys.modules if loaded == name or loaded.startswith(f"{name}.")]:
                patch.delitem(sys.modules, loaded)
            patch.setitem(sys.modules, name, None)
        yield


@pytest.fixture
def unfit_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A torchvision that was built for another torch."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text("raise RuntimeError('operator torchvision::nms is missing')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)


def test_a_missing_library_names_its_command(small_data: Path, encoders: dict[str, Path], tmp_path: Path) -> None:
    command = r'which is not installed\. Install it with: pip install .*\[zoo\]"'
    for missing in ("timm", "torchvision"):
        with (
            without(missing),
            contextlib.nullcontext() if missing == "torchvision" else _some_torchvision(),
            pytest.raises(MissingExtraError, match=f"A network timm/NAME needs the package 'timm', {command}"),
        ):
            soundfold.train(small_data, recipe="tutorial", changes=["model.name=timm/resnet18"], out=tmp_path / "run")
    with (
        without("transformers"),
        pytest.raises(MissingExtraError, match=f"A network hf/NAME needs the package 'transformers', {command}"),
    ):
        soundfold.train(small_data, recipe=recipe_of(encoders["wavlm"]), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@contextlib.contextmanager
def _some_torchvision() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "torchvision", ModuleType("torchvision"))
        yield


def test_a_torchvision_that_does_not_fit_is_told(
    unfit_torchvision: None, encoders: dict[str, Path], small_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = (
        r"needs a torchvision that fits torch [\w.+]+, and the one installed cannot be imported \(operator "
        r"torchvision::nms is missing\)\. Install both from one source: "
        r"pip install --upgrade torch torchvision"
    )
    with pytest.raises(MissingExtraError, match=f"A network timm/NAME {message}"):
        soundfold.train(small_data, recipe="tutorial", changes=["model.name=timm/resnet18"])

    class Library(ModuleType):
        def __getattr__(self, name: str) -> object:
            raise ModuleNotFoundError(f"Could not import module '{name}'")

    monkeypatch.setitem(sys.modules, "transformers", Library("transformers"))
    with pytest.raises(MissingExtraError, match=f"A network hf/NAME {message}"):
        soundfold.train(small_data, recipe=recipe_of(encoders["wavlm"]))


def test_layers_that_write_into_what_they_are_given_keep_their_own_norm() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
    holder = nn.ModuleDict({"theirs": TimmBackbone(network), "ours": nn.Sequential(nn.BatchNorm2d(4))})
    widen_batch_norm(holder)
    assert type(network[1]) is nn.BatchNorm2d
    assert any(isinstance(module, WideBatchNorm2d) for module in holder["ours"].modules())
    holder["theirs"](torch.zeros(2, 1, 5, 5)).sum().backward()


@pytest.fixture
def timm() -> Any:
    """The library itself; skipped where it or its torchvision cannot be imported, as with a CPU build of torch.

    Where SOUNDFOLD_TEST_TIMM is 1 they must not be skipped.
    """
    try:
        importlib.import_module("torchvision")
        return importlib.import_module("timm")
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        if os.environ.get("SOUNDFOLD_TEST_TIMM") == "1":
            raise
        pytest.skip(f"timm cannot be imported here: {error}")


def timm_recipe(name: str = "test_resnet", *changes: str) -> Recipe:
    return load_recipe("tutorial", [*SMALL, "features.n_mels=32", f"model.name=timm/{name}", *changes])


@pytest.mark.parametrize("channels", [1, 2])
def test_an_image_network_learns_to_tell_sounds_apart(
    timm: Any, channels: int, small_data: Path, tmp_path: Path
) -> None:
    changes = [f"sound.channels={channels}", "training.epochs=8", "training.lr=0.003"]
    run = soundfold.train(
        small_data, recipe=timm_recipe("test_resnet", *changes), test_fold=3, out=tmp_path / "run", cache=tmp_path / "c"
    )
    assert run.accuracy is not None
    assert run.accuracy > 0.7
    predictions = read_predictions(tmp_path / "run" / "predictions.parquet")
    told = soundfold.load(tmp_path / "run").predict(predictions["path"].iloc[0])
    assert told.probabilities["low"] == pytest.approx(predictions["p:low"].iloc[0], abs=1e-3)


def test_a_network_of_a_fixed_grid_is_made_for_the_picture(timm: Any) -> None:
    classifier = build_classifier(timm_recipe("test_vit"), 3, 0)
    assert classifier.classify(torch.zeros(2, *classifier.features.shape)).shape == (2, 3)


def test_an_image_networks_stages_hold_all_that_learns(timm: Any) -> None:
    classifier = build_classifier(timm_recipe(), 3, 0)
    stages = classifier.network.stages()  # type: ignore[operator]
    assert len(stages) > 3
    own = [id(parameter) for stage in stages for parameter in stage.parameters()]
    assert len(own) == len(set(own))
    assert set(own) == {id(parameter) for parameter in classifier.network.parameters()}
    assert [tuple(parameter.shape) for parameter in stages[-1].parameters()][-1] == (3,)


def test_published_weights_are_taken_and_the_head_is_new(timm: Any, tmp_path: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        published = timm.create_model("test_resnet")
    save_file(published.state_dict(), tmp_path / WEIGHTS_FILE)
    recipe = timm_recipe("test_resnet", "model.start=pretrained", f"model.weights={tmp_path}")
    file = find_backbone_weights(recipe, print)
    classifier = build_classifier(recipe, 3, 0, file)
    own, given = classifier.network.state_dict(), published.state_dict()
    same = [name for name, value in given.items() if torch.equal(own.get(f"network.{name}", torch.zeros(())), value)]
    first = {"conv1.0.weight", "conv1.weight"} & set(given)
    assert {name for name in given if name not in same} == first | {"fc.weight", "fc.bias"}
    stem = next(iter(first))
    # one channel hears what three would have heard of the same picture
    torch.testing.assert_close(own[f"network.{stem}"].sum(dim=1), given[stem].sum(dim=1))
    classifier.train()
    norms = [module for module in classifier.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert not any(norm.training for norm in norms)  # model.batch_statistics is `kept`
    save_file({"conv1.weight": torch.zeros(3)}, tmp_path / WEIGHTS_FILE)
    with pytest.raises(ModelFileError, match="model.safetensors: does not fit timm's test_resnet"):
        build_classifier(recipe, 3, 0, file)
    with pytest.raises(PathError, match="model.weights must be a .safetensors file of test_resnet, or a folder"):
        find_backbone_weights(timm_recipe("test_resnet", "model.start=pretrained", "model.weights=/none"), print)


def test_names_and_pictures_that_do_not_fit_are_told(timm: Any, small_data: Path) -> None:
    with pytest.raises(
        RecipeError, match=r"model.name must be a network that timm .* knows, got resnet81. Did you mean"
    ):
        soundfold.train(small_data, recipe=timm_recipe("resnet81"))
    with pytest.raises(RecipeError, match="model.name = timm/inception_v3 must take pictures of 32 × 32, and does not"):
        soundfold.train(small_data, recipe=timm_recipe("inception_v3"))
