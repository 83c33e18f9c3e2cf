"""The files that `fuzz.py` mutates, and what is tried with each: the answer of a model for a sound, or of a file."""

import io
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import soundfile

from model_files import TINY_MODEL
from mutations import mutated_bytes, mutated_message

__all__ = ["attempt", "file_of", "sound_files"]

_RATE = 8_000
_FIXTURES = TINY_MODEL.parent


def attempt(kind: str, case: int) -> BaseException | None:
    """Try one case; return what it raised, or None where it was answered. Case -1 is a whole file."""
    content = file_of(kind, case)
    try:
        (_hear if kind == "sounds" else _ask)(content, by_path=case % 8 == 0)
    except Exception as error:
        return error
    return None


def file_of(kind: str, case: int) -> bytes:
    """Return the file of a case."""
    files = sound_files() if kind == "sounds" else _model_files()
    if case < 0:
        return files[0]
    draw = np.random.default_rng((len(kind), case))
    chosen = files[int(draw.integers(len(files)))]
    if kind == "sounds":
        return mutated_bytes(chosen, files, draw)
    if draw.random() < 0.2:
        return mutated_bytes(chosen, files, draw)
    for _ in range(int(draw.integers(1, 4))):
        chosen = mutated_message(chosen, draw)
    return _sealed_anew(chosen, draw)


def _sealed_anew(content: bytes, draw: np.random.Generator) -> bytes:
    """Return a file with a seal that fits, or none, but for a few: or hardly any would be looked at further."""
    from soundfold.runtime.seal import sealed, unsealed

    chance = draw.random()
    try:
        return sealed(content) if chance < 0.6 else unsealed(content) if chance < 0.9 else content
    except ValueError:
        return content


def _hear(content: bytes, *, by_path: bool) -> None:
    if not by_path:
        _tiny().predict(content)
        return
    with _file(content, ".m4a") as path:
        _tiny().predict(path)


def _ask(content: bytes, *, by_path: bool) -> None:
    from soundfold.runtime import load

    with _file(content, ".onnx") as path:
        model = load(path, portable=by_path)
        model.probabilities(np.zeros((1, model.card.channels, model.card.window), np.float32))


class _file:  # noqa: N801 (a context, used as a function)
    """A file of these bytes, removed in the end."""

    def __init__(self, content: bytes, suffix: str) -> None:
        handle, name = tempfile.mkstemp(suffix)
        os.write(handle, content)
        os.close(handle)
        self.path = Path(name)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.path.unlink(missing_ok=True)


@cache
def _tiny():
    from soundfold.runtime import load

    return load(TINY_MODEL)


@cache
def _model_files() -> list[bytes]:
    return [path.read_bytes() for path in sorted(_FIXTURES.rglob("*.onnx"))]


@cache
def sound_files() -> list[bytes]:
    """Return a short sound in every kind of file that people have."""
    return [make() for make in (*_BY_SOUNDFILE, *_BY_LIBAV)]


def _tone(channels: int = 1, rate: int = _RATE) -> np.ndarray:
    time = np.arange(round(0.3 * rate)) / rate
    noise = 0.01 * np.random.default_rng(0).standard_normal((len(time), channels))
    return (0.4 * np.sin(2 * np.pi * 300 * time)[:, np.newaxis] + noise).astype(np.float32)


def _soundfile(kind: str, coding: str | None = None, channels: int = 1) -> Callable[[], bytes]:
    def make() -> bytes:
        file = io.BytesIO()
        soundfile.write(file, _tone(channels), _RATE, format=kind, subtype=coding)
        return file.getvalue()

    return make


def _libav(container: str, codec: str, rate: int = 48_000) -> Callable[[], bytes]:
    def make() -> bytes:
        import av

        file = io.BytesIO()
        with av.open(file, "w", format=container) as output:
            stream = output.add_stream(codec, rate=rate, layout="mono")
            stream.bit_rate = 64_000
            wave = np.ascontiguousarray(_tone(1, rate).T)
            frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            frame.sample_rate = rate
            resampler = av.AudioResampler(format=stream.format, layout="mono", rate=rate, frame_size=stream.frame_size)
            frames = [*resampler.resample(frame), *resampler.resample(None)]
            for piece in [*frames, None]:
                output.mux(stream.encode(piece))
        return file.getvalue()

    return make


_BY_SOUNDFILE = (
    _soundfile("WAV"), _soundfile("WAV", "PCM_24", 2), _soundfile("WAV", "FLOAT"), _soundfile("WAV", "IMA_ADPCM"),
    _soundfile("WAV", "ULAW"), _soundfile("WAVEX", "PCM_16", 6), _soundfile("RF64"), _soundfile("W64"),
    _soundfile("FLAC"), _soundfile("FLAC", "PCM_24", 2), _soundfile("OGG", "VORBIS"), _soundfile("OGG", "OPUS"),
    _soundfile("MP3"), _soundfile("AIFF"), _soundfile("CAF"), _soundfile("AU"),
)  # fmt: skip
_BY_LIBAV = (
    _libav("ipod", "aac"), _libav("adts", "aac"), _libav("mp4", "aac"), _libav("webm", "libopus"),
    _libav("matroska", "ac3"), _libav("asf", "wmav2", 44_100), _libav("ipod", "alac"), _libav("flv", "aac", 44_100),
    _libav("mpegts", "aac"), _libav("ac3", "ac3"),
)  # fmt: skip
