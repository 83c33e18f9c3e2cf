"""Who is taken for whom: the confusion matrix as a shaded table, and the most frequent mistakes."""

from collections.abc import Sequence

from soundfold.evaluation.report.charts import barred_percent
from soundfold.evaluation.report.markup import Html, element, join, name, table
from soundfold.wording import counted

__all__ = ["confusion_matrix", "frequent_mistakes"]

_MOST_CLASSES = 60
_SHADES = 10
_PAIRS = 10
_ARROW = join(
    element("span", " → ", class_="faint", aria_hidden="true"), element("span", " taken for ", class_="heard")
)


def confusion_matrix(confusion: Sequence[Sequence[int]], labels: Sequence[str], unknown: Sequence[str]) -> Html:
    """Return the matrix: rows are the truth, columns the answers, cells shaded by their share of the row.

    Args:
        confusion: (labels + unknown, labels) whole numbers.
        labels: the model's labels.
        unknown: labels that the model does not know, the last rows.
    """
    if len(labels) > _MOST_CLASSES:
        return element("p", f"With {len(labels)} classes the matrix would be too large to read; metrics.json has it.")
    heads = [element("th", element("div", name(label), title=label), scope="col") for label in labels]
    rows = []
    for k, (truth, counts) in enumerate(zip((*labels, *unknown), confusion, strict=True)):
        whole = max(sum(counts), 1)
        cells = [
            element("td", f"{n:,}" if n else "·", class_=_shade(n / whole) + (" right" if k == column else ""))
            for column, n in enumerate(counts)
        ]
        rows.append(element("tr", element("th", name(truth), scope="row"), *cells))
    caption = "Confusion matrix: clips by truth (rows) and by answer (columns)"
    whole_table = element(
        "table",
        element("caption", caption, class_="heard"),
        element("thead", element("tr", element("th", "truth ↓ answer →", scope="col", class_="corner"), *heads)),
        element("tbody", *rows),
        class_="matrix dense" if len(labels) > 24 else "matrix",
    )
    return element("div", whole_table, class_="scroll", tabindex="0", role="region", aria_label=caption)


def frequent_mistakes(confusion: Sequence[Sequence[int]], labels: Sequence[str], unknown: Sequence[str]) -> Html:
    """Return the pairs of truth and answer that were mistaken most often."""
    pairs = [
        (n, n / max(sum(counts), 1), truth, labels[column])
        for k, (truth, counts) in enumerate(zip((*labels, *unknown), confusion, strict=True))
        for column, n in enumerate(counts)
        if n and k != column
    ]
    if not pairs:
        return element("p", "No clip was mistaken.")
    pairs.sort(key=lambda pair: (-pair[0], pair[2], pair[3]))
    rows = [
        (join(name(truth), _ARROW, name(answer)), f"{n:,}",
         barred_percent(share))
        for n, share, truth, answer in pairs[:_PAIRS]
    ]  # fmt: skip
    heads = ("most often: truth → answer", "clips", "of the class")
    more = len(pairs) - len(rows)
    left = element("p", f"and {counted(more, 'rarer pair')}", class_="faint") if more else None
    return join(table(heads, rows, caption="Most frequent mistakes"), left)


def _shade(share: float) -> str:
    """Return the class of a cell's shade; any clip at all is told from none."""
    return "h0" if not share else f"h{max(1, round(share * _SHADES))}"
