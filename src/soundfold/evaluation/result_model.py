"""What all typed results share: they never change, know their fields, and hold no number that JSON could not."""

from typing import Any

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

__all__ = ["Frozen", "FrozenScores"]

_OF_SEVERAL = "average_precision"  # in the names of fields that only clips of several labels have
_OF_SOME = ("seeds", "calibration")  # the names of fields that only some runs have


class Frozen(BaseModel):
    """A result; every field is in its JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, from_attributes=True)


class FrozenScores(Frozen):
    """Scores of one label a clip or of several: in their JSON the fields are left out that only others have."""

    @model_serializer(mode="wrap")
    def _without_those_of_others(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {
            name: value
            for name, value in handler(self).items()
            if value is not None or (_OF_SEVERAL not in name and name not in _OF_SOME)
        }
