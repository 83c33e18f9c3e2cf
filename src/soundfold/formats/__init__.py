"""A model's answers as text or as a table: what `predict` prints, and whoever else tells answers.

    shape.py        what every text format has in common, and which spans of a sound are told
    table.py        lines for people
    json_list.py    one JSON list
    csv_rows.py     one table of sounds, events and windows, with commas
    parquet.py      the same as Parquet; the only one that needs more than the base installation
    audacity.py     label tracks for Audacity, one a sound
    raven.py        a selection table for Raven

A text format gives its text piece by piece (`head`, a `sound` each, `tail`), so that a million sounds need the memory
of one.
"""

from soundfold.formats.audacity import AudacityLabels
from soundfold.formats.csv_rows import CsvRows
from soundfold.formats.json_list import JsonList
from soundfold.formats.parquet import ParquetRows
from soundfold.formats.raven import RavenSelections
from soundfold.formats.shape import EventFormat, TextFormat, told_spans
from soundfold.formats.table import Table

__all__ = [
    "AudacityLabels",
    "CsvRows",
    "EventFormat",
    "JsonList",
    "ParquetRows",
    "RavenSelections",
    "Table",
    "TextFormat",
    "told_spans",
]
