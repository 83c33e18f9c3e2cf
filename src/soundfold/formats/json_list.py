"""One JSON document: a list with an entry a sound, those that failed with their error in place of an answer."""

import json
from typing import Any

from soundfold.errors import SoundfoldError
from soundfold.runtime import Prediction

__all__ = ["JsonList"]


class JsonList:
    """Answers as a JSON list, in the order they come.

    Args:
        encoding: of what it is written to; what that cannot show is escaped, so that the document can still be read.
    """

    def __init__(self, encoding: str = "utf-8") -> None:
        self._encoding = encoding
        self._begun = False

    def head(self) -> str:
        """Return the beginning of the list."""
        return "["

    def sound(self, path: str, answer: Prediction | SoundfoldError) -> str:
        """Return a sound's entry."""
        told: dict[str, Any] = (
            {"path": path, "error": str(answer)}
            if isinstance(answer, SoundfoldError)
            else {**answer.as_dict(), "path": path}
        )
        text = json.dumps(told, indent=2, ensure_ascii=False)
        try:
            text.encode(self._encoding)
        except UnicodeEncodeError:
            text = json.dumps(told, indent=2)
        comma, self._begun = "," if self._begun else "", True
        return f"{comma}\n{text}"

    def tail(self) -> str:
        """Return the end of the list."""
        return "\n]\n" if self._begun else "]\n"
