"""Listening: a file at the pace of a clock, a microphone that is not there, a listener that is late or is stopped."""

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from clicks import clicks_of
from model_files import MEL_MODEL, TINY_MODEL, write_tiny_model
from soundfold.cli import main
from soundfold.errors import AudioError, MissingExtraError
from soundfold.runtime import Event, Gap, Model, Span, load
from soundfold.runtime.intake import Intake
from soundfold.runtime.level import Level, LevelMeter
from soundfold.runtime.listening import Listening
from soundfold.runtime.microphone import Microphone, find_device, input_devices
from soundfold.runtime.played import PlayedFile

pytestmark = pytest.mark.runtime
RATE = 8_000


@pytest.fixture(scope="module")
def model() -> Model:
    return load(TINY_MODEL)


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """Two seconds of silence, three of something loud, two of silence."""
    loud = 0.6 * np.sign(np.random.default_rng(0).standard_normal(3 * RATE))
    path = tmp_path / "sound.wav"
    soundfile.write(path, np.concatenate([np.zeros(2 * RATE), loud, np.zeros(2 * RATE)]), RATE, subtype="FLOAT")
    return path


def ramp(start: int, stop: int) -> np.ndarray:
    return np.arange(start, stop, dtype=np.float32)[np.newaxis]


# the queue


def test_what_waits_is_taken_together_in_order() -> None:
    intake = Intake(RATE)
    assert intake.take(0.0) is None
    for start in (0, 10, 20):
        intake.put(ramp(start, start + 10))
    lost, block, at = intake.take(0.0) or pytest.fail("nothing came")
    assert (lost, block[0].tolist()) == (0, list(range(30)))
    assert 0 <= time.monotonic() - at < 5
    assert intake.ended is None
    intake.end("unplugged")
    assert (intake.take(5.0), intake.ended) == (None, "unplugged")


def test_of_too_much_the_oldest_is_lost_and_counted() -> None:
    intake = Intake(10, most_s=3.0)
    for start in range(0, 100, 5):
        intake.put(ramp(start, start + 5), lost=2 if start == 0 else 0)
    lost, block, _ = intake.take(0.0) or pytest.fail("nothing came")
    assert (lost, block[0].tolist()) == (72, list(range(70, 100)))


def test_sound_is_not_joined_over_a_loss() -> None:
    intake = Intake(RATE)
    intake.put(ramp(0, 5))
    intake.put(ramp(9, 12), lost=4)
    intake.end()
    pieces = [intake.take(0.0) or pytest.fail("nothing came") for _ in range(2)]
    assert [(piece.lost, piece.block.shape[1]) for piece in pieces] == [(0, 5), (4, 3)]
    assert intake.ended == ""


# the level


def test_level_of_a_sine() -> None:
    sine = np.sin(np.arange(RATE) / 8)[np.newaxis].astype(np.float32)
    level, notes = LevelMeter(RATE).measure(0.5 * sine)
    assert level.peak_db == pytest.approx(-6.02, abs=0.05)
    assert level.rms_db == pytest.approx(-9.03, abs=0.05)
    assert notes == []
    assert LevelMeter(RATE).measure(np.zeros((2, 9), np.float32))[0] == Level(-90, -90)


def test_silence_and_clipping_are_told_once_and_again_when_they_come_back() -> None:
    meter = LevelMeter(RATE)
    second = np.random.default_rng(0).uniform(-0.3, 0.3, (1, RATE)).astype(np.float32)
    silent, loud = np.zeros_like(second), np.clip(9 * second, -1, 1)
    told = [meter.measure(block)[1] for block in [second, *[silent] * 6, second, *[silent] * 3]]
    assert told[3] == told[10] == ["no sound arrives: is the microphone muted?"]
    assert told[7] == ["sound arrives again"]
    assert sum(map(len, told)) == 3
    told = [meter.measure(block)[1] for block in [loud, loud, *[second] * 7, loud]]
    assert [bool(notes) for notes in told] == [True] + [False] * 8 + [True]
    assert "turn the microphone down" in told[0][-1]


# a file at the pace of a clock


def heard_of(model: Model, source: PlayedFile, **how: object) -> tuple[list[object], Listening]:
    with Listening(model, source, **how) as listening:  # type: ignore[arg-type]
        return list(listening), listening


