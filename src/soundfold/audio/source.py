"""What may be given as a sound: a path, its bytes, or a file object; and the name that an error message gives it.

Nothing is decoded here. A source leaves as a path or as a binary file that stands at its first byte.
"""

import io
import os
import stat
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from soundfold.errors import AudioError, PathError

__all__ = ["AUDIO_SUFFIXES", "SoundInfo", "Source", "Target", "Waveform", "binary", "called", "locate"]

Source: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO
Target: TypeAlias = str | BinaryIO
Waveform: TypeAlias = npt.NDArray[np.float32]

_SUFFIXES = (
    ".wav .wave .rf64 .w64 .flac .mp2 .mp3 .aif .aiff .aifc .au .caf .ogg .oga .opus .m4a .m4b .aac .ac3 .wma .amr "
    ".ape .tta .wv .mp4 .m4v .mov .3gp .mka .mkv .webm .weba .avi .flv .mpg .mpeg"
)
AUDIO_SUFFIXES = frozenset(_SUFFIXES.split())


@dataclass(frozen=True)
class SoundInfo:
    """What a sound's header says of it.

    Attributes:
        sample_rate: samples a second, in Hz.
        channels: number of channels.
        duration_s: length in seconds as the header promises it, or None where it says nothing.
        container: kind of file: `WAV`, `FLAC`, `MP4`…
        codec: coding inside it, as soundfile or FFmpeg call it: `PCM_16`, `VORBIS`, `aac`…
    """

    sample_rate: int
    channels: int
    duration_s: float | None
    container: str
    codec: str


def locate(source: Source, name: str | None = None) -> tuple[Target, str]:
    """Return what can be opened, and what messages call it.

    A file object is rewound to its beginning, is never closed, and must be able to seek.

    Args:
        source: a path, the content of a file, or a file that is open for reading bytes.
        name: what messages call the sound; by default its path.

    Raises:
        PathError: the path does not exist, or is a folder.
        AudioError: the source is empty, or nothing that can be read.
    """
    label = called(source, name)
    if isinstance(source, str | os.PathLike):
        path = os.fsdecode(source)
        _check_file(path, label)
        return path, label
    if isinstance(source, bytes | bytearray | memoryview):
        if not len(source):
            raise _empty(label)
        return io.BytesIO(source), label
    return _rewound(source, label), label


def called(source: Source, name: str | None = None) -> str:
    """Return what messages call a source: the given name, else its path, on one line."""
    if not name:
        if isinstance(source, str | os.PathLike):
            name = os.fsdecode(source)
        elif isinstance(source, bytes | bytearray | memoryview):
            name = "the given bytes"
        else:
            name = _file_name(source)
    return _one_line(name)


@contextmanager
def binary(target: Target, name: str) -> Iterator[BinaryIO]:
    """Give a target as a binary file at its first byte; close it afterwards only if it was a path.

    Raises:
        PathError: the path may not be read.
    """
    if not isinstance(target, str):
        target.seek(0)
        yield target
        return
    try:
        file = Path(target).open("rb")  # noqa: SIM115 (closed below; errors of the user of the file are not ours)
    except OSError as error:
        raise PathError(f"{name}: cannot be read ({error.strerror or error}). Check that you may read it.") from error
    with file:
        yield file


def _check_file(path: str, label: str) -> None:
    try:
        state = os.stat(path)  # noqa: PTH116 (a Path costs more than the call, and this runs for every clip)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise PathError(f"{label}: does not exist. Check the spelling of the path.") from error
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise PathError(f"{label}: is not a path that can be read ({reason}). Check the path.") from error
    if stat.S_ISDIR(state.st_mode):
        raise PathError(f"{label}: is a folder, not a sound. Name a file inside it.")
    if not stat.S_ISREG(state.st_mode):
        raise AudioError(f"{label}: is a pipe or a device, not a file. Read it into memory and give the bytes.")
    if state.st_size == 0:
        raise _empty(label)


def _rewound(source: Any, label: str) -> BinaryIO:
    if not (hasattr(source, "read") and hasattr(source, "seek") and hasattr(source, "tell")):
        raise AudioError(f"source must be a path, bytes or an open file, got {type(source).__name__}.")
    if getattr(source, "closed", False):
        raise AudioError(f"{label}: is a file that was closed already. Open it again.")
    if isinstance(source, io.TextIOBase):
        raise AudioError(f"{label}: is open as text. Open it with mode 'rb'.")
    if hasattr(source, "seekable") and not source.seekable():
        raise AudioError(f"{label}: is a stream that cannot seek. Read it into memory and give the bytes.")
    if source.seek(0, os.SEEK_END) == 0:
        raise _empty(label)
    source.seek(0)
    return cast(BinaryIO, source)


def _empty(label: str) -> AudioError:
    return AudioError(f"{label}: is empty (0 bytes). Remove it or fetch it again.")


def _file_name(source: object) -> str:
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else "the given file"


def _one_line(name: str) -> str:
    """Escape line breaks, control characters and invalid Unicode, so that a message stays one printable line."""
    if name.isprintable():
        return name
    return "".join(
        repr(sign)[1:-1] if unicodedata.category(sign) in {"Cc", "Cs", "Zl", "Zp"} else sign for sign in name
    )
