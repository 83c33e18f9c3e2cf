"""What the listener sees: on a terminal a level meter and the likeliest labels that change in place, else plain lines.

Events, gaps and notes are lines that stay, above what changes.
"""

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from soundfold.runtime import Event, Span
    from soundfold.runtime.level import Level
    from soundfold.runtime.listening import Heard

__all__ = ["LiveView"]

_SHOWN = 5
_BAR = 30
_METER_FROM_DB = -60.0
_REFRESH_S = 0.1


class LiveView:
    """Shows what is heard. Use it as a context, so that the terminal is whole again whatever happens.

    Args:
        name: what is listened to.
        labels: of the model.
        quiet: show nothing, but say goodbye.
        console: where to; stdout by default, and its notes to stderr.
    """

    def __init__(
        self, name: str, labels: tuple[str, ...], *, quiet: bool = False, console: Console | None = None
    ) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._notes = self._console if self._console.is_terminal and not quiet else Console(stderr=True, soft_wrap=True)
        self._name, self._shown = name, min(_SHOWN, len(labels))
        self._width = max(map(len, labels))
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._moving = self._console.is_terminal and not quiet
        self._span: Span | None = None
        self._level: Level | None = None
        self._drawn_at = 0.0

    def __enter__(self) -> Self:
        if self._moving:
            self._live.start()
        self._notes.print(f"listening:  {escape(self._name)}  (Ctrl-C stops)")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, heard: "Heard") -> None:
        """Show one thing that was heard."""
        from soundfold.runtime import Event, Gap, Span
        from soundfold.runtime.level import Level

        match heard:
            case Level():
                self._level = heard
            case Span():
                self._span = heard
                if not self._moving:
                    print(_span_line(heard), flush=True)
            case Event() if self._moving:
                self._console.print(f"[bold]{escape(_event_line(heard).expandtabs())}[/]")
            case Event():
                print(_event_line(heard), flush=True)  # rich would turn the tabs into spaces
            case Gap():
                lost_s = heard.end_s - heard.start_s
                self._notes.print(
                    f"[yellow]{_clock(heard.start_s)}  {lost_s:.2f} s of sound were lost: answering took too long[/]"
                )
            case _:
                self._notes.print(f"[yellow]{escape(str(heard))}[/]")
        if self._moving and time.monotonic() - self._drawn_at >= _REFRESH_S:
            self._drawn_at = time.monotonic()
            self._live.update(self._picture(), refresh=True)

    def farewell(self, seconds: float) -> None:
        """Say how long was listened."""
        self._live.stop()
        self._notes.print(f"stopped after {_clock(seconds)}")

    def _picture(self) -> Group:
        if self._span is None:
            return Group(self._meter(), Text("waiting for the first window", "dim"))
        return Group(self._meter(), self._answers(self._span), _when(self._span))

    def _meter(self) -> Text:
        if self._level is None:
            return Text("level  (no sound yet)")
        level, width = self._level, 2 * _BAR
        filled, peak = (round(width * max(0.0, 1 - db / _METER_FROM_DB)) for db in (level.rms_db, level.peak_db))
        colour = "red" if level.peak_db > -1 else "yellow" if level.peak_db > -9 else "green"
        bar = "█" * filled + "▒" * max(0, peak - filled)
        return Text.assemble("level  ", (bar.ljust(width, "·"), colour), f" {level.peak_db:6.1f} dB")

    def _answers(self, span: "Span") -> Table:
        table = Table.grid(padding=(0, 1))
        best = sorted(span.probabilities.items(), key=lambda entry: -entry[1])[: self._shown]
        told = span.labels if span.labels is not None else (span.label,)
        for label, probability in best:
            style = "bold cyan" if label in told and span.nearest is None else "dim"
            bar = "━" * round(_BAR * probability)
            table.add_row(Text(label.ljust(self._width), style), Text(bar.ljust(_BAR), style), f"{probability:6.1%}")
        return table


def _when(span: "Span") -> Text:
    late = "" if span.latency_s is None else f", {1000 * span.latency_s:.0f} ms after it"
    unknown = "" if span.nearest is None else "unknown, "
    return Text(f"{unknown}{_clock(span.start_s)} – {_clock(span.end_s)}{late}", "dim")


def _span_line(span: "Span") -> str:
    nearest = "" if span.nearest is None else f"\tnearest {span.nearest}"
    told = ";".join(span.labels) if span.labels else span.label
    return f"{span.start_s:.2f}\t{span.end_s:.2f}\t{told}\t{span.probability:.3f}{nearest}"


def _event_line(event: "Event") -> str:
    return f"event\t{event.start_s:.2f}\t{event.end_s:.2f}\t{event.label}\t{event.probability:.3f}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours:d}:{minutes:02d}:{rest:05.2f}"
