"""How far a search can come from a recipe: what `when` rules out beside the recipe's own values does not count."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import Any

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
    Reach(settings=('features.views', 'training.head_fit', 'training.c', 'training.weighting'), kinds=2)
    """
    plain = recipe.as_dict()
    groups = [_reach_of(names, space, plain) for names in _linked(space)]
    drawn = {name for group in groups for name in group.drawn}
    kinds = prod(group.kinds for group in groups) + (not all(group.has_own for group in groups))
    return Reach(tuple(name for name in space.settings if name in drawn), kinds)


@dataclass(frozen=True)
class _OfGroup:
    """What draws of one group can come to.

    Attributes:
        drawn: names of the settings that can be.
        kinds: different values of those that features are kept for.
        has_own: whether the recipe's own values are among them.
    """

    drawn: set[str]
    kinds: int
    has_own: bool


def _linked(space: Space) -> list[list[str]]:
    """Return the settings in groups, in the order of the space: no `when` of one group asks after another.

    So what is drawn of one says nothing of another, and their kinds multiply: going through all of them together would
    take as many steps as there are kinds.
    """
    groups: list[set[str]] = []
    for name, allowed in space.settings.items():
        linked = {name} | (allowed.when.keys() & space.settings.keys())
        apart = [group for group in groups if not group & linked]
        groups = [*apart, linked.union(*(group for group in groups if group & linked))]
    return [[name for name in space.settings if name in group] for group in groups]


def _reach_of(names: list[str], space: Space, plain: dict[str, Any]) -> _OfGroup:
    drawn_so_far: set[tuple[tuple[str, Plain], ...]] = {()}
    settings = set()
    for name in names:
        allowed = space.settings[name]
        matters = _values_that_matter(name, allowed, space)
        following = set()
        for drawn in drawn_so_far:
            if is_searched(allowed, dict(drawn), plain):
                settings.add(name)
                following |= {(*drawn, (name, value)) for value in matters} or {drawn}
            else:
                following.add(drawn)
        drawn_so_far = following
    kept = [name for name in names if name.startswith(KEPT)]
    own = {name: value_of(plain, name) for name in kept}
    kinds = {tuple({**own, **dict(drawn)}[name] for name in kept) for drawn in drawn_so_far}
    return _OfGroup(settings, len(kinds), tuple(own.values()) in kinds)


def _values_that_matter(name: str, allowed: Choices | Range, space: Space) -> Iterable[Plain]:
    """Return the values that decide what else is drawn or which features are computed; none where no value does."""
    asked = {value for other in space.settings.values() for value in other.when.get(name, ())}
    if isinstance(allowed, Choices):
        return allowed.values if asked or name.startswith(KEPT) else ()
    named = [value for value in asked if isinstance(value, int | float) and allowed.low <= value <= allowed.high]
    return [*named, None] if asked else ()
