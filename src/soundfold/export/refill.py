"""The model file of a network of our own: the graph is exported once and filled with other weights.

The exporter takes seconds for it, and what differs from fold to fold and from seed to seed is numbers alone. Batch
normalisation is folded into the convolutions before the export, so that every number left in the graph is one of the
network's own, by its own name.
"""

import copy
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from soundfold.export.kept_graphs import keep, kept_graph
from soundfold.recipe import Recipe

__all__ = ["fold_batch_norm", "refilled"]


def refilled(
    module: nn.Module, recipe: Recipe, n_labels: int, kept: Path | None, opset: int,
    export: Callable[[nn.Module], onnx.ModelProto], *, several: bool = False,
) -> onnx.ModelProto:  # fmt: skip
    """Return the graph of a module, from a kept one of the same architecture where there is any.

    Args:
        module: what is exported, in evaluation mode, with its front end portable; it is left as it is.
        recipe: decides the architecture, with the number of labels.
        n_labels: number of classes.
        kept: a folder that belongs to the recipe's features; None to keep nothing.
        opset: version of the operators.
        export: does it anew.
        several: the module ends in a sigmoid, which is another graph.
    """
    folded = fold_batch_norm(copy.deepcopy(module).eval())
    if kept is None:
        return export(folded)
    unasked = _unasked(folded)
    values = {name: _plain(value) for name, value in folded.state_dict().items() if name not in unasked}
    told = [recipe.model.model_dump(exclude={"weights"}), recipe.features.model_dump(exclude={"weights"}), n_labels]
    shape = json.dumps([*told, *(["several"] if several else [])], sort_keys=True)
    digest = hashlib.blake2b(shape.encode(), digest_size=8).hexdigest()
    path = kept / f"after-front-end-{digest}-{torch.__version__}-{onnx.__version__}-{opset}.onnx"
    graph = kept_graph(path)
    if graph is not None and _fill(graph, values):
        return graph
    graph = export(_without_likeness(copy.deepcopy(folded)))
    if not _fill(graph, values):
        return export(folded)
    keep(graph, path)
    return graph


def fold_batch_norm(module: nn.Module) -> nn.Module:
    """Return a module after folding batch normalisation into the convolution just before it in a `Sequential`.

    The module is changed in place, is for evaluation from then on, and answers as before within rounding.
    """
    for child in module.modules():
        if not isinstance(child, nn.Sequential):
            continue
        for at in range(len(child) - 1):
            convolution, norm = child[at], child[at + 1]
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                child[at] = nn.utils.fuse_conv_bn_eval(convolution, norm)
                child[at + 1] = nn.Identity()
    return module


def _unasked(module: nn.Module) -> set[str]:
    """Return the names of values that no answer depends on, so that no graph has a place for them."""
    means = (f"{name}.mean" for name, child in module.named_modules() if getattr(child, "by_clip", False))
    return {name for name in module.state_dict() if name.endswith(".num_batches_tracked")}.union(means)


def _fill(graph: onnx.ModelProto, values: Mapping[str, np.ndarray]) -> bool:
    """Put values in a graph's place of the same name; tell whether every value that can matter has found one."""
    places = {entry.name: entry for entry in graph.graph.initializer}
    for name, value in values.items():
        if name not in places:
            if _neutral(name, value):
                continue
            return False
        if tuple(places[name].dims) != value.shape:
            return False
        places[name].CopyFrom(numpy_helper.from_array(value, name))
    return True


def _without_likeness(module: nn.Module) -> nn.Module:
    """Give a module numbers by chance, and return it: the exporter would make one of any two tensors that are alike."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if value.is_floating_point() and not _neutral(name, _plain(value)):
                value.copy_(torch.randn(value.shape, generator=generator))
    return module


def _neutral(name: str, value: np.ndarray) -> bool:
    """Tell whether a value is that of features taken as they are, which the exporter leaves out."""
    return name.rpartition(".")[0].endswith("standardise") and value.shape == () and float(value) in (0.0, 1.0)


def _plain(value: Tensor) -> np.ndarray:
    return value.detach().cpu().numpy()
