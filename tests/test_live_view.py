"""What a terminal shows while it listens: the meter, the labels, and lines that stay."""

import io

import pytest
from rich.console import Console

from soundfold.cli.live_view import LiveView
from soundfold.runtime import Event, Gap, Span
from soundfold.runtime.level import Level
from soundfold.runtime.listening import Note

pytestmark = pytest.mark.runtime
SPAN = Span(1.0, 5.0, "dog [bark]", 0.75, {"dog [bark]": 0.75, "siren": 0.25}, latency_s=0.012)


def shown(*heard: object, terminal: bool = True) -> str:
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=100, color_system=None, highlight=False)
    with LiveView("mic [1]", ("dog [bark]", "siren"), console=console) as view:
        for one in heard:
            view._drawn_at = 0.0  # not only ten times a second
            view.show(one)  # type: ignore[arg-type]
        view.farewell(3_723.5)
    return text.getvalue()


def test_terminal_shows_level_labels_and_how_late_they_are() -> None:
    text = shown(Level(-30.0, -15.0), SPAN)
    assert "listening:  mic [1]" in text
    assert "█" * 30 + "▒" * 15 + "·" * 15 in text
    assert "-15.0 dB" in text
    assert "dog [bark] ━━━━━━━━━━━━━━━━━━━━━━" in text
    assert "75.0%" in text
    assert "0:00:01.00 – 0:00:05.00, 12 ms after it" in text
    assert "stopped after 1:02:03.50" in text


def test_lines_stay_and_brackets_are_no_markup() -> None:
    text = shown(Event(61.0, 62.5, "dog [bark]", 0.8, 0.9), Gap(2.0, 3.25), Note("no sound [arrives]"))
    assert "61.00   62.50   dog [bark]      0.800" in text
    assert "1.25 s of sound were lost" in text
    assert "no sound [arrives]" in text


def test_elsewhere_there_is_a_line_an_answer(capsys: pytest.CaptureFixture[str]) -> None:
    unknown = Span(5.0, 9.0, "unknown", 0.3, {"dog [bark]": 0.3, "siren": 0.2}, nearest="dog [bark]")
    several = Span(9.0, 10.0, "siren", 0.9, {"dog [bark]": 0.8, "siren": 0.9}, labels=("siren", "dog [bark]"))
    shown(Level(-30.0, -15.0), SPAN, unknown, several, Event(1.0, 2.0, "siren", 0.5, 0.6), terminal=False)
    assert capsys.readouterr().out.splitlines() == [
        "1.00\t5.00\tdog [bark]\t0.750", "5.00\t9.00\tunknown\t0.300\tnearest dog [bark]",
        "9.00\t10.00\tsiren;dog [bark]\t0.900", "event\t1.00\t2.00\tsiren\t0.500",
    ]  # fmt: skip
