"""What is drawn on a terminal, and what is written to a log, while a verb works."""

import io
import re
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from soundfold.cli import console
from soundfold.cli.console import ConsoleReporter

pytestmark = pytest.mark.runtime

RECORD: Any = SimpleNamespace(epoch=3, train_loss=0.25, train_accuracy=0.875, val_accuracy=0.5, val_map=None, lr=0.001)


def seen(work: Callable[[ConsoleReporter], None], width: int = 120) -> str:
    """Draw on a terminal made of text, refreshed after the work; return what was written, without colours."""
    file = io.StringIO()
    terminal = Console(file=file, force_terminal=True, width=width, highlight=False)
    with ConsoleReporter(terminal) as reporter:
        work(reporter)
        reporter._progress.refresh()
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue())


@pytest.mark.parametrize(
    ("phase", "done", "total", "told"),
    [
        ("waiting", 0, None, r"waiting for another process\s"),
        ("downloading", 12_345_678, None, r"downloading .* 12\.3 MB\s"),
        ("downloading", 12_345_678, 6_000_000_000, r"downloading .* 12\.3/6,000\.0 MB -:--:--"),
        ("downloading", 0, 0, ""),
        ("retrying", 2, 5, r"trying again .* try 2 of 5\s"),
        ("retrying", 5, 5, r"trying again .* try 5 of 5\s"),
        ("checking", 1_000_000, 2_000_000, r"checking .* 1\.0/2\.0 MB"),
        ("unpacking", 1_000_000, 2_000_000, r"unpacking .* 1\.0/2\.0 MB"),
    ],
)
def test_phases_of_a_download_on_a_terminal(phase: str, done: int, total: int | None, told: str) -> None:
    shown = seen(lambda reporter: reporter.transfer(phase, done, total))
    assert re.search(told, shown), shown


def test_one_phase_at_a_time_is_shown() -> None:
    def work(reporter: ConsoleReporter) -> None:
        reporter.transfer("waiting", 0, None)
        reporter.transfer("downloading", 5, None)
        reporter.transfer("retrying", 2, 5)
        reporter.transfer("downloading", 7_000_000, 9_000_000)
        assert list(reporter._tasks) == ["downloading"]
        reporter.transfer("downloading", 9_000_000, 9_000_000)
        assert not reporter._tasks

    seen(work)


@pytest.mark.parametrize(("total", "told"), [(2_000, "1,234/2,000"), (None, "1,234 ")])
def test_counts_on_a_terminal(total: int | None, told: str) -> None:
    shown = seen(lambda reporter: reporter.progress("listening [to] all", 1_234, total))
    assert "listening [to] all" in shown
    assert told in shown


@pytest.mark.parametrize("width", [20, 80, 120])
def test_epochs_on_a_terminal(width: int) -> None:
    shown = seen(lambda reporter: reporter.epoch("fold 10", RECORD, 50), width)
    assert "fold 10" in shown or width == 20
    assert "50.0 %" in shown or width == 20
    assert all(len(line) <= width for line in re.split(r"[\r\n]", shown))


def test_a_note_stands_above_the_line_and_stays() -> None:
    def work(reporter: ConsoleReporter) -> None:
        reporter.progress("decoding", 1, 3)
        reporter.note("a note [bold] of " + "many words " * 20)

    assert "a note [bold] of " + "many words " * 20 in seen(work)


def test_an_error_passes_and_the_line_is_taken_down() -> None:
    reporters: list[ConsoleReporter] = []

    def work(reporter: ConsoleReporter) -> None:
        reporters.append(reporter)
        reporter.transfer("downloading", 1, None)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        seen(work)
    assert not reporters[0]._progress.live.is_started
    reporters[0].transfer("downloading", 2, None)  # from a thread that has not heard of it yet


def test_several_threads_may_tell_at_once() -> None:
    def work(reporter: ConsoleReporter) -> None:
        def count() -> None:
            for done in range(200):
                reporter.progress("decoding", done, 200)

        threads = [threading.Thread(target=count) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(reporter._progress.tasks) == 1

    seen(work)


def test_a_log_gets_a_few_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with ConsoleReporter() as reporter:
        reporter.note("a note [bold]")
        reporter.transfer("waiting", 0, None)
        for done in range(0, 100_000_001, 1_000_000):
            reporter.transfer("downloading", done, None)
        reporter.transfer("retrying", 2, 5)
        for _ in range(3):
            reporter.transfer("unpacking", 6_000_000, 6_000_000)
        for done in range(1_001):
            reporter.progress("decoding", done, 1_000)
        reporter.epoch("fold 1", RECORD, 3)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "a note [bold]",
        "waiting for another process",
        "trying again: try 2 of 5",
        "unpacking: 6.0/6.0 MB",
        "decoding: 1,000/1,000",
        "fold 1: epoch 3/3, loss 0.250, right 87.5 %, held out 50.0 %",
    ]


def test_what_took_no_steps_is_called_no_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    with ConsoleReporter() as reporter:
        reporter.epoch("fold 1", SimpleNamespace(**{**vars(RECORD), "lr": 0.0}), 3)  # type: ignore[arg-type]
    told = capsys.readouterr().err
    assert told == "fold 1: fitted in one go, loss 0.250, right 87.5 %, held out 50.0 %\n"


def test_a_log_hears_of_unknown_lengths_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "_LOG_EVERY_S", 0.0)
    with ConsoleReporter() as reporter:
        reporter.transfer("downloading", 1_500_000, None)
        reporter.progress("listening", 7, None)
    assert capsys.readouterr().err == "downloading: 1.5 MB\nlistening: 7\n"
