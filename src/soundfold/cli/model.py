"""The verb `soundfold model`: what a model file holds."""

import json
from typing import Any

from soundfold.cli.options import Json, ModelPath
from soundfold.cli.printing import print_json
from soundfold.wording import counted, on_one_line

__all__ = ["model"]


def model(path: ModelPath, json_: Json = False) -> None:
    """Say what a model file holds.

    Labels, rate, window, recipe, scores and on which split, precision, size and hash. Needs no PyTorch.
    """
    from soundfold.runtime.description import describe_model

    told = describe_model(path)
    if json_:
        print_json(json.dumps(told, indent=2, ensure_ascii=False))
        return
    for name, text in _lines(told):
        print(f"{name + ':':<12}{on_one_line(text)}")


def _lines(told: dict[str, Any]) -> list[tuple[str, str]]:
    labels, split = told["labels"], told["split"]
    shown = ", ".join(labels[:20]) + (f" and {len(labels) - 20} more" if len(labels) > 20 else "")
    headline = "mean_average_precision" if told["answer"] == "several" else "accuracy"
    score = "none: nothing was held out"
    if told["scores"].get(headline) is not None:
        ends = told["scores"].get(f"{headline}_ci95")
        interval = f" (95 % interval {100 * ends[0]:.1f} to {100 * ends[1]:.1f})" if ends else ""
        on = f" on {split['name']}" if split.get("name") else ""
        score = f"{headline.replace('_', ' ')} {100 * told['scores'][headline]:.1f} %{interval}{on}"
        if told["precision"] != "float32":
            score += ", in float32; soundfold evaluate tells what this file reaches"
    lines = [
        ("file", told["path"]),
        ("labels", f"{len(labels)}, {told['answer']} a sound: {shown}"),
        (
            "input",
            f"{told['sample_rate']:,} Hz, {counted(told['channels'], 'channel')}, windows of {told['window_s']:g} s",
        ),
        ("recipe", str(told["recipe"].get("name", "not told"))),
        ("trained on", told["data"] or "not told"),
        ("scores", score),
        ("calibrated", _calibrated(told.get("calibration"))),
        ("unknown", _unknown(told)),
        ("precision", f"{told['precision']}, {told['parameters']:,} parameters"),
        ("format", f"version {told['format_version']}, written by soundfold {told['soundfold_version']}"),
        ("seal", "whole" if told["is_sealed"] else "none: written by an earlier version, or by another program"),
        ("size", f"{told['bytes'] / 1e6:.2f} MB"),
        ("sha256", told["sha256"]),
    ]
    if split.get("leaks"):
        lines.insert(6, ("leak", split["leaks"]))
    return lines


def _calibrated(calibration: dict[str, Any] | None) -> str:
    """Return how a model was calibrated, in words."""
    if calibration is None:
        return "no"
    told = [f"temperature {calibration['temperature']:.2f}, fitted on {calibration['fitted_on'] or 'what is not told'}"]
    if calibration["precision"] is not None:
        told.append(f"thresholds for a precision of {100 * calibration['precision']:g} %")
    if never := [label for label, threshold in calibration["thresholds"].items() if threshold > 1]:
        told.append(f"never told: {', '.join(never)}")
    alarms = (calibration["rejection"] or {}).get("false_alarms_per_hour")
    if alarms is not None:
        told.append(f"{alarms:.0f} false alarms an hour of background")
    return "; ".join(told)


def _unknown(told: dict[str, Any]) -> str:
    """Return what a model calls unknown, in words."""
    calibration = told.get("calibration") or {}
    kinds = {
        "what is unlike its classes": calibration.get("rejection"),
        "what is not likely enough": calibration.get("thresholds") and told["answer"] == "one",
        "silence": told["silence_is_unknown"],
    }
    return ", ".join(kind for kind, is_so in kinds.items() if is_so) or "nothing"
