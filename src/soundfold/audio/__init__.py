"""Sound in, float32 waveforms `(channels, samples)` out: decode, resample, channels, length, windows.

    source.py        what may be given as a sound, and what an error message calls it
    complaint.py     what a file that is no sound looks like
    hush.py          libmpg123 keeps its notes to itself
    soundfile_in.py  WAV, FLAC, OGG, MP3, AIFF… through soundfile
    wav_in.py        regular WAV files that are in memory, without soundfile
    libav_in.py      M4A, AAC, Opus, WebM, video… through PyAV
    gaps.py          silence where the times of a file's frames leap
    arriving.py      WebM and Ogg whose bytes are still arriving
    asked.py         what can be asked of a sound
    decode.py        probe, stream, load, read
    resample.py      another sample rate, at once or block by block
    prompt_resampling.py  block by block, for somebody who waits for the newest samples
    shape.py         channels, length, windows
    folder.py        which sounds a folder holds

Example:
    >>> import io, numpy as np, soundfile
    >>> from soundfold.audio import load
    >>> file = io.BytesIO()
    >>> soundfile.write(file, np.zeros(2_205), 22_050, format="WAV")
    >>> load(file, sample_rate=44_100, channels=2).shape
    (2, 4410)
"""

from soundfold.audio.decode import load, probe, read, stream
from soundfold.audio.folder import Met, is_hidden, walk
from soundfold.audio.prompt_resampling import PromptResampler
from soundfold.audio.resample import checked_rate, resample, resample_blocks, resampled_length
from soundfold.audio.shape import (
    SILENT_PEAK,
    Downmix,
    fit_length,
    holds_nothing,
    remix,
    windows,
    windows_with_sound,
)
from soundfold.audio.source import AUDIO_SUFFIXES, SoundInfo, Source

__all__ = [
    "AUDIO_SUFFIXES",
    "SILENT_PEAK",
    "Downmix",
    "Met",
    "PromptResampler",
    "SoundInfo",
    "Source",
    "checked_rate",
    "fit_length",
    "holds_nothing",
    "is_hidden",
    "load",
    "probe",
    "read",
    "remix",
    "resample",
    "resample_blocks",
    "resampled_length",
    "stream",
    "walk",
    "windows",
    "windows_with_sound",
]
