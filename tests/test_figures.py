"""Figures: any number of classes and any labels are drawn without a warning, and nothing global is touched."""

import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from matplotlib.text import Text

from soundfold.errors import DataError, PathError
from soundfold.evaluation import draw_confusion, draw_curves, save_png, score_title
from soundfold.evaluation.lettering import drawable, font_families

ODD = ["собака", "狗が吠える", "dog 🐕", "a$b$ \\frac", "naïve\ncafé", "x" * 80, "ไทย", "كلب", " ", "\x00"]


def counts(rows: int, columns: int | None = None) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 50, (rows, columns or rows))


def texts(figure: object) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


@pytest.mark.parametrize(("classes", "dpi"), [(1, 60), (2, 60), (10, 60), (20, 60), (21, 40), (50, 40), (130, 30)])
def test_confusion_of_any_size(tmp_path: Path, classes: int, dpi: int) -> None:
    labels = [(ODD * 13)[k] for k in range(classes)]
    title = score_title(0.7143, (0.682, 0.7451), 888, 120)
    figure = draw_confusion(counts(classes), labels, title=title)
    save_png(tmp_path / "c.png", figure, dpi=dpi)
    picture = imread(tmp_path / "c.png")
    assert (picture[0, :, :3] == 1).all(), "the background is white"
    assert min(picture.shape[:2]) > 3 * dpi
    assert title in texts(figure)


@pytest.mark.parametrize(("classes", "written"), [(20, True), (21, False)])
def test_counts_are_written_up_to_twenty_classes(classes: int, written: bool) -> None:
    matrix = np.full((classes, classes), 987)
    assert ("987" in texts(draw_confusion(matrix, [f"c{k}" for k in range(classes)]))) == written


def test_rows_are_shaded_by_their_share() -> None:
    figure = draw_confusion([[1, 3], [0, 0], [5, 5]], ["a", "b"], unknown_labels=["z"])
    shades = figure.axes[0].images[0].get_array()
    assert np.allclose(shades, [[0.25, 0.75], [0, 0], [0.5, 0.5]])
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["a", "b", "z"]
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["a", "b"]


def test_curves(tmp_path: Path) -> None:
    log = pd.DataFrame(
        {"epoch": [1, 2, 3], "train_loss": [2.0, 1, 0.5], "train_accuracy": [0.2, np.nan, 0.6], "lr": 0.1}
    )
    figure = draw_curves(log, title="run")
    lines = [axes.lines for axes in figure.axes]
    assert [len(each) for each in lines] == [1, 1]
    assert lines[0][0].get_ydata().tolist() == [2, 1, 0.5]
    assert lines[1][0].get_ydata()[2] == pytest.approx(60)
    save_png(tmp_path / "l.png", figure, dpi=50)


def test_curves_of_folds_and_of_one_epoch(tmp_path: Path) -> None:
    log = pd.DataFrame({"fold": ["1", "1", "2"], "Loss/train": [2.0, 1, 0.5]})
    (axes,) = draw_curves(log).axes
    assert [line.get_xdata().tolist() for line in axes.lines] == [[1, 2], [1]]
    save_png(tmp_path / "l.png", draw_curves(pd.DataFrame({"epoch": [1], "acc": [0.5]})), dpi=50)


def test_titles() -> None:
    assert score_title(0.5, None, 3).split("\n") == ["Accuracy 50.0 %", "no interval, 3 clips"]
    assert score_title(1, None, 1, 1).split("\n")[1] == "no interval, 1 clip of 1 recording"


def test_the_same_figure_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        save_png(tmp_path / name, draw_confusion(counts(3), list("abc")), dpi=50)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_settings_of_matplotlib_stay(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    save_png(tmp_path / "a.png", draw_confusion(counts(2), list("ab")), dpi=50)
    assert dict(mpl.rcParams) == before


def test_neither_pyplot_nor_torch_is_imported_and_matplotlib_only_to_draw(tmp_path: Path) -> None:
    program = f"""
import sys
import soundfold.evaluation as e
assert not {{"matplotlib", "sklearn", "torch"}} & set(sys.modules), "importing the room imports too much"
e.save_png({str(tmp_path / "a.png")!r}, e.draw_confusion([[1]], ["a"]), dpi=50)
assert not {{"matplotlib.pyplot", "torch"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("label", ODD)
def test_every_sign_that_is_left_can_be_drawn(label: str) -> None:
    drawn = drawable(label, 7)
    assert len(drawn) <= 24
    assert drawable(drawn, 7) == drawn
    assert font_families(drawn)[0] == "DejaVu Sans"


def test_labels_are_told_apart_when_letters_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soundfold.evaluation.lettering._installed", lambda: ("DejaVu Sans",))
    assert drawable("狗", 3) == "#3 □"
    assert drawable("狗 dog", 4) == "#4 □ dog"
    assert drawable("狗", 0) == "□"
    assert drawable("собака", 3) == "собака"
    assert drawable("e\u0301vier", 1) == "évier"


def test_long_labels_are_shortened() -> None:
    assert drawable("abcdefgh", 1, width=5) == "abcd…"
    assert drawable("abcde", 1, width=5) == "abcde"
    assert drawable("abc  \n def", 1) == "abc def"


def test_wrong_input(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"confusion must have a row and a column for each label, in all \(3, 3\), got \(2, 2\)"
    ):
        draw_confusion(counts(2), list("abc"))
    with pytest.raises(DataError, match=r"'loss' or 'acc', got 1 row of epoch, lr"):
        draw_curves(pd.DataFrame({"epoch": [1], "lr": [0.1]}))
    with pytest.raises(PathError, match=r"cannot be written: No such file"):
        save_png(tmp_path / "gone" / "a.png", draw_confusion([[1]], ["a"]))
