"""Weights that are named for one command: which setting they are short for, and who takes them."""

import json
from pathlib import Path

import pytest
import torch

import soundfold
from soundfold.cli import main
from soundfold.errors import PathError, RecipeError
from soundfold.models import build_efficientat
from soundfold.models.pretrained import PUBLISHED, WEIGHTS_VARIABLE
from soundfold.recipe import load_recipe, name_weights, published_network

FILE = PUBLISHED["mn04"].file
SHORT = ("sound.length_s=0.5",)
USES_NONE = r"^--weights must be left out with the recipe scratch, which takes no published weights, got .*mine\. Leave"


@pytest.fixture(autouse=True)
def _nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(WEIGHTS_VARIABLE, raising=False)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """mn04's weights by chance, in a folder under the published name."""
    folder = tmp_path_factory.mktemp("weights")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch.save(build_efficientat("mn04").state_dict(), folder / FILE)
    return folder


# the recipe


@pytest.mark.parametrize(
    ("preset", "changes", "section", "network"),
    [
        ("probe", (), "features", "mn04"),
        ("probe", ("features.network=mn10",), "features", "mn10"),
        ("finetune", (), "model", "mn04"),
        ("finetune", ("model.start=pretrained",), "model", "mn04"),
        ("tutorial", ("model.name=timm/resnet18", "model.start=pretrained"), "model", "timm/resnet18"),
    ],
)
def test_weights_are_short_for_the_setting_that_the_recipe_uses(
    preset: str, changes: tuple[str, ...], section: str, network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load_recipe(preset, changes)
    assert published_network(recipe) == (section, network)
    monkeypatch.chdir(tmp_path)
    strange = "mine: no. 1 #"  # in YAML this would be something else
    long = load_recipe(recipe).as_dict()
    long[section]["weights"] = str(tmp_path / strange)
    assert name_weights(recipe, Path(strange)).as_dict() == long
    assert name_weights(name_weights(recipe, "before"), strange).as_dict() == long, "it counts last"


@pytest.mark.parametrize("preset", ["scratch", "texture", "mfcc", "tutorial"])
def test_a_recipe_that_takes_no_published_weights_refuses_them(preset: str) -> None:
    assert published_network(load_recipe(preset)) is None
    with pytest.raises(RecipeError, match=USES_NONE.replace("scratch", preset)):
        name_weights(load_recipe(preset), "/mine")


def test_an_encoder_of_another_library_brings_its_own() -> None:
    recipe = load_recipe("probe", ["features.network=hf/openai/whisper-tiny", "sample_rate=16000"])
    with pytest.raises(RecipeError, match=r"^--weights: features\.weights must be null with features\.network = hf/"):
        name_weights(recipe, "/mine")


# the verbs


@pytest.mark.parametrize("verb", ["train", "cv", "tune"])
def test_mistakes_are_told_before_any_work(
    verb: str, small_data: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(*arguments: object) -> str:
        assert main([verb, str(small_data), "--out", str(tmp_path / "run"), *map(str, arguments)]) == 2
        return capsys.readouterr().err.splitlines()[-1]

    assert "--weights must be left out with the recipe texture" in told("-r", "texture", "--weights", weights)
    missing = told("-r", "probe", "--weights", tmp_path / "gone")
    assert f"gone: the weights' source must be a file of weights or a folder with {FILE} in it" in missing
    assert "and there is nothing. Check the path" in missing
    assert "the weights' source must be" in told("--weights", tmp_path / "gone"), "no recipe is named: finetune"
    assert f"holds no {PUBLISHED['mn10'].file}" in told("-r", "probe", "--set", "network=mn10", "--weights", weights)
    assert "'--weights': must not be empty" in told("--weights", "")
    twice = told("-r", "finetune", "--weights", weights, "--set", f"model.weights={weights}")
    assert "--weights and --set model.weights both name published weights" in twice
    assert f"holds no {PUBLISHED['mn10'].file}" in told(
        "-r", "probe", "--set", "network=mn10", "--weights", weights, "--set", "features.weights=null"
    ), "which names none"
    assert not (tmp_path / "run").exists()


def test_a_cross_validation_and_a_ladder_take_the_named_folder_or_file(
    small_data: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache, probe = tmp_path / "cache", tmp_path / "probe.yaml"
    probe.write_text(json.dumps({**load_recipe("probe", SHORT).as_dict(), "name": "probe"}))
    shared = ["--folds", "1", "--cache", str(cache), "--json"]
    arguments = ["-r", str(probe), "--out", str(tmp_path / "cv"), "--weights", str(weights / FILE)]
    assert main(["cv", str(small_data), *shared, *arguments]) == 0
    alone = json.loads(capsys.readouterr().out)
    assert alone["recipe"]["features"]["weights"] == str(weights / FILE)
    rungs = ["--only", f"majority,{probe}", "--out", str(tmp_path / "ladder"), "--weights", str(weights)]
    assert main(["ladder", str(small_data), *shared, *rungs]) == 0
    climbed = json.loads(capsys.readouterr().out)
    assert climbed["left_out"] == []
    assert climbed["rungs"][1]["accuracy_mean"] == alone["accuracy_mean"]
    assert load_recipe(tmp_path / "ladder" / "probe" / "recipe.yaml").features.weights == str(weights)


def test_a_ladder_tells_what_none_of_its_rungs_can_use(small_data: Path, tmp_path: Path) -> None:
    own = load_recipe("probe", [f"features.weights={tmp_path}", "name=own"])
    with pytest.raises(RecipeError, match="^--weights must be left out, as none of mfcc, own takes published weights"):
        soundfold.ladder(small_data, only=["mfcc", own], weights=tmp_path, out=tmp_path / "out")
    with pytest.raises(PathError, match=rf"holds no {FILE}\. Put it there"):
        soundfold.ladder(small_data, only=["mfcc", "probe"], weights=tmp_path, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_predict_refuses_weights_that_are_of_no_network(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "one.onnx", "one.wav", "--weights", str(weights)]) == 2
    assert "--weights must come with --model NAME, the network that they are of, got" in capsys.readouterr().err
    assert main(["predict", "--model", "mn04", "one.wav", "--weights", str(tmp_path / "gone")]) == 2
    assert "gone: the weights' source must be a file of weights" in capsys.readouterr().err


def test_each_named_file_of_weights_has_a_model_file_of_its_own(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from soundfold.jobs import tagger

    monkeypatch.setattr(tagger, "export_model", lambda _classifier, _recipe, _card, path: path.write_bytes(b"model"))
    monkeypatch.setattr(tagger, "_opens", Path.exists)
    other = tmp_path / "other.pt"
    state = torch.load(weights / FILE, weights_only=True)
    torch.save({name: value + 1 for name, value in state.items()}, other)

    def made(**named: Path) -> Path:
        return tagger.pretrained_model("mn04", cache=tmp_path / "cache", **named)

    by_folder = made(weights=weights)
    assert by_folder == made(weights=weights / FILE)
    assert by_folder != made(weights=other)
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(other))
    assert made() == made(weights=other)
    assert made(weights=weights) == by_folder, "the option counts before the variable"
