"""A waveform as a page can hold it: a FLAC file to play and a spectrogram to look at, both as `data:` addresses.

The picture is made for people and not what a network sees: mel bands of the sound that is played, 80 dB deep.
"""

import base64
import io
import struct
import zlib
from functools import cache

import numpy as np
import numpy.typing as npt

from soundfold.evaluation.report.material import Sound

__all__ = ["BANDS", "MOST_SECONDS", "RATE_HZ", "band_of", "embed_sound"]

RATE_HZ = 22_050
"""The rate that sounds are embedded at: half the size of 44.1 kHz, and enough to hear what was mistaken."""
MOST_SECONDS = 8.0
"""So much of a clip is embedded, 350 kB at the very most."""
BANDS = 96
_N_FFT = 1024
_COLUMNS = 300
_DEPTH_DB = 80.0

Numbers = npt.NDArray[np.float64]


def embed_sound(waveform: npt.NDArray[np.float32]) -> Sound:
    """Return a mono waveform as a sound with its spectrogram; what is after `MOST_SECONDS` is cut.

    Args:
        waveform: (samples,) float32 at `RATE_HZ`, at least one sample; beyond -1 to 1 it is clipped, as players do.
    """
    import soundfile

    kept = waveform[: round(MOST_SECONDS * RATE_HZ)]
    file = io.BytesIO()
    soundfile.write(file, kept.clip(-1, 1), RATE_HZ, format="FLAC", subtype="PCM_16")
    return Sound(
        uri=_address("audio/flac", file.getvalue()),
        picture=_address("image/png", _png(_levels(kept.astype(np.float64)))),
        seconds=len(kept) / RATE_HZ,
        cut=len(kept) < len(waveform),
    )


def band_of(frequency_hz: float) -> float:
    """Return where a frequency stands among the bands, 0 (lowest) to 1 (half of `RATE_HZ`).

    >>> band_of(0), band_of(RATE_HZ / 2)
    (0.0, 1.0)
    """
    return float(_mel(frequency_hz) / _mel(RATE_HZ / 2))


def _levels(waveform: Numbers) -> npt.NDArray[np.uint8]:
    """Return the mel spectrogram (bands, columns), highest band first, 0 to 255 for the loudest 80 dB."""
    hop = max(1, -(-len(waveform) // _COLUMNS))
    padded = np.pad(waveform, _N_FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _N_FFT)[::hop][:_COLUMNS]
    power = np.abs(np.fft.rfft(frames * np.hanning(_N_FFT), axis=1)) ** 2 @ _bands().T
    level = 10 * np.log10(np.maximum(power, 1e-12))
    depth = (level - max(level.max(), -60.0)) / _DEPTH_DB + 1  # all but silence is drawn as silence, not stretched
    picture: npt.NDArray[np.uint8] = np.round(255 * depth.clip(0, 1)).astype(np.uint8)
    return picture.T[::-1]


@cache
def _bands() -> Numbers:
    """Return (BANDS, bins) weights: triangles on the mel scale, at least a bin wide, so that no band is empty."""
    bins = np.fft.rfftfreq(_N_FFT, 1 / RATE_HZ)
    edges = 700 * (10 ** (np.linspace(0, _mel(RATE_HZ / 2), BANDS + 2) / 2595) - 1)
    half = np.maximum((edges[2:] - edges[:-2]) / 2, RATE_HZ / _N_FFT)
    weights = np.maximum(0, 1 - np.abs(bins - edges[1:-1, None]) / half[:, None])
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float64)


def _mel(frequency_hz: float) -> float:
    return float(2595 * np.log10(1 + frequency_hz / 700))


def _png(levels: npt.NDArray[np.uint8]) -> bytes:
    """Return a picture of one byte a pixel as PNG with a palette: a quarter of the size of red, green and blue."""
    height, width = levels.shape
    rows = np.hstack([np.zeros((height, 1), np.uint8), levels]).tobytes()  # each row begins with its filter: none
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", _palette()),
        (b"IDAT", zlib.compress(rows, 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


@cache
def _palette() -> bytes:
    from matplotlib import colormaps

    colours = colormaps["magma"](np.arange(256), bytes=True)
    return bytes(np.ascontiguousarray(colours[:, :3]).tobytes())


def _address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