@pytest.mark.parametrize("speed", [0.0, 100.0])
def test_a_played_file_gets_the_answers_of_predict(model: Model, sound: Path, speed: float) -> None:
    heard, listening = heard_of(model, PlayedFile(sound, speed=speed), hop_s=0.5)
    spans = [one for one in heard if isinstance(one, Span)]
    expected = model.predict(sound, hop_s=0.5)
    assert [(span.start_s, span.end_s, span.label) for span in spans] == [
        (span.start_s, span.end_s, span.label) for span in expected.timeline
    ]
    assert [one for one in heard if isinstance(one, Event)] == list(expected.events)
    assert (listening.broke, listening.heard_s) == ("", 7.0)
    assert threading.active_count() == 1 or not any(t.name == "soundfold-played" for t in threading.enumerate())


def test_answers_come_within_the_hop_and_a_little(tmp_path: Path) -> None:
    """The same at 44,100 Hz in real time; a busy machine may be late once, and so the middle one counts here."""
    path = tmp_path / "x.wav"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.3, 0.3, round(2.5 * 44_100)), 44_100)
    begun = time.monotonic()
    heard, _ = heard_of(load(MEL_MODEL), PlayedFile(path), hop_s=0.1)
    assert time.monotonic() - begun > 2.4, "it was not played in real time"
    late = [one.latency_s or 0.0 for one in heard if isinstance(one, Span)]
    assert len(late) == 21
    assert 0 <= np.median(late) < 0.05 + 0.05, "50 ms, and as many for a machine that does other things"


def test_a_listener_that_stalls_is_told_what_it_lost(model: Model, sound: Path) -> None:
    gaps, spans = [], []
    with Listening(model, PlayedFile(sound, speed=10.0), most_s=0.5) as listening:
        for one in listening:
            if isinstance(one, Level) and not gaps and not spans:
                time.sleep(0.25)  # 2.5 s of sound
            gaps += [one] if isinstance(one, Gap) else []
            spans += [one] if isinstance(one, Span) else []
    lost_s = sum(gap.end_s - gap.start_s for gap in gaps)
    assert lost_s > 1.0, "nothing was lost: this test would see nothing"
    assert spans[-1].end_s == listening.heard_s == 7.0, "what follows stands at its time"
    assert sum(span.end_s - span.start_s for span in spans) + lost_s == pytest.approx(7.0, abs=1e-3)


def test_a_source_that_falls_silent_for_good_is_given_up(model: Model) -> None:
    source = SimpleNamespace(
        name="USB microphone", sample_rate=RATE, patience_s=0.2, stop=lambda: None,
        start=lambda intake: intake.put(np.full((1, 1_000), 0.1, np.float32)),
    )  # fmt: skip
    heard, listening = heard_of(model, source)  # type: ignore[arg-type]
    assert "USB microphone: has given no sound" in listening.broke
    assert [one.end_s for one in heard if isinstance(one, Span)] == [0.125], "what came before is answered"


@pytest.mark.parametrize("speed", [0.001, 1e-300, 5e-324])
def test_a_file_that_is_played_slowly_is_waited_for(model: Model, sound: Path, speed: float) -> None:
    source = PlayedFile(sound, speed=speed)
    assert Microphone.patience_s < source.patience_s == math.inf
    with Listening(model, source) as listening:
        timer = threading.Timer(0.2, listening.stop)
        timer.start()
        list(listening)
        assert (listening.broke, listening.heard_s) == ("", 0.0), "it did not end by itself"
    timer.join()


# a microphone that is not there


class FakeSounddevice:
    """What `runtime.microphone` uses of sounddevice, with three devices and sound on demand."""

    class PortAudioError(Exception):
        pass

    def __init__(self) -> None:
        self.default = SimpleNamespace(device=(2, 0))
        self.refuse: str | None = None
        self.opened: list[FakeStream] = []

    def query_hostapis(self) -> list[dict[str, object]]:
        return [{"name": "ALSA"}]

    def query_devices(self) -> list[dict[str, object]]:
        rows = [("Speakers", 0, 44_100.0), ("USB Audio: left", 1, 44_100.0), ("USB Audio: right", 8, 48_000.0)]
        names = ("name", "max_input_channels", "default_samplerate")
        return [{**dict(zip(names, row, strict=True)), "hostapi": 0} for row in rows]

    def InputStream(self, **how: object) -> "FakeStream":  # noqa: N802
        if self.refuse:
            raise self.PortAudioError(self.refuse)
        self.opened.append(FakeStream(how))
        return self.opened[-1]


class FakeStream:
    def __init__(self, how: dict[str, object]) -> None:
        self.how, self.active, self.clock = how, False, 100.0

    def start(self) -> None:
        self.active = True

    def close(self, **_: bool) -> None:
        self.active = False
        self.how["finished_callback"]()  # type: ignore[operator]

    def speak(self, frames: np.ndarray, lost_s: float = 0.0) -> None:
        self.clock += lost_s
        status = SimpleNamespace(input_overflow=lost_s > 0)
        self.how["callback"](frames, len(frames), SimpleNamespace(inputBufferAdcTime=self.clock), status)  # type: ignore[operator]
        self.clock += len(frames) / int(self.how["samplerate"])  # type: ignore[call-overload]


