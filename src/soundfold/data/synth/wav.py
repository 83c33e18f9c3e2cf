"""Writing WAV files of every kind that the real set has, byte for byte the same each time.

Written by hand for two reasons, both measured: libsndfile takes 1.8 ms to turn four stereo seconds into 16 bits where
numpy takes 0.3, and its float files carry the time of day. ADPCM alone goes through libsndfile.
"""

import io
import struct
from typing import Any, Literal

import numpy as np
import soundfile
from numpy.typing import NDArray

__all__ = ["ADPCM_BLOCK", "Encoding", "encode"]

Encoding = Literal["int16", "int24", "int32", "float32", "uint8", "adpcm"]

ADPCM_BLOCK = {1: 4089, 2: 2041}
"""Samples in a block of IMA ADPCM at 44,100 Hz, by channels: files hold whole blocks, readers see the padding."""
_BITS = {"int16": 16, "int24": 24, "int32": 32, "float32": 32, "uint8": 8}
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")


def encode(waveform: NDArray[np.float32], sample_rate: int, encoding: Encoding, extensible: bool = False) -> bytes:
    """Return a whole WAV file.

    Args:
        waveform: (channels, samples), float32, from -1 to 1; what lies outside is clipped.
        sample_rate: in Hz; for "adpcm" 44,100, with whole blocks of `ADPCM_BLOCK` samples.
        encoding: how a sample is stored.
        extensible: write a WAVE_FORMAT_EXTENSIBLE header; not for "adpcm".
    """
    if encoding == "adpcm":
        file = io.BytesIO()
        soundfile.write(file, np.clip(waveform, -1, 1).T, sample_rate, format="WAV", subtype="IMA_ADPCM")
        return file.getvalue()
    data = _samples(waveform, encoding)
    return _header(len(data), waveform.shape[0], sample_rate, encoding, extensible) + data + b"\0" * (len(data) % 2)


def _samples(waveform: NDArray[np.float32], encoding: Encoding) -> bytes:
    level = np.clip(waveform, -1, 1)
    if encoding == "float32":
        return _interleave(level, "<f4").tobytes()
    level *= np.float32({"int16": 2**15 - 1, "uint8": 2**7 - 1}.get(encoding, 2**23 - 1))
    np.rint(level, out=level)
    if encoding == "uint8":
        level += 128
        return _interleave(level, "u1").tobytes()
    if encoding == "int16":
        return _interleave(level, "<i2").tobytes()
    wide = _interleave(level, "<i4")
    if encoding == "int32":
        return (wide << 8).tobytes()
    four = wide.view("u1").reshape(-1, 4)
    three = np.empty((len(four), 3), dtype="u1")
    for place in range(3):
        three[:, place] = four[:, place]
    return three.tobytes()


def _interleave(level: NDArray[np.float32], dtype: str) -> NDArray[Any]:
    """Return the frames, (samples, channels); channel by channel is several times faster than a transposed copy."""
    frames = np.empty(level.shape[::-1], dtype=dtype)
    for channel, samples in enumerate(level):
        frames[:, channel] = samples
    return frames


def _header(size: int, channels: int, sample_rate: int, encoding: Encoding, extensible: bool) -> bytes:
    bits = _BITS[encoding]
    tag = _FLOAT if encoding == "float32" else _PCM
    frame = channels * bits // 8
    layout = struct.pack("<HIIHH", channels, sample_rate, sample_rate * frame, frame, bits)
    if extensible:
        speakers = 0x4 if channels == 1 else 0x3
        layout = struct.pack("<H", _EXTENSIBLE) + layout + struct.pack("<HHIH", 22, bits, speakers, tag) + _GUID_TAIL
    else:
        layout = struct.pack("<H", tag) + layout
    chunks = b"WAVEfmt " + struct.pack("<I", len(layout)) + layout
    if tag == _FLOAT:
        chunks += b"fact" + struct.pack("<II", 4, size // frame)
    chunks += b"data" + struct.pack("<I", size)
    return b"RIFF" + struct.pack("<I", len(chunks) + size + size % 2) + chunks
