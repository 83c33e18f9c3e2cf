"""Clips that bear several labels: tables of tones for tests."""

from pathlib import Path

import numpy as np
import soundfile

from conftest import RATE, tone

TONES = {"low": 300.0, "high": 1500.0}


def write_tones(folder: Path, clips: int = 48) -> Path:
    """Write clips with none, either, or both of two independent tones, two a recording, in three folds; as a table."""
    folder.mkdir(parents=True)
    lines = ["path,label,fold,group"]
    for clip in range(clips):
        borne = [label for bit, label in enumerate(TONES) if clip >> bit & 1]
        sound = sum((tone(TONES[label], 0.5, 10 * clip + k) for k, label in enumerate(borne)), np.zeros(RATE // 2))
        sound = sound + np.random.default_rng(clip).normal(0, 0.02, RATE // 2)
        soundfile.write(folder / f"{clip}.wav", sound * 0.5, RATE, subtype="PCM_16")
        lines.append(f"{clip}.wav,{';'.join(borne)},{clip // 4 % 3 + 1},r{clip // 2}")
    (folder / "clips.csv").write_text("\n".join(lines))
    return folder / "clips.csv"
