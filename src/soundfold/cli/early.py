"""What is mistyped is refused before PyTorch is loaded, which takes seconds."""

from collections.abc import Sequence
from pathlib import Path

__all__ = ["refuse_early"]


def refuse_early(
    data: str | Path, recipe: str | Path | None, changes: Sequence[str], weights: Path | None = None
) -> None:
    """Raise for a setting, a recipe or a data set that is not there; the work itself checks all of it again.

    Args:
        data: the data set's folder or table.
        recipe: as the user named it; None where the work will choose one, so that settings' names alone can be checked.
        changes: texts like `training.epochs=20`.
        weights: file or folder of published weights, which not every recipe takes.

    Raises:
        SoundfoldError: one of them is mistyped.
    """
    # with pydantic, which the help does without
    from soundfold.recipe.files import changed_values, load_recipe
    from soundfold.recipe.published import check_named_once, name_weights

    check_named_once(weights, changed_values(changes))
    if recipe is not None:
        settings = load_recipe(recipe, changes)
        if weights is not None:
            name_weights(settings, weights)
    if not Path(data).expanduser().exists():
        from soundfold.data.reading import find_data  # with pandas, which tables need

        find_data(data)
