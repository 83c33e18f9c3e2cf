"""Answers as text and tables: what is written reads back as what was told."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from soundfold.errors import AudioError
from soundfold.formats import (
    AudacityLabels,
    CsvRows,
    EventFormat,
    JsonList,
    ParquetRows,
    RavenSelections,
    Table,
    TextFormat,
)
from soundfold.runtime import UNKNOWN, Event, Prediction, Span

pytestmark = pytest.mark.runtime

SPANS = (Span(0.0, 4.0, "dog", 0.9, {"dog": 0.9, "cat": 0.1}), Span(4.0, 6.5, "cat", 0.6, {"dog": 0.4, "cat": 0.6}))
EVENTS = (Event(0.0, 4.0, "dog", 0.9, 0.95), Event(4.0, 6.5, "c\ta,\nt", 0.6, 0.6))
LONG = Prediction("", "dog", 0.7, {"dog": 0.7, "cat": 0.3}, 6.5, SPANS, events=EVENTS)
SHORT = Prediction("", "cat", 0.4, {"dog": 0.3, "cat": 0.4}, 2.0, SPANS[1:])
BAD = AudioError("x: is damaged")
SEVERAL = Prediction(
    "", "dog", 0.9, {"dog": 0.9, "cat": 0.8}, 1.0,
    (Span(0.0, 1.0, "dog", 0.9, {"dog": 0.9, "cat": 0.8}, labels=("dog", "cat")),), labels=("dog", "cat"),
)  # fmt: skip


def text(format_: TextFormat, *answers: Prediction | AudioError) -> str:
    sounds = [format_.sound(f"{n}.wav", answer) for n, answer in enumerate(answers)]
    return "".join([format_.head(), *sounds, format_.tail()])


def test_table_tells_spans_of_long_sounds_alone() -> None:
    lines = text(Table(), LONG, BAD, SHORT, SEVERAL).splitlines()
    assert lines[0] == "0.wav\tdog\t0.700"
    assert lines[1:3] == ["       0.00 –      4.00 s\tdog\t0.900", "       4.00 –      6.50 s\tc a, t\t0.600"]
    assert lines[3:] == ["2.wav\tcat\t0.400", "3.wav\tdog;cat\t0.900;0.800"]
    assert text(Table(windows=True), LONG).splitlines()[1:] == [
        "       0.00 –      4.00 s\tdog\t0.900", "       4.00 –      6.50 s\tcat\t0.600"
    ]  # fmt: skip


def test_json_is_one_document() -> None:
    told = json.loads(text(JsonList(), LONG, BAD, SHORT))
    assert [entry["path"] for entry in told] == ["0.wav", "1.wav", "2.wav"]
    assert told[0]["events"] == [event.as_dict() for event in EVENTS]
    assert told[1] == {"path": "1.wav", "error": "x: is damaged"}
    assert (told[2]["events"], "timeline" in told[2]) == ([], False)
    assert json.loads(text(JsonList())) == []
    odd = JsonList("ascii").sound("é\udcff.wav", SHORT)
    assert odd.isascii()
    assert json.loads(odd)["path"] == "é\udcff.wav"


def test_csv_has_a_row_a_sound_and_one_an_event() -> None:
    table = list(csv.DictReader(io.StringIO(text(CsvRows(), LONG, BAD, SHORT, SEVERAL))))
    assert [(row["path"], row["kind"], row["label"]) for row in table] == [
        ("0.wav", "sound", "dog"), ("0.wav", "event", "dog"), ("0.wav", "event", "c\ta,\nt"),
        ("1.wav", "error", ""), ("2.wav", "sound", "cat"), ("3.wav", "sound", "dog"), ("3.wav", "sound", "cat"),
    ]  # fmt: skip
    assert (float(table[1]["start_s"]), float(table[1]["end_s"]), float(table[1]["peak"])) == (0.0, 4.0, 0.95)
    assert (table[3]["error"], table[3]["probability"]) == ("x: is damaged", "")
    told = list(csv.DictReader(io.StringIO(text(CsvRows(windows=True), LONG, SEVERAL))))
    assert [row["label"] for row in told if row["kind"] == "window"] == ["dog", "cat", "dog", "cat"]
    assert {row["peak"] for row in told} == {""}


@pytest.mark.parametrize("name", ["a\rb.wav", "a\nb.wav", "a\r\nb.wav", 'a"b,c.wav', "\r"])
def test_csv_reads_back_whatever_a_name_holds(name: str) -> None:
    whole = CsvRows().head() + CsvRows().sound(name, SHORT)
    (row,) = csv.DictReader(io.StringIO(whole, newline=""))
    assert (row["path"], row["label"]) == (name, "cat")
    assert whole.replace(name, "").count("\r") == 0, "lines end as before"


def test_a_table_tells_what_an_unknown_sound_is_like() -> None:
    cat = Span(0.0, 4.0, UNKNOWN, 0.6, {"dog": 0.4, "cat": 0.6}, nearest="cat")
    answer = Prediction("", UNKNOWN, 0.7, {"dog": 0.7, "cat": 0.3}, 8.0, (cat, SPANS[1]), nearest="dog")
    told = list(csv.DictReader(io.StringIO(text(CsvRows(windows=True), answer, LONG))))
    named = [(row["kind"], row["label"], row["nearest"]) for row in told]
    assert named[:3] == [("sound", "unknown", "dog"), ("window", "unknown", "cat"), ("window", "cat", "")]
    assert {row["nearest"] for row in told[3:]} == {""}
    red = Prediction("", "\x1b[31mred\n", 1.0, {"\x1b[31mred\n": 1.0}, 1.0, ())
    assert text(Table(), red) == "0.wav\t [31mred \t1.000\n"
    lines = text(Table(windows=True), answer, LONG).splitlines()
    assert lines[0] == "0.wav\tunknown\t0.700\tnearest: dog"
    assert lines[1].endswith("\tunknown\t0.600\tnearest: cat")
    assert not any("nearest" in line for line in lines[2:])


def test_parquet_holds_the_same_rows(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    for windows in (False, True):
        file = ParquetRows(tmp_path / "x.parquet", windows)
        for n, answer in enumerate((LONG, BAD, SHORT, SEVERAL)):
            file.sound(f"{n}.wav", answer)
        file.sound("\udcff.wav", SHORT)
        file.close()
        held = parquet.read_table(tmp_path / "x.parquet").to_pylist()
        told = csv.DictReader(io.StringIO(text(CsvRows(windows), LONG, BAD, SHORT, SEVERAL)))
        rows = [{name: "" if cell is None else str(cell) for name, cell in row.items()} for row in held]
        odd = [row for row in rows if row["path"] == "\\udcff.wav"]
        assert [row["kind"] for row in odd] == (["sound", "window"] if windows else ["sound"])
        assert rows[: -len(odd)] == list(told)
    ParquetRows(tmp_path / "none.parquet").close()
    assert parquet.read_table(tmp_path / "none.parquet").num_rows == 0


def test_audacity_reads_start_end_and_label() -> None:
    assert text(AudacityLabels(), LONG) == "0.000000\t4.000000\tdog\n4.000000\t6.500000\tc a, t\n"
    assert text(AudacityLabels(), SHORT) == text(AudacityLabels(), BAD) == ""


def test_raven_counts_over_the_sequence_of_sounds() -> None:
    lines = [line.split("\t") for line in text(RavenSelections(16_000), LONG, BAD, LONG).splitlines()]
    columns = list(zip(*lines, strict=True))
    told = {heading: column for heading, *column in columns}
    assert told["Selection"] == ["1", "2", "3", "4"]
    assert told["Begin Time (s)"] == ["0.000000", "4.000000", "6.500000", "10.500000"]
    assert told["End Time (s)"] == ["4.000000", "6.500000", "10.500000", "13.000000"]
    assert told["File Offset (s)"] == ["0.000000", "4.000000"] * 2
    assert told["Begin Path"] == ["0.wav", "0.wav", "2.wav", "2.wav"]
    assert (set(told["Low Freq (Hz)"]), set(told["High Freq (Hz)"])) == ({"0"}, {"16000"})
    assert (set(told["View"]), set(told["Channel"])) == ({"Spectrogram 1"}, {"1"})


@pytest.mark.parametrize("kind", [AudacityLabels, CsvRows, lambda: RavenSelections(4_000)])
def test_events_told_one_by_one_are_those_of_the_whole(kind: Callable[[], EventFormat]) -> None:
    whole = [line for line in text(kind(), LONG).splitlines(keepends=True) if ",sound," not in line]
    form = kind()
    assert form.head() + "".join(form.events("0.wav", [event]) for event in EVENTS) == "".join(whole)
