"""Data sets: clips table and adapters, downloads, the synthetic set, splits and leaks, the waveform store, audit.

What the other rooms build on is named here; `audit`, `fetch` and `synth` are imported where they are used.
"""

from soundfold.data.clips import CLIP_COLUMNS, Clips, LeftOut, check_trainable
from soundfold.data.leaks import Leaks, find_leaks, straddling
from soundfold.data.reading import read_clips
from soundfold.data.splits import Split, by_fold, by_recording, default_split, everything, fold_splits, random_split
from soundfold.data.store import WaveformStore, cache_folder, open_store

__all__ = [
    "CLIP_COLUMNS",
    "Clips",
    "Leaks",
    "LeftOut",
    "Split",
    "WaveformStore",
    "by_fold",
    "by_recording",
    "cache_folder",
    "check_trainable",
    "default_split",
    "everything",
    "find_leaks",
    "fold_splits",
    "open_store",
    "random_split",
    "read_clips",
    "straddling",
]
