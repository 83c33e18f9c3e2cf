"""Image networks of the library timm on pictures of sound: any by its name, with as many input channels as there are.

Everything else is as timm has it. The library needs a torchvision that fits torch, and is imported where a network is
built and not before.

References:
    Wightman, "PyTorch Image Models", github.com/huggingface/pytorch-image-models.
"""

import importlib
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from soundfold.errors import ModelFileError, PathError, RecipeError, did_you_mean, needs_extra
from soundfold.models.batch_statistics import hold_statistics
from soundfold.models.hub import fetch_from_hub
from soundfold.models.torchvision_fit import check_torchvision
from soundfold.quiet import quiet_loggers
from soundfold.recipe import Recipe

__all__ = ["TIMM_PREFIX", "TimmBackbone", "build_backbone", "find_backbone_weights", "import_timm"]

TIMM_PREFIX = "timm/"
_WEIGHTS_FILE = "model.safetensors"


class TimmBackbone(nn.Module):
    """Pictures of sound (batch, channels, bands, frames) → logits (batch, n_labels).

    Attributes:
        frozen_statistics: batch normalisation uses its kept statistics in training too, and leaves them as they are.
        changes_in_place: many of timm's layers write into what they are given.

    Args:
        network: of timm, with its head.
        frozen_statistics: as the attribute.
    """

    changes_in_place = True

    def __init__(self, network: nn.Module, *, frozen_statistics: bool = False) -> None:
        super().__init__()
        self.network = network
        self.frozen_statistics = frozen_statistics

    def forward(self, pictures: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.network(pictures)
        return logits

    def stages(self) -> list[nn.Module]:
        """Return all that learns, from the picture to the answer, in timm's own coarse groups; the head is the last."""
        group_modules = importlib.import_module("timm.models").group_modules
        matcher: Any = getattr(self.network, "group_matcher", None)
        if matcher is None:
            return [child for child in self.network.children() if list(child.parameters())]
        groups: dict[int, list[nn.Module]] = defaultdict(list)
        for name, group in group_modules(self.network, matcher(coarse=True), reverse=True).items():
            groups[group].append(self.network.get_submodule(name))
        return [nn.ModuleList(groups[group]) for group in sorted(groups)]

    def train(self, mode: bool = True) -> Self:
        """Switch to training or evaluation; with `frozen_statistics` batch normalisation stays in evaluation."""
        super().train(mode)
        if self.frozen_statistics:
            hold_statistics(self)
        return self


def import_timm() -> Any:
    """Return the library timm.

    Raises:
        MissingExtraError: it is missing, or torchvision, which it needs, does not fit torch.
    """
    what = f"A network {TIMM_PREFIX}NAME"
    with needs_extra("zoo", what):
        try:
            check_torchvision(what)
        except ModuleNotFoundError as error:
            if error.name == "torchvision":
                error.name = "timm"  # brings it; one name is enough to be told
            raise
        return importlib.import_module("timm")


def build_backbone(
    recipe: Recipe, shape: tuple[int, int, int], n_labels: int, weights: Path | None = None
) -> nn.Module:
    """Return the network that a recipe names.

    Args:
        recipe: which network, and what it begins as.
        shape: (channels, bands, frames) of the pictures.
        n_labels: number of classes.
        weights: file of published weights; None for random ones, also where a state dict is loaded later.

    Raises:
        RecipeError: timm knows no such network, or it cannot take such pictures.
        ModelFileError: the file holds something else than this network's weights.
        MissingExtraError: timm or its torchvision cannot be imported.
    """
    timm = import_timm()
    name = recipe.model.name.removeprefix(TIMM_PREFIX)
    if not timm.is_model(name):
        plain = name.partition(".")[0]
        near = did_you_mean(plain, timm.list_models())
        hint = near if near.startswith(" Did") else f" timm.list_models() has all {len(timm.list_models()):,} names"
        raise RecipeError(f"model.name must be a network that timm {timm.__version__} knows, got {name}.{hint}")
    given = {"in_chans": shape[0]} if weights is not None else {"in_chans": shape[0], "num_classes": n_labels}
    try:
        with quiet_loggers("timm"):  # it remarks on what it loads
            network = _fitting(timm, name, shape, given, weights)
    except (OSError, KeyError, ValueError) as error:
        raise ModelFileError(f"{weights}: does not fit timm's {name} ({_first_line(error)})") from error
    if weights is not None:
        network.reset_classifier(n_labels)
    kept = recipe.model.start == "pretrained" and recipe.model.batch_statistics == "kept"
    return TimmBackbone(network, frozen_statistics=kept)


def find_backbone_weights(recipe: Recipe, note: Callable[[str], None]) -> Path:
    """Return the file of a network's published weights, fetching it from huggingface.co if need be.

    Args:
        recipe: which network; `model.weights` may name the file, or its folder.
        note: hears that something is being fetched.

    Raises:
        PathError: what the recipe names is not there.
        RecipeError: nobody has published weights of this network.
        DownloadError: the file is not here and cannot be fetched.
    """
    timm = import_timm()
    name = recipe.model.name.removeprefix(TIMM_PREFIX)
    if recipe.model.weights is not None:
        source = Path(recipe.model.weights).expanduser()
        file = source / _WEIGHTS_FILE if source.is_dir() else source
        if not file.is_file() or file.suffix != ".safetensors":
            raise PathError(
                f"{source}: model.weights must be a .safetensors file of {name}, or a folder with {_WEIGHTS_FILE} in it"
            )
        return file
    published = timm.get_pretrained_cfg(name)
    if published is None or not published.hf_hub_id:
        raise RecipeError(
            f"model.start must be random with model.name = {recipe.model.name}, of which timm knows no weights, got "
            f"{recipe.model.start}. Leave it out, or name a file with model.weights"
        )
    mend = f"Bring {_WEIGHTS_FILE} from another computer and name it with model.weights"
    return fetch_from_hub(published.hf_hub_id, [_WEIGHTS_FILE], _WEIGHTS_FILE, note, mend) / _WEIGHTS_FILE


def _fitting(timm: Any, name: str, shape: tuple[int, int, int], given: dict[str, Any], weights: Path | None) -> Any:
    """Return the network, made for pictures of this size if it must be told: the attention of some has a fixed grid."""
    if weights is not None:
        given = given | {"pretrained": True, "pretrained_cfg_overlay": {"file": str(weights)}}
    refusals = []
    for size in ({}, {"img_size": shape[1:]}):
        # a random one is tried first: what cannot take the picture needs no weights
        trial_given = {key: value for key, value in given.items() if not key.startswith("pretrained")}
        try:
            trial = timm.create_model(name, **trial_given, **size).eval()
            with torch.inference_mode():
                trial(torch.zeros(1, *shape))
        except (RuntimeError, AssertionError, TypeError, ValueError) as error:
            refusals.append(_first_line(error))
            continue
        if weights is None:
            return trial.train()
        try:
            return timm.create_model(name, **given, **size)
        except RuntimeError as error:
            raise ValueError(_first_line(error)) from error
    raise RecipeError(
        f"model.name = {TIMM_PREFIX}{name} must take pictures of {shape[1]} × {shape[2]}, and does not "
        f"({refusals[0]}). Choose another network, or more of features.n_mels"
    )


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__
