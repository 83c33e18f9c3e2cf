"""The docs tell the truth: links lead somewhere, every option and every setting is on its page."""

import re
import typing
from pathlib import Path

import pytest

from soundfold.cli import main
from soundfold.recipe import Recipe, recipe_keys

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
VERBS = {
    "demo": ["demo"], "train": ["train"], "cv": ["cv"], "evaluate": ["evaluate"], "predict": ["predict"],
    "serve": ["serve"], "data": ["data synth", "data get", "data check", "data show"],
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
        options |= set(re.findall(r"^│\s+\*?\s*(--[a-z-]+)", capsys.readouterr().out, re.MULTILINE)) - {"--help"}
    assert options, "the help was not understood"
    assert {option for option in options if option not in page} == set()


def test_every_setting_stands_in_the_table_as_it_is() -> None:
    page = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    for key, meaning in recipe_keys().items():
        model, value = typing.cast("typing.Any", Recipe), typing.cast("typing.Any", Recipe())
        for part in key.split("."):
            field, value = model.model_fields[part], getattr(value, part)
            model = field.annotation
        default = "null" if value is None else f"{value:g}" if isinstance(value, float) else value
        assert f"| `{key}` | `{default}` | {in_words(field)} | {meaning} |" in page


def in_words(field: typing.Any) -> str:
    """Return a setting's range as the table tells it."""
    choices = typing.get_args(field.annotation)
    if typing.get_origin(field.annotation) is typing.Literal:
        return ", ".join(f"`{choice}`" for choice in choices)
    words, lengths = [], {}
    for rule in field.metadata:
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
