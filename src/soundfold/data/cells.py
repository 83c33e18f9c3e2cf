"""A table's cells as text, the same whoever wrote the table."""

import unicodedata

import numpy as np
import pandas as pd

__all__ = ["normal", "text_of"]

_UNSEEN = dict.fromkeys(map(ord, "\u00ad\u200b\u200e\u200f\u2060\ufeff"))
"""Signs without a shape, which spreadsheets and web pages leave behind: a soft hyphen, spaces of no width, marks of the
direction of writing. Those that join letters or part them stay, as Persian and emoji are written with them."""


def text_of(value: object) -> str:
    """Write one cell as text: nothing for a missing value, and no `.0` after a whole number (pandas adds it).

    >>> text_of(3.0), text_of(float("nan")), text_of(" a ")
    ('3', '', ' a ')
    """
    if value is None or value is pd.NA or value is pd.NaT:
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float | np.floating):
        if np.isnan(value):
            return ""
        return str(int(value)) if float(value).is_integer() else str(value)
    return str(value)


def normal(text: str) -> str:
    """The same letters as the same text, however the accents are written and whatever nobody sees stands among them.

    >>> normal("\\ufeffdog\\u200b "), normal("e\\u0301") == "\\u00e9"
    ('dog', True)
    """
    return unicodedata.normalize("NFC", text.translate(_UNSEEN)).strip()
