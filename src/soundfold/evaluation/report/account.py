"""The account of a run: the recipe, changed settings first, and what it took and left."""

from collections.abc import Mapping
from typing import Any

from soundfold.evaluation.measured import Result
from soundfold.evaluation.report.markup import Child, Html, element, facts, join, name, table
from soundfold.evaluation.report.material import ReportRun
from soundfold.evaluation.results import EvaluateResult
from soundfold.recipe import Recipe, recipe_keys
from soundfold.wording import counted, format_size

__all__ = ["changed_settings", "cost", "recipe", "setting"]

_MOST_LEFT_OUT = 50


def recipe(run: ReportRun) -> Html:
    """Return every setting, those that differ from the defaults first."""
    values = run.result.recipe
    usual, meanings = _flat(Recipe.model_validate({}).as_dict()), recipe_keys()
    flat = _flat(values)
    changed = changed_settings(values)
    rows: list[tuple[Child, ...]] = [
        (element("code", key), name(setting(flat[key])), name(setting(usual.get(key))), meanings.get(key, ""))
        for key in changed
    ]
    if not flat:
        return element("p", "The recipe is not known.")
    parts = [element("p", "Recipe ", name(values.get("name", ""), class_="strong"), ".")]
    if rows:
        columns = ("changed setting", "value", "default", "meaning")
        parts.append(
            table(columns, rows, caption="Settings that differ from the defaults", class_="settings meanings", texts=4)
        )
    else:
        told = "Every setting is the default." if flat.keys() - {"name"} else "It has no settings."
        parts.append(element("p", told))
    same = [
        (element("code", key), name(setting(value)), meanings.get(key, ""))
        for key, value in flat.items()
        if key not in changed and key != "name"
    ]
    heads = ("setting", "value", "meaning")
    rest = table(heads, same, caption="Settings left at their defaults", class_="settings meanings", texts=3)
    parts.append(element("details", element("summary", f"{counted(len(same), 'setting')} as by default"), rest))
    return join(*parts)


def changed_settings(values: Mapping[str, Any]) -> list[str]:
    """Return the full names of the settings that are not the default's, in the recipe's order."""
    usual = _flat(Recipe.model_validate({}).as_dict())
    return [key for key, value in _flat(values).items() if key != "name" and (key not in usual or usual[key] != value)]


def cost(run: ReportRun) -> Html:
    """Return what the run took: time, files, machine, versions; and what was left out."""
    result = run.result
    what = "listened to" if isinstance(result, EvaluateResult) else "trained on"
    rate = result.clips_per_second
    told = facts(
        (
            ("split", name(result.split.name)),
            ("clips trained on", f"{result.split.n_train:,}" if result.split.n_train else None),
            ("whole work", _duration(result.seconds)),
            ("decoding and features", _duration(result.store_s)),
            ("training", _duration(result.train_s)),
            (f"clips {what} in a second", f"{rate:,.0f}" if rate else None),
            *((file, format_size(size)) for file, size in run.files),
            ("hardware", name(result.hardware) if result.hardware else None),
            ("versions", ", ".join(f"{package} {version}" for package, version in result.versions.items())),
            ("run", name(run.path)),
        )
    )
    return join(told, _left_out(result))


def setting(value: object) -> str:
    """Return a setting's value as a recipe file would have it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _left_out(result: Result) -> Html | None:
    if not result.left_out:
        return None
    lines = [element("li", name(clip.path), ": ", name(clip.reason)) for clip in result.left_out[:_MOST_LEFT_OUT]]
    if len(result.left_out) > _MOST_LEFT_OUT:
        lines.append(element("li", f"and {len(result.left_out) - _MOST_LEFT_OUT:,} more, in metrics.json"))
    title = f"{counted(len(result.left_out), 'clip')} could not be used"
    return element("details", element("summary", title), element("ul", *lines, class_="notes"))


def _duration(seconds: float | None) -> str | None:
    if not seconds:
        return None
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
