"""The whole page: template, style, rules for the browser, contents, and the sections of every run."""

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from string import Template

from soundfold.evaluation.report import account, scores
from soundfold.evaluation.report.markup import Html, element, join, name, section
from soundfold.evaluation.report.material import ReportRun
from soundfold.evaluation.report.mistakes import mistakes
from soundfold.evaluation.report.overview import side_by_side
from soundfold.evaluation.report.trust import trust
from soundfold.evaluation.report.verdict import kind_of, overall_verdict, verdict

__all__ = ["is_ours", "render_page"]

_MARK = '<meta name="generator" content="soundfold report">'
_LOOKED_AT = 2_000
_SECTIONS = (
    ("scores", "Scores", scores.in_all),
    ("folds", "By fold", scores.by_fold),
    ("classes", "By class", scores.by_class),
    ("trust", "How far to trust the probabilities", trust),
    ("confusion", "Who is taken for whom", scores.confusions),
    ("curves", "Training", scores.training_curves),
    ("leaks", "What leaked", scores.leaks),
    ("mistakes", "Surest and wrong", mistakes),
    ("recipe", "Recipe", account.recipe),
    ("cost", "Cost", account.cost),
)


def render_page(runs: Sequence[ReportRun]) -> str:
    """Return a page about one run, or about several and how they compare: HTML that needs nothing beside it.

    The page holds no script, and its own rules forbid a browser to run one or to fetch anything from anywhere.

    Args:
        runs: at least one; their names differ.
    """
    style = _text("report.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    first = runs[0]
    title = first.name if len(runs) == 1 else f"{len(runs)} runs side by side"
    if len(runs) == 1:
        told, made = verdict(first.result), _made(first)
        contents, body = [(key, title) for key, title, _ in made], join(*_sections(made, "", 2))
    else:
        told = overall_verdict(runs)
        contents = [(f"run{number}", run.name) for number, run in enumerate(runs, 1)]
        body = join(side_by_side(runs), *(_run(run, number) for number, run in enumerate(runs, 1)))
    links = [element("li", element("a", name(text), href=f"#{id_}")) for id_, text in contents]
    head = element(
        "header",
        element("p", _above(runs), class_="above"),
        element("h1", name(title)),
        element("p", name(told), class_="verdict"),
        element("nav", element("ul", *links), aria_label="Contents"),
    )
    return Template(_text("page.html")).substitute(
        mark=_MARK,
        style=style,
        digest=digest,
        title=join("soundfold report: ", title),
        body=join(head, element("main", body), _foot(runs)),
    )


def is_ours(path: Path) -> bool:
    """Tell whether a file is a page that `render_page` made, which a new one may replace."""
    with path.open("rb") as file:
        return _MARK.encode() in file.read(_LOOKED_AT)


def _made(run: ReportRun) -> list[tuple[str, str, Html]]:
    """Return the sections that there is something to say in: their keys, titles and contents."""
    made = ((key, title, make(run)) for key, title, make in _SECTIONS)
    return [(key, title, content) for key, title, content in made if content is not None]


def _sections(made: Sequence[tuple[str, str, Html]], prefix: str, level: int) -> list[Html]:
    return [section(title, content, id_=f"{prefix}{key}", level=level) for key, title, content in made]


def _run(run: ReportRun, number: int) -> Html:
    """Return one run of several, under a heading of its own."""
    return element(
        "article",
        element("p", kind_of(run.result), class_="above"),
        element("h2", name(run.name), id=f"run{number}-title"),
        element("p", name(verdict(run.result)), class_="verdict"),
        *_sections(_made(run), f"run{number}-", 3),
        id=f"run{number}", aria_labelledby=f"run{number}-title",
    )  # fmt: skip


def _above(runs: Sequence[ReportRun]) -> Html:
    first = runs[0].result
    if len(runs) > 1:
        return join("soundfold report")
    parts = [kind_of(first), first.split.name, f"recipe {first.recipe.get('name', 'unknown')}"]
    return join("soundfold report: ", name(", ".join(parts)))


def _foot(runs: Sequence[ReportRun]) -> Html:
    rate = "Sounds are embedded as mono FLAC at 22 kHz, half the rate of a compact disc. " if any(
        clip.sound for run in runs for clip in run.clips
    ) else ""  # fmt: skip
    kept = any(run.predictions is not None for run in runs)
    told = "Every score can be computed again from the run's predictions.parquet. " if kept else ""
    return element("footer", element("p", f"{told}{rate}This page needs no network and runs no script."))


def _text(file: str) -> str:
    return (resources.files("soundfold.evaluation.report") / file).read_text(encoding="utf-8")