@pytest.fixture
def sounddevice(monkeypatch: pytest.MonkeyPatch) -> FakeSounddevice:
    fake = FakeSounddevice()
    monkeypatch.setitem(sys.modules, "sounddevice", fake)  # type: ignore[arg-type]
    return fake


def test_microphones_are_found_by_number_and_by_name(sounddevice: FakeSounddevice) -> None:
    assert [(one.number, one.channels, one.is_default) for one in input_devices()] == [(1, 1, False), (2, 8, True)]
    assert find_device(None).number == find_device("2").number == find_device("RIGHT").number == 2
    with pytest.raises(AudioError, match=r"fits 1 \(USB Audio: left\), 2 \(USB Audio: right\)\. Say its number"):
        find_device("usb")
    with pytest.raises(AudioError, match="got 'USB Audio: lift'. Did you mean 'USB Audio: left'"):
        find_device("USB Audio: lift")
    with pytest.raises(AudioError, match="got '0'"):
        find_device("0")  # loudspeakers


def test_a_microphones_sound_is_copied_turned_and_its_loss_counted(sounddevice: FakeSounddevice) -> None:
    microphone, intake = Microphone(find_device("2")), Intake(48_000)
    microphone.start(intake)
    (opened,) = sounddevice.opened
    assert (opened.how["channels"], opened.how["samplerate"], opened.how["blocksize"]) == (2, 48_000, 480)
    buffer = np.full((480, 2), 0.25, np.float32)
    opened.speak(buffer)
    buffer[:] = 9.0  # PortAudio's memory is used again
    opened.speak(np.full((480, 2), 0.5, np.float32), lost_s=0.25)
    first, second = (intake.take(0.0) or pytest.fail("nothing came") for _ in range(2))
    assert (first.lost, first.block.shape, float(first.block.max())) == (0, (2, 480), 0.25)
    assert (second.lost, float(second.block.min())) == (12_000, 0.5)
    assert microphone.is_alive()
    microphone.stop()
    assert not microphone.is_alive()
    assert intake.ended == "USB Audio: right: gives no more sound. Was it unplugged?"


