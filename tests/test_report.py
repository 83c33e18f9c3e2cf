"""The report: one page that holds all, says what was found, and does nothing that a label or a path asks it to."""

import base64
import hashlib
import io
import json
import re
import shutil
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

import soundfold
from conftest import SMALL
from made_up_runs import ODD, made_up, put_predictions
from soundfold.cli import main
from soundfold.errors import DataError, PathError, RunError
from soundfold.evaluation import read_predictions
from soundfold.evaluation.report import RATE_HZ, Curve, embed_sound, render_page, surest_mistakes
from soundfold.recipe import Recipe
from soundfold.wording import format_percent

VOID = {"meta", "circle", "image", "line", "polyline", "rect", "br", "link"}


class Page(HTMLParser):
    """A page as a browser would take it: its elements, its text, and whether all that was opened was closed."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []
        self.text = " ".join(" ".join(self.words).split()).replace("\u00a0", " ").replace("\u2060", "")

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, key, value or "") for key, value in attributes]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, key, value or "") for key, value in attributes]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    def values(self, key: str, tag: str | None = None) -> list[str]:
        return [value for element, name, value in self.attributes if name == key and tag in (None, element)]


def page_of(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def cv_run(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished cross-validation on a copy of the small data, two folds, and a few of its answers turned wrong."""
    folder = tmp_path_factory.mktemp("report")
    shutil.copytree(small_data, folder / "sounds")
    soundfold.cross_validate(
        folder / "sounds",
        recipe="tutorial",
        changes=SMALL,
        folds=[1, 2],
        jobs=1,
        out=folder / "cv",
        cache=folder / "cache",
    )
    table = read_predictions(folder / "cv" / "predictions.parquet")
    table["label"] = np.where(np.arange(len(table)) % 4 == 0, table["label"].map({"low": "high", "high": "low"}),
                              table["label"])  # fmt: skip
    put_predictions(folder / "cv", table)
    return folder / "cv"


def test_page_tells_what_the_run_found(cv_run: Path) -> None:
    path = soundfold.report(cv_run)
    assert path == cv_run / "report.html"
    page = page_of(path)
    found = json.loads((cv_run / "metrics.json").read_text())
    mean = f"{100 * found['accuracy_mean']:.1f} ± {100 * found['accuracy_std']:.1f} %"
    assert f"Right on {mean} of 24 clips from 12 recordings that it had never met, the mean over 2 folds" in page.text
    for title in ("Scores", "By fold", "By class", "Who is taken for whom", "Training", "What leaked",
                  "Surest and wrong", "Recipe", "Cost"):  # fmt: skip
        assert title in page.text
    assert page.tags["h1"] == 1
    assert {"header", "nav", "main", "footer"} <= page.tags.keys()
    low, high = found["accuracy_ci95"]
    assert f"{100 * low:.1f}–{100 * high:.1f} %" in page.text
    assert "model.onnx, each fold's" in page.text


def test_changed_settings_come_before_the_others(cv_run: Path) -> None:
    words = page_of(soundfold.report(cv_run)).text
    changed, rest = words.split("Settings that differ from the defaults")[1].split("Settings left at their defaults")
    assert "training.epochs 3 100 " in changed
    assert "sound.sample_rate 8000 44100 " in changed
    assert "features.fmin_hz" not in changed
    assert "features.fmin_hz 0 " in rest
    assert "training.epochs" not in rest.split("Cost")[0]


def test_curves_are_those_of_the_log(cv_run: Path) -> None:
    page = page_of(soundfold.report(cv_run))
    lines = page.values("points", "polyline")
    assert len(lines) == 8, "two folds, two panels, training and held-out"
    assert all(len(line.split()) == 3 for line in lines), "a point an epoch"
    log = pd.read_csv(cv_run / "fold1" / "log.csv")
    heights = [float(point.split(",")[1]) for point in lines[4].split()]
    steps, told = np.diff(heights), np.diff(log["train_accuracy"])
    assert np.all(np.sign(np.round(steps, 1)) == -np.sign(np.round(told, 4))), "up on the page is more"


