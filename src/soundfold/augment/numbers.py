"""What is done to drawn numbers of every kind: bring them to a device, take those of some of the clips.

A transform's numbers are one tensor with a row a clip, or a frozen dataclass of such tensors.
"""

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Drawn = TypeVar("Drawn", bound=DataclassInstance)

__all__ = ["moved", "taken"]


def moved(drawn: "Drawn", device: torch.device) -> "Drawn":
    """Return the same numbers on a device."""
    return replace(drawn, **{name: value.to(device) for name, value in _parts(drawn).items()})


def taken(drawn: "Drawn", rows: slice, *, shared: tuple[str, ...] = ()) -> "Drawn":
    """Return the numbers of some of the clips; what is shared by all clips stays as it is."""
    return replace(drawn, **{name: value[rows] for name, value in _parts(drawn).items() if name not in shared})


def _parts(drawn: "DataclassInstance") -> dict[str, Any]:
    """Return the fields that are tensors, or numbers of another transform."""
    values = {field.name: getattr(drawn, field.name) for field in fields(drawn)}
    return {name: value for name, value in values.items() if hasattr(value, "to")}
