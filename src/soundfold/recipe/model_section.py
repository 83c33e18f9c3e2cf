"""The recipe's section `model`: which network."""

from typing import Literal

from pydantic import Field

from soundfold.recipe.section import Section

__all__ = ["ModelRecipe"]


class ModelRecipe(Section):
    """Which network."""

    name: Literal["tutorial", "linear"] = Field(
        "tutorial", description="tutorial: four convolutions, 25 thousand parameters; linear: one weight a value"
    )