def test_clips_are_the_surest_wrong_ones_one_a_recording(cv_run: Path) -> None:
    table = read_predictions(cv_run / "predictions.parquet")
    clips, wrong = surest_mistakes(table, 3)
    mistaken = table[table["label"] != table["predicted"]]
    assert wrong == len(mistaken)
    assert [clip.probability for clip in clips] == sorted((clip.probability for clip in clips), reverse=True)
    assert clips[0].probability == pytest.approx(mistaken["probability"].max())
    assert len({clip.group for clip in clips}) == len(clips) == 3
    for clip in clips:
        assert clip.label != clip.predicted
        assert clip.others == (mistaken["group"] == clip.group).sum() - 1
        row = mistaken[mistaken["path"] == clip.path].iloc[0]
        assert clip.about_truth == f", given {format_percent(row[f'p:{clip.label}'])}"
    assert surest_mistakes(table, 0) == ([], wrong)


def test_sounds_are_in_the_page_and_nothing_is_fetched(cv_run: Path) -> None:
    page = page_of(soundfold.report(cv_run, clips=2))
    assert page.tags["audio"] == page.tags["image"] == 2
    addresses = page.values("src") + page.values("href", "image")
    assert all(address.startswith("data:") for address in addresses)
    assert all(address.startswith("#") for address in page.values("href", "a"))
    ids = page.values("id")
    assert len(set(ids)) == len(ids)
    assert {address.removeprefix("#") for address in page.values("href", "a")} <= set(ids)
    clip = surest_mistakes(read_predictions(cv_run / "predictions.parquet"), 1)[0][0]
    kind, content = page.values("src", "audio")[0].split(";base64,")
    assert kind == "data:audio/flac"
    sound, rate = soundfile.read(io.BytesIO(base64.b64decode(content)))
    assert rate == RATE_HZ
    assert len(sound) == round(soundfile.info(clip.path).duration * RATE_HZ)
    assert np.abs(sound).max() == pytest.approx(np.abs(soundfile.read(clip.path)[0]).max(), rel=0.1)


def test_browser_is_told_to_run_and_fetch_nothing(cv_run: Path) -> None:
    text = soundfold.report(cv_run).read_text(encoding="utf-8")
    page = Page(text)
    assert page.tags["script"] == page.tags["link"] == page.tags["iframe"] == 0
    assert not [key for _, key, _ in page.attributes if key.startswith("on") or key == "style"]
    assert "http:" not in text.replace("http://www.w3.org", "")
    assert "https:" not in text
    assert "@import" not in text
    assert "url(" not in text
    rules = next(value for value in page.values("content", "meta") if value.startswith("default-src"))
    assert rules.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in rules
    assert "script-src" not in rules
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in rules, "a browser drops a style whose hash is another"


def test_names_are_shown_and_never_obeyed() -> None:
    text = render_page([made_up(ODD, name=ODD[0]), made_up(ODD, name=ODD[1])])
    page = Page(text)
    plain = Page(render_page([made_up(tuple("abcdefghijkl"), name="a"), made_up(tuple("abcdefghijkl"), name="b")]))
    assert page.tags == plain.tags, "a name has made elements of its own"
    assert page.tags["script"] == page.tags["img"] == 0
    assert "\x00" not in text
    assert "\u202e" not in text
    assert page.text.count("<script>alert(1)</script>") > 10
    for label in ("naïve café", "كلب ينبح", "שלום", "a & b", "狗", "x" * 90, "$style", "</style><style>"):
        assert label in page.text


def test_path_that_is_no_utf8_is_escaped() -> None:
    clip = surest_mistakes(made_up(tuple("abcd")).predictions, 1)[0][0]
    odd = type(clip)(**{**vars(clip), "path": "/data/\udce9.wav"})
    text = render_page([made_up(tuple("abcd"), clips=(odd,))])
    assert "\\udce9.wav" in text
    assert text.encode("utf-8")


def test_leak_and_what_it_means_are_in_the_verdict() -> None:
    page = Page(render_page([made_up(tuple("abcd"))]))
    verdict = page.text.split("By class")[0]
    assert "of 240 clips that were held out" in verdict
    assert "never met" not in verdict
    assert "But: 4 % of test clips share a recording with training; expect less on new recordings." in verdict


@pytest.mark.parametrize(("classes", "matrix"), [(2, True), (60, True), (61, False)])
def test_many_classes_leave_the_matrix_out(classes: int, matrix: bool) -> None:
    page = Page(render_page([made_up(tuple(f"c{k}" for k in range(classes)), n=400)]))
    assert any("matrix" in value for value in page.values("class", "table")) == matrix
    assert "most often: truth → answer" in page.text
    assert ("too large to read" in page.text) != matrix