def test_a_microphone_that_is_taken_is_told(sounddevice: FakeSounddevice, capsys: pytest.CaptureFixture[str]) -> None:
    sounddevice.refuse = "Device unavailable [PaErrorCode -9985]"
    assert main(["listen", str(TINY_MODEL)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "USB Audio: right: cannot be opened (Device unavailable [PaErrorCode -9985]). Close what else" in line


def test_a_microphone_that_is_unplugged_is_told_and_its_events_are_written(
    sounddevice: FakeSounddevice, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def speak_and_go() -> None:
        while not sounddevice.opened:
            time.sleep(0.01)
        for _ in range(300):
            sounddevice.opened[0].speak(np.full((480, 2), 0.6, np.float32))
        sounddevice.opened[0].how["finished_callback"]()  # type: ignore[operator]

    threading.Thread(target=speak_and_go).start()
    events = tmp_path / "events.txt"
    assert main(["listen", str(TINY_MODEL), "--events", str(events)]) == 2
    out, err = capsys.readouterr()
    assert "USB Audio: right: gives no more sound. Was it unplugged?" in err.splitlines()[-1]
    assert "event\t0.00\t3.00\thigh" in out
    assert events.read_text() == "0.000000\t3.000000\thigh\n"


def test_list(sounddevice: FakeSounddevice, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["listen", "--list"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        " \t1\tUSB Audio: left\tALSA\t1\t44100 Hz", "*\t2\tUSB Audio: right\tALSA\t8\t48000 Hz"
    ]  # fmt: skip


def test_missing_libraries_name_their_mend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingExtraError, match=r"pip install .*\[live\]"):
        input_devices()
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.delitem(sys.modules, "sounddevice")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtraError, match="apt install libportaudio2") as told:
        input_devices()
    assert "\n" not in str(told.value)


# the verb


@pytest.mark.parametrize(("suffix", "lines"), [("csv", 4), ("txt", 3), ("tsv", 4)])
def test_events_are_written_as_predict_writes_them(sound: Path, tmp_path: Path, suffix: str, lines: int) -> None:
    events = tmp_path / f"events.{suffix}"
    asked = ["listen", str(TINY_MODEL), "--from", str(sound), "--speed", "0", "--events", str(events)]
    assert main(asked) == 0
    assert len(events.read_text("utf-8").splitlines()) == lines
    assert main(asked) == 2, "nothing is overwritten"
    assert len(events.read_text("utf-8").splitlines()) == lines


def test_json_lines(sound: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["listen", str(TINY_MODEL), "--from", str(sound), "--speed", "0", "--format", "jsonl"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["label"] for one in told if one["kind"] == "event"] == ["low", "high", "low"]
    assert {one["kind"] for one in told} <= {"span", "event", "note"}
    assert all("latency_s" in one for one in told if one["kind"] == "span")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order_with_the_open_event_written(tmp_path: Path, number: signal.Signals) -> None:
    path, events = tmp_path / "loud.wav", tmp_path / "events.csv"
    soundfile.write(path, np.full(60 * RATE, 0.6), RATE)
    words = ["listen", TINY_MODEL, "--from", path, "--events", events]
    listening = subprocess.Popen(
        [sys.executable, "-m", "soundfold", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert listening.stdout is not None
    assert "high" in listening.stdout.readline()
    listening.send_signal(number)
    out, err = listening.communicate(timeout=100)
    assert listening.returncode == 0, err
    assert "Traceback" not in err
    assert "stopped after" in err
    assert "event\t0.00\t" in out
    (_, row) = events.read_text().splitlines()
    assert f"{path},event,0.0," in row


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "listen must be told a model"),
        ([TINY_MODEL, "--from", "nosuch.wav"], "nosuch.wav: does not exist"),
        ([TINY_MODEL, "--from", ".", "--speed", "0"], "is a folder"),
        ([TINY_MODEL, "--from", TINY_MODEL], "is not a sound"),
        (["nosuch.onnx", "--from", "{sound}"], "nosuch.onnx"),
        ([TINY_MODEL, "--from", "{sound}", "--device", "1"], "--from and --device must not both be given"),
        ([TINY_MODEL, "--from", "{sound}", "--speed", "-1"], "speed must be from 0"),
        ([TINY_MODEL, "--from", "{sound}", "--hop", "9"], "hop must be more than 0"),
        ([TINY_MODEL, "--from", "{sound}", "--threshold", "2"], "threshold must be above 0"),
        ([TINY_MODEL, "--from", "{sound}", "--events", "x.mp3"], "--events must end in .csv"),
        ([TINY_MODEL, "--from", "{sound}", "--events", "no/x.csv"], "there is no such folder"),
    ],
)
def test_what_cannot_be_is_one_line(
    sound: Path, words: list[object], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["listen", *(str(word).format(sound=sound) for word in words)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line


# what takes long


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not tell its memory this way")
def test_an_hour_of_sound_needs_no_more_memory_than_a_minute(tmp_path: Path) -> None:
    path = tmp_path / "hour.wav"
    minute = np.random.default_rng(0).integers(-9_000, 9_000, 60 * 44_100).astype(np.int16)
    with soundfile.SoundFile(path, "w", 44_100, 1, "PCM_16") as file:
        for _ in range(60):
            file.write(minute)
    resident: list[float] = []
    with Listening(load(MEL_MODEL), PlayedFile(path, speed=0), hop_s=0.25) as listening:
        for one in listening:
            if isinstance(one, Span):
                last = one
                if one.start_s % 60 == 0:
                    resident.append(resident_mb())
            assert not isinstance(one, Gap)
    print("MB resident, minute by minute:", " ".join(f"{mb:.1f}" for mb in resident))
    assert len(resident) == 60
    assert max(resident[5:]) - resident[5] < 3.0
    assert last.end_s == listening.heard_s == 3_600.0


@pytest.mark.long
@pytest.mark.parametrize(("rate", "own_rate"), [(32_000, 32_000), (44_100, 32_000), (48_000, 8_000)])
def test_latency_over_a_minute(tmp_path: Path, rate: int, own_rate: int) -> None:
    pytest.importorskip("onnx")
    path = tmp_path / "minute.wav"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.3, 0.3, 60 * rate), rate)
    opened = load(write_tiny_model(tmp_path / "tiny.onnx", sample_rate=own_rate, window=own_rate))
    heard, _ = heard_of(opened, PlayedFile(path), hop_s=0.25)
    late = np.array([one.latency_s or 0.0 for one in heard if isinstance(one, Span)])
    middle, most = 1e3 * np.median(late), 1e3 * np.quantile(late, 0.99)
    print(f"{rate} to {own_rate} Hz: ms after a window's end: p50 {middle:.1f}, p99 {most:.1f}")
    assert most < 50


@pytest.mark.long
def test_an_hour_at_odd_rates_does_not_drift() -> None:
    for rate in (44_100, 11_025):
        assert clicks_of(rate, 8_000, 3_600, 60) <= 1.5 / 8_000
