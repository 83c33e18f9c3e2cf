"""How far a search can come from a recipe: what `when` rules out beside the recipe's own values does not count."""

from collections.abc import Iterable
from dataclasses import dataclass

from soundfold.recipe.schema import Recipe
from soundfold.recipe.space import KEPT, Choices, Plain, Range, Space, is_searched, value_of

__all__ = ["Reach", "reach"]


@dataclass(frozen=True)
class Reach:
    """What draws from a space can come to.

    Attributes:
        settings: full names of those that can be drawn, in the order of the space.
        kinds: how many different kinds of features can be asked for, the recipe's own among them; each is computed and
            kept.
    """

    settings: tuple[str, ...]
    kinds: int


def reach(space: Space, recipe: Recipe) -> Reach:
    """Return what draws from a space can come to, where what is not drawn is as a recipe has it.

    Only values that decide something are gone through: the choices of sound and features, and of a setting that another
    one's `when` asks after the values that it names, and one that it does not.

    >>> from soundfold.recipe import load_recipe
    >>> from soundfold.recipe.space import load_space
    >>> probe = load_recipe("probe")
    >>> reach(load_space("linear", probe), probe)
    Reach(settings=('features.views', 'training.c', 'training.weighting'), kinds=2)
    """
    plain = recipe.as_dict()
    kept = [name for name in space.settings if name.startswith(KEPT)]
    drawn_so_far: set[tuple[tuple[str, Plain], ...]] = {()}
    settings = []
    for name, allowed in space.settings.items():
        matters = _values_that_matter(name, allowed, space)
        following = set()
        for drawn in drawn_so_far:
            if is_searched(allowed, dict(drawn), plain):
                settings.append(name)
                following |= {(*drawn, (name, value)) for value in matters} or {drawn}
            else:
                following.add(drawn)
        drawn_so_far = following
    own = {name: value_of(plain, name) for name in kept}
    kinds = {tuple({**own, **dict(drawn)}[name] for name in kept) for drawn in (*drawn_so_far, ())}
    return Reach(tuple(dict.fromkeys(settings)), len(kinds))


def _values_that_matter(name: str, allowed: Choices | Range, space: Space) -> Iterable[Plain]:
    """Return the values that decide what else is drawn or which features are computed; none where no value does."""
    asked = {value for other in space.settings.values() for value in other.when.get(name, ())}
    if isinstance(allowed, Choices):
        return allowed.values if asked or name.startswith(KEPT) else ()
    named = [value for value in asked if isinstance(value, int | float) and allowed.low <= value <= allowed.high]
    return [*named, None] if asked else ()
