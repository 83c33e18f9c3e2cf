"""The pretrained weights that a recipe starts from: found on this computer, or fetched once."""

from pathlib import Path

from soundfold.data.fetch.download import download
from soundfold.data.store import cache_folder
from soundfold.jobs.reporting import Reporter
from soundfold.models import build_classifier, find_weights
from soundfold.models.encoder_files import ENCODER_PREFIX, WEIGHTS_FILE, find_encoder
from soundfold.models.timm_backbone import TIMM_PREFIX, find_backbone_weights
from soundfold.models.transformers_encoder import check_encoder
from soundfold.recipe import Recipe, published_network

__all__ = ["pretrained_weights"]


def pretrained_weights(recipe: Recipe, cache: str | Path | None, reporter: Reporter) -> Path | None:
    """Return the file of weights that a recipe needs, or None if it needs none.

    A network of another library that cannot serve is refused here, before any work begins.

    Raises:
        MissingExtraError: the library is missing.
        RecipeError: the library has no such network, or it does not go with the recipe.
        PathError: what the recipe names is not there.
        DownloadError, ModelFileError: the file cannot be fetched, or is not what it should be.
    """
    if recipe.features.kind == "embedding" and recipe.features.network.startswith(ENCODER_PREFIX):
        folder = find_encoder(recipe.features.network, reporter.note)
        check_encoder(recipe, folder)
        return folder / WEIGHTS_FILE
    if recipe.model.name.startswith(TIMM_PREFIX):
        build_classifier(recipe, 2, 0)
        return None if recipe.model.start == "random" else find_backbone_weights(recipe, reporter.note)
    taken = published_network(recipe)
    if taken is None:
        return None
    section, name = taken

    def fetch(url: str, target: Path, digest: str | None) -> object:
        reporter.note(f"fetching the weights of {name} from {url}")
        return download(
            url, target, digest=digest,
            on_progress=lambda phase, done, total: reporter.progress(f"{phase} weights of {name}", done, total),
        )  # fmt: skip

    return find_weights(name, cache_folder(cache), source=getattr(recipe, section).weights, fetch=fetch)
