"""What whoever asks is told of a model: all that the page needs to show its answers, and to join them into events."""

from typing import Any

from soundfold.runtime import ModelCard

__all__ = ["told_card"]

_TOLD = {"labels", "answer", "sample_rate", "channels", "downmix", "window", "scores", "silence_is_unknown"}


def told_card(card: ModelCard, name: str) -> dict[str, Any]:
    """Return what is told of a model that is called so."""
    judging: dict[str, Any] = {"thresholds": {}, "rejection": None}
    if card.calibration is not None:
        judging = card.calibration.model_dump(mode="json", include=set(judging))
    return {"name": name, **card.model_dump(mode="json", include=_TOLD), "window_s": card.window_s, **judging}
