"""A pretrained network as it was published, as a model file: AudioSet's 527 labels without any training."""

import os
from pathlib import Path

from soundfold import __version__
from soundfold.data.store import cache_folder
from soundfold.errors import PathError, RecipeError, SoundfoldError, did_you_mean
from soundfold.export import export_model
from soundfold.jobs.pretrained import pretrained_weights
from soundfold.jobs.reporting import Reporter, Silent
from soundfold.models import EfficientAT, build_classifier
from soundfold.models.audioset_labels import AUDIOSET_LABELS
from soundfold.models.efficientat import EFFICIENTAT_WIDTHS, load_state
from soundfold.models.encoder_files import weights_digest
from soundfold.models.pretrained import PUBLISHED, WEIGHTS_VARIABLE, read_weights
from soundfold.recipe import load_recipe, name_weights
from soundfold.runtime import ModelCard, least_format, load

__all__ = ["pretrained_model"]


def pretrained_model(
    name: str,
    *,
    weights: str | Path | None = None,
    cache: str | Path | None = None,
    reporter: Reporter | None = None,
) -> Path:
    """Return the model file of a network trained on AudioSet, made once and kept; each label is a yes or a no.

    Of weights that somebody names, which may be others than the published ones, each file has a model file of its own.

    Args:
        name: mn04, mn05, mn10 or mn20.
        weights: their file or folder; None for SOUNDFOLD_WEIGHTS, the cache or the net.
        cache: folder of kept results; None for SOUNDFOLD_CACHE or the user's cache.
        reporter: hears when weights are fetched.

    Raises:
        RecipeError: there is no such network.
        PathError, DownloadError, ModelFileError: its weights are missing, cannot be fetched or are others.
    """
    if name not in EFFICIENTAT_WIDTHS:
        known, own = (
            ", ".join(EFFICIENTAT_WIDTHS),
            " A model file of yours goes before the sounds: soundfold predict MODEL PATH",
        )
        mend = own if Path(name).exists() else did_you_mean(name, EFFICIENTAT_WIDTHS, own)
        raise RecipeError(f"model must be one of {known}, got '{name}'.{mend}")
    folder = cache_folder(cache) / "models"
    reporter = reporter or Silent()
    recipe = load_recipe(
        "finetune", [f"name={name}", f"model.name={name}", "model.start=pretrained", "model.kept_blocks=0"]
    )
    if weights is not None:
        recipe = name_weights(recipe, weights)
    named = weights is not None or os.environ.get(WEIGHTS_VARIABLE)
    found = pretrained_weights(recipe, cache, reporter) if named else None
    which = "" if found is None else f"-{weights_digest(found)[:12]}"
    path = folder / f"{PUBLISHED[name].file}{which}-{__version__}.onnx"
    if _opens(path):
        return path
    found = found or pretrained_weights(recipe, cache, reporter)
    assert found is not None
    classifier = build_classifier(recipe, len(AUDIOSET_LABELS), seed=0).eval()
    assert isinstance(classifier.network, EfficientAT)
    load_state(classifier.network, read_weights(found), str(found))
    card = ModelCard(
        format_version=least_format(None),
        soundfold_version=__version__,
        labels=AUDIOSET_LABELS,
        answer="several",
        sample_rate=recipe.sound.sample_rate,
        channels=recipe.sound.channels,
        downmix=recipe.sound.downmix,
        window=recipe.sound.window,
        recipe={"name": name},
        training_recordings="",
        data="AudioSet, by the authors of EfficientAT (weights: MIT licence)",
    )
    reporter.note(f"making a model file of {name}, once")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PathError(f"{folder}: cannot be made ({error.strerror}). Name another folder with --cache") from None
    export_model(classifier, recipe, card, path)
    return path


def _opens(path: Path) -> bool:
    try:
        load(path)
    except SoundfoldError:
        return False
    return True