def test_curve_that_broke_off_or_ran_away_is_drawn_as_far_as_it_goes() -> None:
    nan = float("nan")
    lines = {"train_loss": (2.0, nan, float("inf"), 1.0), "val_loss": (None, None, None, 3.0),
             "train_accuracy": (0.1, 0.2, 0.3, 0.4), "val_accuracy": (None, None, None, 0.2)}  # fmt: skip
    text = render_page([made_up(tuple("abcd"), curves=(Curve(None, (1, 2, 3, 4), lines),), predictions=None)])
    page = Page(text)
    assert [len(line.split()) for line in page.values("points", "polyline")] == [2, 4]
    assert "nan" not in " ".join(page.values("points") + page.values("y1"))
    once = dict.fromkeys(lines, (0.5,))
    page = Page(render_page([made_up(tuple("abcd"), curves=(Curve(None, (1,), once),))]))
    assert "trained in one step, so there is no curve" in page.text


def test_a_damaged_log_is_told_beside_its_curve(cv_run: Path, tmp_path: Path) -> None:
    shutil.copytree(cv_run, tmp_path / "cv")
    log = tmp_path / "cv" / "fold2" / "log.csv"
    *rows, last = log.read_text(encoding="utf-8").splitlines()
    log.write_text("\n".join([*rows, last[:9]]), encoding="utf-8")
    page = page_of(soundfold.report(tmp_path / "cv", clips=0))
    assert sorted({len(line.split()) for line in page.values("points", "polyline")})[-2:] == [2, 3]
    training = page.text.split("Training")[-1]
    assert "fold2/log.csv cannot be read to its end" in training
    assert "its curve ends with epoch 2. The scores do not rest on it." in training
    assert "cannot be read" not in page_of(soundfold.report(cv_run, clips=0)).text


def test_classes_have_intervals_unless_an_earlier_version_made_the_run(cv_run: Path, tmp_path: Path) -> None:
    found = json.loads((cv_run / "metrics.json").read_text())
    words = page_of(soundfold.report(cv_run, clips=0)).text.split("Scores by class")[1]
    for row in found["per_class"]:
        low, high = row["recall_ci95"]
        told = f"{format_percent(row['recall'])} {100 * low:.1f}–{format_percent(high)}"
        assert told in words.split(row["label"])[1]
    shutil.copytree(cv_run, tmp_path / "old")
    for row in found["per_class"]:
        del row["recall_ci95"]
    (tmp_path / "old" / "metrics.json").write_text(json.dumps(found))
    page = page_of(soundfold.report(tmp_path / "old", clips=0)).text
    assert "its 95 % interval" not in page.split("Scores by class")[1].split("Who is taken")[0]


