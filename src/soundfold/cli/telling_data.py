"""What a data set and the cache hold, in words and small tables, for people."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console

from soundfold.cli.columns import print_unbroken, say
from soundfold.wording import counted, format_size

if TYPE_CHECKING:
    from soundfold.data.audit import Audit
    from soundfold.data.kept import Kept

__all__ = ["tell_audit", "tell_cache"]


def tell_audit(audit: "Audit") -> None:
    """Print what a data set holds, then what could spoil a score."""
    console = Console(highlight=False)
    findings = audit.findings
    for note in audit.notes:
        if note not in findings:
            say(console, note)
    recordings = "recordings" if audit.groups_known else "files"
    rows: list[tuple[str, ...]] = [("class", "clips", recordings, *(f"fold {fold}" for fold in audit.per_fold))]
    for label in audit.labels:
        by_fold = [f"{counts.get(label, 0):,}" for counts in audit.per_fold.values()]
        rows.append((label, f"{audit.per_class.get(label, 0):,}", f"{audit.recordings_per_class[label]:,}", *by_fold))
    print_unbroken(console, rows)
    say(console, f"rates:      {_counts(audit.sample_rates, ' Hz')}")
    say(console, f"channels:   {_counts(audit.channels, '')}")
    say(console, f"formats:    {_counts(audit.formats, '')}")
    if audit.lengths is not None:
        found = audit.lengths
        least, middle, most = (_short(value) for value in (found.min_s, found.median_s, found.max_s))
        spread = f"all {least} s" if least == most else f"{least} to {most} s, median {middle} s"
        say(console, f"lengths:    {spread}; {_duration(found.total_s)} in all")
    for finding in findings:
        say(console, f"! {finding}")
    if not findings:
        say(console, "nothing found that could spoil a score")


def tell_cache(folder: Path, kept: "Sequence[Kept]", removed: "Sequence[Kept] | None") -> None:
    """Print what is kept, and what was removed where that was asked for."""
    console = Console(highlight=False)
    if kept:
        rows: list[tuple[str, ...]] = [("kind", "size", "last used", "what")]
        for one in kept:
            busy = "  (in use)" if one.in_use else ""
            rows.append((one.kind, format_size(one.n_bytes), one.day, f"{one.what}{busy}"))
        widths = [max(cell_len(row[column]) for row in rows) for column in range(3)]
        for kind, size, day, what in rows:
            say(console, f"{kind:<{widths[0]}}  {size:>{widths[1]}}  {day:<{widths[2]}}  {what}")
    if removed is not None:
        say(console, f"removed:    {format_size(sum(one.n_bytes for one in removed))} ({len(removed):,})")
    if busy_ones := sum(one.in_use for one in kept):
        say(console, f"in use:     {counted(busy_ones, 'entry', 'entries')} by a process at work, not to be removed")
    say(console, f"kept:       {format_size(sum(one.n_bytes for one in kept))} in {folder}")


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{_short(seconds)} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def _short(number: float) -> str:
    return f"{number:.3g}" if number < 999.5 else f"{number:,.0f}"


def _counts(counts: "dict[int, int] | dict[str, int]", unit: str) -> str:
    return ", ".join(f"{name}{unit} × {count:,}" for name, count in counts.items())
