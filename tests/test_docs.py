"""The docs tell the truth: links lead somewhere, every option and every setting is on its page."""

import re
import shutil
import tomllib
import typing
from pathlib import Path

import pytest
import soundfile

from conftest import RATE, SMALL, tone
from soundfold.cli import data, main
from soundfold.cli.verbs import app
from soundfold.recipe import Recipe, load_recipe, recipe_keys

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
VERBS = {
    "demo": ["demo"], "train": ["train"], "cv": ["cv"], "evaluate": ["evaluate"], "predict": ["predict"],
    "serve": ["serve"], "listen": ["listen"], "bulk": ["bulk"], "tune": ["tune"], "ladder": ["ladder"],
    "compare": ["compare"], "report": ["report"], "export": ["export"], "model-file": ["model"],
    "data": ["data synth", "data get", "data check", "data show", "data cache"],
}  # fmt: skip


def anchors(page: Path) -> set[str]:
    """Return the names that a page's headings can be linked by, as code hosts make them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith("https://"):
            continue
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("name", list(VERBS))
def test_every_option_is_on_its_page(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    page = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    options = set()
    for verb in VERBS[name]:
        assert main([*verb.split(), "--help"]) == 0
        options |= set(re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", capsys.readouterr().out, re.MULTILINE)) - {"--help"}
    assert options, "the help was not understood"
    assert {option for option in options if option not in page} == set()


def test_every_verb_has_a_page() -> None:
    def names(of: typing.Any) -> set[str]:
        return {entry.name or entry.callback.__name__ for entry in of.registered_commands}

    assert {verb for verbs in VERBS.values() for verb in verbs} == names(app) | {
        f"data {one}" for one in names(data.app)
    }
    assert [group.name or group.typer_instance.info.name for group in app.registered_groups] == ["data"]


def test_the_readmes_lines_of_python_run(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    small = load_recipe("tutorial", [*SMALL, "sound.length_s=1.0", "training.epochs=1"]).as_dict()
    monkeypatch.setattr("soundfold.recipe.files._read_preset", lambda _: small)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(small_data, tmp_path / "SOUNDS", ignore=shutil.ignore_patterns("fold3"))
    soundfile.write(tmp_path / "evening.m4a", tone(300, 3.0, 0), RATE, format="WAV")
    exec(block, {})
    lines = capsys.readouterr().out.splitlines()
    scores, answer, events = lines[:2], lines[2], [line.split() for line in lines[3:]]
    assert 0 <= float(scores[0].split()[0]) <= 1
    assert answer.split()[0] in ("low", "high")
    # of two classes one is always heard: the events stand side by side, from the beginning to the end
    borders = [float(border) for event in events for border in event[:2]]
    assert (borders[0], borders[-1]) == (0.0, 3.0)
    assert borders[1:-1:2] == borders[2::2]


def test_every_dependency_is_pinned_and_by_nothing_but_its_version() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [line for line in pins if not re.fullmatch(r"[\w.-]+==[0-9][\w.!]*", line, re.ASCII)] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    names = {plain(re.split(r"[\[<>=!~; ]", entry)[0]) for entry in wanted} - {"soundfold"}
    assert names - {plain(line.partition("==")[0]) for line in pins} == set()
    assert len(pins) == len({plain(line.partition("==")[0]) for line in pins})


def plain(name: str) -> str:
    """Return a package's name as all its spellings have it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_setting_stands_in_the_table_as_it_is() -> None:
    page = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    for key, meaning in recipe_keys().items():
        model, value = typing.cast("typing.Any", Recipe), typing.cast("typing.Any", Recipe())
        for part in key.split("."):
            field, value = model.model_fields[part], getattr(value, part)
            model = field.annotation
        default = (
            f"{value:g}" if isinstance(value, float) else {"None": "null", "False": "false"}.get(f"{value}", value)
        )
        assert f"| `{key}` | `{default}` | {in_words(field)} | {meaning} |" in page


def in_words(field: typing.Any) -> str:
    """Return a setting's range as the table tells it."""
    choices = typing.get_args(field.annotation)
    if field.annotation is bool:
        return "`false`, `true`"
    if typing.get_origin(field.annotation) is typing.Literal:
        return ", ".join(f"`{choice}`" for choice in choices)
    words, lengths = [], {}
    for rule in field.metadata:
        words += [f"`{choice}`" for choice in getattr(rule, "choices", ())]
        for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
            if (bound := getattr(rule, name, None)) is not None:
                words.append(f"{sign} {'2⁶³' if bound == 2**63 else f'{bound:,}'}")
        lengths |= {name: getattr(rule, name) for name in ("min_length", "max_length") if getattr(rule, name, None)}
    if lengths:
        words.append(f"{lengths['min_length']} to {lengths['max_length']} characters")
    if str in choices:
        words.append("text")
    if type(None) in choices:
        words.append("or `null`")
    return ", ".join(words)
