"""A setting that is one of some names, or a prefix and any name of another library's."""

import re
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema

__all__ = ["Choice"]


@dataclass(frozen=True)
class Choice:
    """Stands beside `str` in `Annotated`, and refuses whatever is not meant.

    Attributes:
        names: the names that stand for themselves.
        prefix: with what another library's name begins.
        rest: regular expression of what follows the prefix.
        what: what follows it, in a word: "NAME".
    """

    names: tuple[str, ...]
    prefix: str
    rest: str
    what: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Check a word after pydantic has found it to be one."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    @property
    def choices(self) -> tuple[str, ...]:
        """What may be written, for people."""
        return (*self.names, f"{self.prefix}{self.what}")

    def _check(self, value: str) -> str:
        if value in self.names or (
            value.startswith(self.prefix) and re.fullmatch(self.rest, value.removeprefix(self.prefix), re.ASCII)
        ):
            return value
        raise ValueError(f"one of {', '.join(self.choices)}")
