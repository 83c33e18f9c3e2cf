"""A network's stages, from the sound to the answer: what is frozen, and what learns at which rate, is said in them."""

from types import MethodType

from torch import nn

from soundfold.errors import RecipeError

__all__ = ["freeze_stages", "stages_of"]


def stages_of(network: nn.Module) -> list[nn.Module]:
    """Return what a network consists of, input first and head last.

    A network that has a method `stages()` knows best. In any other, the direct children are taken in their order, those
    of a `Sequential` in its place; a new stage begins with each that has a weight of more than one dimension, and what
    has none (normalisation, activation, pooling) belongs to the stage before it.

    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2))
    >>> [[type(module).__name__ for module in stage] for stage in stages_of(network)]
    [['Conv2d', 'BatchNorm2d', 'ReLU', 'Flatten'], ['Linear']]
    """
    own = getattr(network, "stages", None)
    if isinstance(own, MethodType):
        return list(own())
    children = list(network.children())
    parts = [part for child in children for part in (child if isinstance(child, nn.Sequential) else (child,))]
    stages: list[list[nn.Module]] = []
    begun = False
    for part in parts:
        weighs = any(parameter.ndim > 1 for parameter in part.parameters())
        if not stages or (weighs and begun):
            stages.append([])
        stages[-1].append(part)
        begun = begun or weighs
    return [nn.ModuleList(stage) for stage in stages]


def freeze_stages(network: nn.Module, count: int) -> list[nn.Module]:
    """Let some stages learn no more, from the input on, and return them: they belong in evaluation, always.

    What stands in no stage counts to the first. In evaluation, batch statistics stay as they are, and nothing is
    dropped at random.

    Args:
        network: is changed in place.
        count: how many stages; fewer than there are.

    Raises:
        RecipeError: there are no more stages than that.
    """
    if not count:
        return []
    stages = stages_of(network)
    if count >= len(stages):
        raise RecipeError(
            f"training.freeze must be at most {len(stages) - 1}, as the network has {len(stages)} stages and the last "
            f"one must learn, got {count}. Lower training.freeze"
        )
    learning = {id(parameter) for stage in stages[count:] for parameter in stage.parameters()}
    for parameter in network.parameters():
        if id(parameter) not in learning:
            parameter.requires_grad_(False)
    return stages[:count]
