"""The pretrained weights that a recipe starts from: found on this computer, or fetched once."""

from pathlib import Path

from soundfold.data.fetch.download import download
from soundfold.data.store import cache_folder
from soundfold.jobs.reporting import Reporter
from soundfold.models import find_weights
from soundfold.recipe import Recipe

__all__ = ["pretrained_weights"]


def pretrained_weights(recipe: Recipe, cache: str | Path | None, reporter: Reporter) -> Path | None:
    """Return the file of weights that a recipe needs, or None if it needs none.

    Raises:
        PathError: what the recipe names is not there.
        DownloadError, ModelFileError: the file cannot be fetched, or is not what it should be.
    """
    if recipe.features.kind != "embedding":
        return None
    name = recipe.features.network

    def fetch(url: str, target: Path, digest: str | None) -> object:
        reporter.note(f"fetching the weights of {name} from {url}")
        return download(
            url, target, digest=digest,
            on_progress=lambda phase, done, total: reporter.progress(f"{phase} weights of {name}", done, total),
        )  # fmt: skip

    return find_weights(name, cache_folder(cache), source=recipe.features.weights, fetch=fetch)
