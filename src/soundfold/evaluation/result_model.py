"""What all typed results share: they never change, know their fields, and hold no number that JSON could not."""

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

__all__ = ["Frozen", "OnlySome"]

_Value = TypeVar("_Value")
_LEFT_OUT = object()

OnlySome = Annotated[_Value | None, _LEFT_OUT]
"""The type of a field that only some results have, such as those of several labels a clip: None is left out of JSON."""


class Frozen(BaseModel):
    """A result; every field is in its JSON, but for those of type `OnlySome` that it has not."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, from_attributes=True)

    @model_serializer(mode="wrap")
    def _without_those_of_others(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = type(self).model_fields
        return {
            name: value
            for name, value in handler(self).items()
            if value is not None or _LEFT_OUT not in fields[name].metadata
        }
