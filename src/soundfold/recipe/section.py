"""What all sections of a recipe share."""

from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

__all__ = ["Section"]


class Section(BaseModel):
    """What all parts of a recipe share: frozen, strict about names, and every default checked as user input is."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_truth_values(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false where a number is meant: Python counts with them, so `lr: yes` would be a rate of 1."""
        meant = cls.model_fields[info.field_name].annotation if info.field_name else None
        kinds = {meant, *(part if isinstance(part, type) else type(part) for part in get_args(meant))}
        if isinstance(value, bool) and bool not in kinds and kinds & {int, float}:
            raise PydanticCustomError("int_type" if int in kinds else "float_type", "a number")
        return value
