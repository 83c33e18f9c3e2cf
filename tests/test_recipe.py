"""Recipes: presets, changes, YAML, and messages that name the setting, the value and the mend."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from soundfold.errors import PathError, RecipeError
from soundfold.recipe import (
    Recipe,
    build_recipe,
    change_recipe,
    load_recipe,
    preset_names,
    recipe_keys,
    recipe_to_ship,
    save_recipe,
    with_defaults,
)
from soundfold.recipe.space import load_space

pytestmark = pytest.mark.runtime


@pytest.mark.parametrize("name", preset_names())
def test_preset_is_valid_and_bears_its_name(name: str) -> None:
    assert load_recipe(name).name == name


def test_tutorial_has_the_published_settings() -> None:
    recipe = load_recipe("tutorial")
    assert (recipe.sound.sample_rate, recipe.sound.channels, recipe.sound.window) == (44_100, 2, 176_400)
    assert (recipe.features.n_fft, recipe.features.hop_length, recipe.features.n_mels) == (1024, 512, 64)
    assert (recipe.training.epochs, recipe.training.batch_size, recipe.training.lr) == (100, 16, 0.001)


@given(
    epochs=st.integers(1, 1000),
    lr=st.floats(1e-6, 1.0),
    mels=st.integers(4, 128),
    shift=st.floats(0, 1),
    name=st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20),
)
def test_yaml_round_trip(
    tmp_path_factory: pytest.TempPathFactory, epochs: int, lr: float, mels: int, shift: float, name: str
) -> None:
    recipe = build_recipe(
        {
            "name": name,
            "training": {"epochs": epochs, "lr": lr},
            "features": {"n_mels": mels},
            "augment": {"time_shift": shift},
        }
    )
    path = tmp_path_factory.mktemp("recipes") / "r.yaml"
    save_recipe(recipe, path)
    assert load_recipe(path) == recipe


def test_change_leaves_the_original_alone() -> None:
    recipe = Recipe()
    assert change_recipe(recipe, ["lr=0.5"]).training.lr == 0.5
    assert recipe.training.lr == 0.001


def test_every_key_can_be_set_to_its_own_default() -> None:
    recipe = Recipe()
    for key in recipe_keys():
        value: object = recipe
        for part in key.split("."):
            value = getattr(value, part)
        assert change_recipe(recipe, [f"{key}={yaml.safe_dump(value).splitlines()[0]}"]) == recipe


def test_every_setting_is_described() -> None:
    assert all(len(text) > 10 for text in recipe_keys().values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("epoch=3", "there is no setting 'epoch'. Did you mean 'epochs'?"),
        ("training.lrr=1", "there is no setting 'training.lrr'. Did you mean 'training.lr'?"),
        ("training.epochs=0", "training.epochs must be greater than or equal to 1, got 0"),
        ("epochs=many", "training.epochs must be a whole number, got 'many'"),
        ("lr=.nan", "training.lr must be a finite number, got nan"),
        ("epochs=1:30", "training.epochs must be a whole number, got '1:30'"),
        ("lr=1:30.5", "training.lr must be a number, got '1:30.5'"),
        ("channels=3", "sound.channels must be 1 or 2, got 3"),
        ("fmax_hz=50000", r"features.fmax_hz must be at most 22050 Hz, half of sound.sample_rate, got 50000"),
        ("fmin_hz=30000", "features.fmin_hz must be below the highest band's edge of 22050 Hz, got 30000"),
        ("length_s=0.01", "sound.length_s must hold more than one transform"),
        ("win_length=2048", "features.win_length must be at most features.n_fft = 1024, got 2048"),
        ("hop_length=2000", "features.hop_length must be at most the window of 1024 samples, got 2000"),
        ("epochs", "--set takes key=value, got 'epochs'"),
        ("epochs=[", "training.epochs must be a number, a word, or null"),
        (
            "sound=5",
            "there is no setting 'sound', which is a section of 5. Name one of them, such as sound.sample_rate",
        ),
        ("zzz=5", "there is no setting 'zzz'. The table in docs/recipes.md has them all$"),
        ("lr=true", "training.lr must be a number, got True"),
        ("batch_size=yes", "training.batch_size must be a whole number, got True"),
        ("win_length=off", "features.win_length must be a whole number, got False"),
        ("channels=true", "sound.channels must be a whole number, got True"),
        ("name=''", "name must be at least 1 character long, got ''"),
        ("name=" + "x" * 81, "name must be at most 80 characters long, got 'x"),
        ("lr=2001-01-01", "training.lr must be a number, got 2001-01-01$"),
        ("kind=audioset", "sound must be 32000 Hz and one channel with features.kind = audioset, got 44100 Hz and 2"),
        ("lr=2001-99-99", "training.lr must be a number, a word, or null"),
        ("lr=!!bool x", "training.lr must be a number, a word, or null"),
        ("epochs=" + "9" * 5_000, "training.epochs must be"),
        ("optimizer=" + "x" * 5_000, "got 'x{70,80}…"),
    ],
)
def test_bad_change_says_what_and_the_mend(change: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        change_recipe(Recipe(), [change])
    assert "\n" not in str(caught.value)


def test_no_recipe_named_is_told() -> None:
    with pytest.raises(RecipeError, match=r"the recipe must have a name, got ''\. Name a preset \(.*tutorial\)"):
        load_recipe("")


def test_paths_are_absolute_in_a_run_and_not_in_a_file_to_ship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    changes = ["features.weights=here/a.pt", "model.weights=b", "background_folder=c", "background_probability=1"]
    recipe = load_recipe("tutorial", [*changes, "domain=waveform"])
    told = recipe.features.weights, recipe.model.weights, recipe.augment.background_folder
    assert told == tuple(str(tmp_path / name) for name in ("here/a.pt", "b", "c"))
    save_recipe(recipe, tmp_path / "r.yaml")
    monkeypatch.chdir("/")
    assert load_recipe(tmp_path / "r.yaml") == recipe
    assert str(tmp_path) not in str(recipe_to_ship(recipe))
    assert recipe_to_ship(Recipe()) == Recipe().as_dict()


def test_misspelt_preset_gets_the_nearest_name() -> None:
    with pytest.raises(RecipeError, match=r"there is no recipe 'tutoral'\. Did you mean 'tutorial'\?"):
        load_recipe("tutoral")


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PathError, match=r"gone\.yaml: there is no such recipe file"):
        load_recipe(tmp_path / "gone.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b\n", "must hold settings as `section:`"),
        ("training: {epochs: 3\n", "is not readable YAML in line"),
        ("training:\n  epoch: 3\n", r"there is no setting 'training.epoch'. Did you mean 'epochs'\?"),
        ("trainin:\n  epochs: 3\n", "there is no setting 'trainin'. Did you mean 'training'"),
        ("training: 3\n", "training must be a section of settings, got 3"),
        ("training: {epochs: 2, epochs: 4}\n", r"in line 1 \('epochs' stands twice\)"),
        ("training: {lr: 1}\ntraining: {epochs: 2}\n", r"in line 2 \('training' stands twice\)"),
        ("name: &a x\nsound: *a\n", "aliases are not used here"),
        ("name: !!python/object:os.system {}\n", "is not readable YAML"),
        ("[" * 20_000, "is not readable YAML"),
        ("1: 2\n", "there is no setting '1'"),
        ("training: {epochs: 1:30}\n", "training.epochs must be a whole number, got '1:30'"),
    ],
)
def test_bad_file_is_told_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_numbers_are_what_people_mean_and_names_stay_names(tmp_path: Path) -> None:
    """YAML 1.1 reads 010 as 8 and 1:30 as 90."""
    for text, value in (("010", 10.0), ("1e-3", 0.001), ("1.5", 1.5), (".5", 0.5), ("+2", 2.0), ("0x1F", 31.0)):
        assert load_recipe("tutorial", [f"augment.gain_db={text}"]).augment.gain_db == value
    assert load_recipe("tutorial", ["epochs=010"]).training.epochs == 10
    for name in ("1:30", "010", "089", "1e-3", "1_000", "0x1F", "0b1", "+.inf", "3.", "1.5e3", "12", "yes", "~"):
        save_recipe(load_recipe("tutorial").model_copy(update={"name": name}), tmp_path / "r.yaml")
        assert load_recipe(tmp_path / "r.yaml").name == name


def test_a_folder_in_place_of_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").mkdir()
    with pytest.raises(PathError, match="x.yaml: is a folder. Name a recipe file, or one of those of soundfold's own:"):
        load_recipe(tmp_path / "x.yaml")
    with pytest.raises(PathError, match="x.yaml: is a folder. Name a space file, or one of .*: finetune, linear, net"):
        load_space(tmp_path / "x.yaml", load_recipe("tutorial"))


def test_yaml_that_is_not_utf8_is_told(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(b"name: caf\xe9\n")
    with pytest.raises(RecipeError, match="is not readable YAML"):
        load_recipe(path)


def test_empty_file_is_all_defaults(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("", encoding="utf-8")
    assert load_recipe(path) == Recipe()


def test_a_kept_recipe_lacks_nothing_that_came_later() -> None:
    whole = load_recipe("texture").as_dict()
    earlier = {**whole, "model": {key: value for key, value in whole["model"].items() if key != "texture_say"}}
    assert with_defaults(earlier) == whole
    later = {**whole, "model": {**whole["model"], "not_yet": 1}}
    assert with_defaults(later) == later
