"""From the cells of a table to labels: one a clip, or any number of them; which of the two is found out here."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from soundfold.data.cells import normal, text_of
from soundfold.errors import DataError
from soundfold.wording import SEPARATOR, quoted

__all__ = ["HowMany", "Labelled", "note_on_case", "read_labels"]

HowMany: TypeAlias = Literal["auto", "one", "several"]


@dataclass(frozen=True, eq=False)
class Labelled:
    """What the label cells of a table hold.

    Attributes:
        texts: a label a row; where rows bear several, these joined by `;` in order; empty for none.
        several: rows bear any number of labels.
        why: how it was found out that they do; empty where it was not.
    """

    texts: "pd.Series[str]"
    several: bool
    why: str = ""


def read_labels(cells: "pd.Series[Any]", how_many: HowMany, *, separated: bool, source: Path) -> Labelled:
    """Read the cells of a label column.

    Args:
        cells: text, or lists of text; the index is the row's, for messages.
        how_many: labels a clip; auto: several where a cell holds two or more different ones.
        separated: a `;` inside a cell may part two labels, as in a table that somebody wrote; in auto only.
        source: the file or folder that messages name.

    Raises:
        DataError: lists where each clip is to bear one label, or a label with a `;` in a list.
    """
    lists = [cell if isinstance(cell, list | tuple | np.ndarray) else None for cell in cells]
    listed = any(cell is not None for cell in lists)
    if how_many == "one" and listed:
        raise DataError(f"{source}: label must be text with training.labels=one, got a list. Leave that setting out.")
    texts = [normal(text_of(cell)) if parts is None else "" for cell, parts in zip(cells, lists, strict=True)]
    parted = [
        _parted(text) if parts is None else _checked(parts, source) for text, parts in zip(texts, lists, strict=True)
    ]
    bearing_more = [text for text, parts in zip(texts, parted, strict=True) if len(set(parts)) > 1]
    found = listed or (separated and bool(bearing_more))
    if how_many == "auto" and not found and separated:  # "dog;" or "dog;dog" says no more than "dog" does
        texts = [parts[0] if parts else "" for parts in parted]
    if how_many == "one" or (how_many == "auto" and not found):
        return Labelled(pd.Series(texts, index=cells.index, dtype=object), several=False)
    why = "the column 'label' holds lists"
    if not listed and bearing_more:
        some, part = ("one cell", "parts") if len(bearing_more) == 1 else (f"{len(bearing_more):,} cells", "part")
        why = f"{some} of the column 'label' {part} them with '{SEPARATOR}', as in '{bearing_more[0]}'"
    joined = [SEPARATOR.join(sorted(set(parts))) for parts in parted]
    return Labelled(pd.Series(joined, index=cells.index, dtype=object), several=True, why=why if found else "")


def note_on_case(labels: Sequence[str]) -> Iterator[str]:
    """Yield a sentence where labels differ only in upper and lower case; or nothing."""
    by_case = Counter(label.casefold() for label in labels)
    twins = [label for label in labels if by_case[label.casefold()] > 1]
    if twins:
        yield (
            f"The labels {quoted(twins)} differ only in upper and lower case; they are taken as different classes. "
            "Write them alike where they are one."
        )


def _parted(text: str) -> list[str]:
    return [part.strip() for part in text.split(SEPARATOR) if part.strip()]


def _checked(parts: "list[object] | tuple[object, ...] | np.ndarray", source: Path) -> list[str]:
    labels = [text for part in parts if (text := normal(text_of(part)))]
    for label in labels:
        if SEPARATOR in label:
            raise DataError(f"{source}: label must hold no '{SEPARATOR}' inside a list, got '{label}'. Rename it.")
    return labels
