"""A table on the screen whose cells are never cut off: in columns where they fit, else a row a block."""

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape

from soundfold.wording import on_one_line

__all__ = ["print_columns", "print_line", "print_unbroken", "say"]


def print_columns(console: Console, rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows, the first one the heading; the first column to the left, the others to the right.

    On a terminal too narrow for them each row becomes a block with a line a cell. What is piped keeps its columns,
    however wide: whoever reads it wants one line a row.
    """
    widths = [max(cell_len(row[column]) for row in rows) for column in range(len(rows[0]))]
    if console.is_terminal and sum(widths) + 2 * (len(widths) - 1) > console.width:
        _print_blocks(console, rows)
        return
    for number, row in enumerate(rows):
        cells = [" " * (width - cell_len(cell)) + cell for cell, width in zip(row, widths, strict=True)]
        cells[0] = row[0] + " " * (widths[0] - cell_len(row[0]))
        print_line(console, "  ".join(cells).rstrip(), style="bold" if number == 0 else None)


def print_line(console: Console, text: str, style: str | None = None) -> None:
    """Print text as it is; a terminal breaks it between words, and nothing else does."""
    console.print(escape(text), style=style, soft_wrap=not console.is_terminal)


def print_unbroken(console: Console, rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows in columns, the first one to the left, a row a line whatever the terminal's width."""
    rows = [tuple(map(on_one_line, row)) for row in rows]
    widths = [max(cell_len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [" " * (width - cell_len(cell)) + cell for cell, width in zip(row, widths, strict=True)]
        cells[0] = row[0] + " " * (widths[0] - cell_len(row[0]))
        say(console, "  ".join(cells).rstrip())


def say(console: Console, text: str) -> None:
    """Print text as one line, whatever names in it hold; nothing breaks it but the terminal."""
    console.print(escape(on_one_line(text)), soft_wrap=True)


def _print_blocks(console: Console, rows: Sequence[tuple[str, ...]]) -> None:
    heading = rows[0][1:]
    width = max(cell_len(name) for name in heading)
    for first, *cells in rows[1:]:
        print_line(console, first, style="bold")
        for name, cell in zip(heading, cells, strict=True):
            if cell:
                print_line(console, f"  {name}{' ' * (width - cell_len(name))}  {cell}")