def test_spectrogram_shows_a_tone_where_it_is() -> None:
    from matplotlib.image import imread

    from soundfold.evaluation.report.sounds import BANDS, band_of

    seconds = np.arange(3 * RATE_HZ) / RATE_HZ
    for frequency in (300.0, 1_000.0, 6_000.0):
        sound = embed_sound(np.sin(2 * np.pi * frequency * seconds).astype(np.float32))
        picture = imread(io.BytesIO(base64.b64decode(sound.picture.split(",")[1])))[..., :3].sum(axis=-1)
        assert picture.shape[0] == BANDS
        row = picture[:, picture.shape[1] // 2].argmax()
        assert abs((BANDS - 1 - row) / (BANDS - 1) - band_of(frequency)) < 0.03
        assert (sound.seconds, sound.cut) == (3.0, False)


@pytest.mark.parametrize("waveform", [np.zeros(1), np.zeros(5000), np.full(3000, 9.0), np.ones(20 * RATE_HZ)])
def test_any_waveform_can_be_embedded(waveform: np.ndarray) -> None:
    sound = embed_sound(waveform.astype(np.float32))
    decoded, _ = soundfile.read(io.BytesIO(base64.b64decode(sound.uri.split(",")[1])))
    assert len(np.atleast_1d(decoded)) == min(len(waveform), 8 * RATE_HZ)
    assert sound.cut == (len(waveform) > 8 * RATE_HZ)


def contrast(one: str, other: str) -> float:
    """Contrast of two colours by WCAG 2, 1 to 21."""

    def luminance(colour: str) -> float:
        parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_both_schemes(scheme: str) -> None:
    style = re.findall(r"<style>(.*?)</style>", render_page([made_up(tuple("abcd"))]), re.DOTALL)[0]
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#\w{6});", blocks[0]))
    if scheme == "dark":
        colours |= dict(re.findall(r"--([\w-]+): (#\w{6});", blocks[1]))
        assert colours["paper"] != "#ffffff"
    pairs = [(text, ground) for text in ("ink", "faint", "one") for ground in ("paper", "sheet")]
    pairs += [("warn-ink", "warn-paper"), ("none", "h0")]
    pairs += [("on-light", f"h{k}") for k in range(1, 7)] + [("on-deep", f"h{k}") for k in range(7, 11)]
    assert {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in pairs
            if contrast(colours[pair[0]], colours[pair[1]]) < 4.5} == {}  # fmt: skip
    assert min(contrast(colours[line], colours["paper"]) for line in ("one", "two")) >= 3


def test_runs_side_by_side(cv_run: Path, tmp_path: Path) -> None:
    shutil.copytree(cv_run, tmp_path / "other")
    table = read_predictions(cv_run / "predictions.parquet")
    wrong = table["label"] != table["predicted"]
    table.loc[wrong, ["p:low", "p:high"]] = table.loc[wrong, ["p:high", "p:low"]].to_numpy()
    table["predicted"] = table["label"]
    put_predictions(tmp_path / "other", table)
    page = page_of(soundfold.report([cv_run, tmp_path / "other"], out=tmp_path / "both.html", clips=1))
    ids = page.values("id")
    assert len(set(ids)) == len(ids)
    assert page.tags["h1"] == 1
    assert page.tags["article"] == 2
    compared = page.text.split("Beyond chance?")[-1].split("Recall by class")[0]
    assert "other is better" in compared
    assert f"{100 * wrong.mean():+.1f}" in compared
    assert "Recall by class" in page.text
    assert not (cv_run / "both.html").exists()


def test_a_setting_that_a_run_leaves_empty_is_a_dash() -> None:
    runs = [made_up(("a", "b"), name=name) for name in ("one", "other")]
    recipe = Recipe.model_validate({"features": {"fmax_hz": 4_000.0}}).as_dict()
    runs[1] = replace(runs[1], result=runs[1].result.model_copy(update={"recipe": recipe}))
    differ = render_page(runs).split("Where the recipes differ")[-1].split("</section>")[0]
    assert "features.fmax_hz" in differ
    assert "null" not in differ
    assert "–" in differ


def test_a_run_without_a_recipe_is_given_none(cv_run: Path, tmp_path: Path) -> None:
    """What only answers the most frequent label has no settings, and is not told to have the default's."""
    shutil.copytree(cv_run, tmp_path / "majority")
    metrics = tmp_path / "majority" / "metrics.json"
    metrics.write_text(json.dumps(json.loads(metrics.read_text()) | {"recipe": {"name": "majority"}}))
    page = page_of(soundfold.report([cv_run, tmp_path / "majority"], out=tmp_path / "both.html", clips=0))
    differs = page.text.split("Where the recipes differ")[-1].split("training.epochs")[1]
    assert differs.split()[:2] == ["3", "–"]


def test_runs_that_cannot_be_compared_stand_side_by_side_all_the_same(
    cv_run: Path, small_run: Path, tmp_path: Path
) -> None:
    page = page_of(soundfold.report([cv_run, small_run], out=tmp_path / "both.html", clips=0))
    assert "is not compared with cv: one is a cross-validation, the other a training" in page.text
    with pytest.raises(DataError, match="runs must be different, got one of them twice"):
        soundfold.report([cv_run, cv_run])


def test_training_without_held_out_clips(small_run: Path, tmp_path: Path) -> None:
    shutil.copytree(small_run, tmp_path / "all")
    (tmp_path / "all" / "predictions.parquet").unlink()
    kept = json.loads((small_run / "metrics.json").read_text())
    lost = ("accuracy", "accuracy_ci95", "macro_f1", "macro_f1_ci95", "per_class", "confusion", "n_recordings")
    metrics = {key: value for key, value in kept.items() if key not in lost} | {"n": 0}
    (tmp_path / "all" / "metrics.json").write_text(json.dumps(metrics))
    page = page_of(soundfold.report(tmp_path / "all"))
    assert "Trained on all 24 clips. Nothing was held out, so there is no score." in page.text
    assert "By class" not in page.text
    assert "Surest and wrong" not in page.text
    assert "Cost" in page.text


def test_predictions_of_an_evaluation(small_run: Path, small_data: Path, tmp_path: Path) -> None:
    found = soundfold.evaluate(small_run, small_data, predictions=tmp_path / "p.parquet")
    path = soundfold.report(tmp_path / "p.parquet")
    assert path == tmp_path / "p.html"
    assert f"Right on {100 * found.accuracy:.1f} % of 36 clips" in page_of(path).text
    folder = tmp_path / "kept"
    folder.mkdir()
    shutil.copy(tmp_path / "p.parquet", folder / "predictions.parquet")
    (folder / "metrics.json").write_text(found.model_dump_json())
    page = page_of(soundfold.report(folder))
    assert "of these clips come from recordings that the model was trained on" in page.text
    assert "Surest and wrong" in page.text


def test_sounds_that_are_gone_are_said_to_be_and_found_where_they_moved(cv_run: Path, tmp_path: Path) -> None:
    shutil.copytree(cv_run.parent, tmp_path / "old", ignore=shutil.ignore_patterns("cache"))
    run, sounds = tmp_path / "old" / "cv", tmp_path / "old" / "sounds"
    text = (run / "run.json").read_text().replace(str(cv_run.parent), str(tmp_path / "old"))
    (run / "run.json").write_text(text)
    table = read_predictions(run / "predictions.parquet")
    table["path"] = table["path"].str.replace(str(cv_run.parent), str(tmp_path / "old"), regex=False)
    put_predictions(run, table)
    sounds.rename(tmp_path / "moved")
    page = page_of(soundfold.report(run, clips=2))
    assert page.tags["audio"] == 0
    assert "None of them can be heard: its file is no longer there; if the data has moved, say where" in page.text
    assert "By class" in page.text
    page = page_of(soundfold.report(run, clips=2, data=tmp_path / "moved"))
    assert page.tags["audio"] == 2
    wrong = surest_mistakes(table, 1)[0][0].path.removeprefix(f"{sounds}/")
    (tmp_path / "moved" / wrong).write_text("no sound")
    page = page_of(soundfold.report(run, clips=2, data=tmp_path / "moved"))
    assert page.tags["audio"] == 1
    with pytest.raises(PathError, match="no such file or folder. Say with --data where the sounds are now"):
        soundfold.report(run, data=tmp_path / "nowhere")


def test_page_does_not_grow_without_end(cv_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soundfold.jobs.report._MOST_BYTES", 1)
    page = page_of(soundfold.report(cv_run, clips=3))
    assert page.tags["audio"] == 1
    assert "2 of them cannot be heard: the page is large enough already." in page.text


def test_only_pages_of_ours_are_replaced(cv_run: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.html"
    mine.write_text("<html>my thesis</html>")
    with pytest.raises(PathError, match=r"mine.html: exists already and is no report of soundfold's. Choose another"):
        soundfold.report(cv_run, out=mine)
    assert mine.read_text() == "<html>my thesis</html>"
    first = soundfold.report(cv_run, out=tmp_path / "r.html", clips=1).read_text(encoding="utf-8")
    again = soundfold.report(cv_run, out=tmp_path / "r.html", clips=1).read_text(encoding="utf-8")
    assert first == again
    with pytest.raises(PathError, match="is a folder. Name a file with --out"):
        soundfold.report(cv_run, out=tmp_path)
    with pytest.raises(PathError, match="there is no such folder"):
        soundfold.report(cv_run, out=tmp_path / "no" / "r.html")


def test_what_is_no_run_is_refused(cv_run: Path, tmp_path: Path) -> None:
    with pytest.raises(PathError, match="nowhere: there is no such run. Check the path"):
        soundfold.report(tmp_path / "nowhere")
    with pytest.raises(PathError, match="is no run's folder. Name the folder that --out named"):
        soundfold.report(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(RunError, match="is not finished. Continue what made it with --resume"):
        soundfold.report(tmp_path)
    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(RunError, match="metrics.json: is damaged"):
        soundfold.report(tmp_path)
    with pytest.raises(PathError, match=r"recipe.yaml: is no run's folder, and no table of predictions"):
        soundfold.report(cv_run / "recipe.yaml")
    with pytest.raises(DataError, match="clips must be between 0 and 100, got 101"):
        soundfold.report(cv_run, clips=101)


def test_verb(cv_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "page.html"
    assert main(["report", str(cv_run), "--out", str(target), "--clips", "1"]) == 0
    told = capsys.readouterr()
    assert told.out == f"{target}\n"
    assert re.search(r"page.html: \d+ kB, 1 sound in it", told.err)
    assert main(["report", str(tmp_path / "nowhere")]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == f"soundfold: {tmp_path / 'nowhere'}: there is no such run. Check the path\n"
