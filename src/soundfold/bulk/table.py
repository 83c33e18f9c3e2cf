"""Answers as the rows of a table, a row a window, in the columns that pandas and duckdb read at once.

    path          the sound, as it was named
    start_s       where the window begins; empty for a sound that failed
    end_s         where it ends
    label         the likeliest class, or "unknown": of silence, and where the model was given a rule
    probability   of that class
    nearest       the likeliest class where the label is "unknown"
    labels        all labels above their thresholds; only of a model that answers with several
    error         why a sound failed, which has this one row
    p:LABEL       the probability of each class; left out on wish

Needs pyarrow, which the base installation lacks.
"""

import json
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from soundfold.runtime import ModelCard, Prediction
from soundfold.runtime.workers import Answer
from soundfold.wording import as_unicode

__all__ = ["schema_of", "table_of"]


def schema_of(card: ModelCard, probabilities: bool, told: dict[str, Any]) -> pa.Schema:
    """Return the columns for a model's answers.

    Args:
        card: the model's.
        probabilities: with a column a class.
        told: by what model and settings; stands in each part beside the rows, under the key `soundfold`.
    """
    columns: list[tuple[str, Any]] = [
        ("path", pa.string()),
        ("start_s", pa.float64()),
        ("end_s", pa.float64()),
        ("label", pa.string()),
        ("probability", pa.float32()),
        ("nearest", pa.string()),
    ]
    if card.answer == "several":
        columns.append(("labels", pa.list_(pa.string())))
    columns.append(("error", pa.string()))
    if probabilities:
        columns += [(f"p:{label}", pa.float32()) for label in card.labels]
    return pa.schema(columns, metadata={"soundfold": json.dumps(told)})


def table_of(answers: Iterable[tuple[str, Answer]], schema: pa.Schema) -> pa.Table:
    """Return the rows of sounds' answers, by their names."""
    columns: dict[str, list[Any]] = {name: [] for name in schema.names}
    classes = [name for name in schema.names if name.startswith("p:")]
    for name, answer in answers:
        path = as_unicode(name)
        if not isinstance(answer, Prediction):
            for column in columns.values():
                column.append(None)
            columns["path"][-1], columns["error"][-1] = path, as_unicode(str(answer))
            continue
        for span in answer.timeline:
            columns["path"].append(path)
            columns["error"].append(None)
            for field in ("start_s", "end_s", "label", "probability", "nearest"):
                columns[field].append(getattr(span, field))
            if "labels" in columns:
                columns["labels"].append(span.labels)
            for name_, probability in zip(classes, span.probabilities.values(), strict=bool(classes)):
                columns[name_].append(probability)
    arrays = [pa.array(columns[field.name], field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)
