"""What is mistyped is refused before PyTorch is loaded, which takes seconds."""

from collections.abc import Sequence
from pathlib import Path

__all__ = ["refuse_early"]


def refuse_early(data: str | Path, recipe: str | Path | None, changes: Sequence[str]) -> None:
    """Raise for a setting, a recipe or a data set that is not there; the work itself checks all of it again.

    Args:
        data: the data set's folder or table.
        recipe: as the user named it; None where the work will choose one, so that settings' names alone can be checked.
        changes: texts like `training.epochs=20`.

    Raises:
        SoundfoldError: one of them is mistyped.
    """
    from soundfold.recipe.files import changed_names, load_recipe  # with pydantic, which the help does without

    changed_names(changes)
    if recipe is not None:
        load_recipe(recipe, changes)
    if not Path(data).expanduser().exists():
        from soundfold.data.reading import find_data  # with pandas, which tables need

        find_data(data)
