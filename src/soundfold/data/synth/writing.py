"""Writing the set: sounds from the plan on all cores, files, the table, and the rename that makes it whole."""

import csv
import errno
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soundfold.cores import usable_cores
from soundfold.data.adapters.urbansound8k import SYNTHETIC, TABLE
from soundfold.data.synth.plan import Occurrence, Recording, Slice, draw_plan
from soundfold.data.synth.scene import Scene, inner_rate
from soundfold.data.synth.voices import LABELS, VOICES
from soundfold.data.synth.wav import encode
from soundfold.errors import PathError

__all__ = ["COLUMNS", "synthesise"]

COLUMNS = ("slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class")

_FAINTEST = 0.03
_NOT_REAL = "These sounds are synthetic, made by `soundfold data synth`; only the layout is UrbanSound8K's.\n"


def synthesise(
    dest: str | os.PathLike[str],
    *,
    clips: int = 600,
    folds: int = 10,
    seed: int = 0,
    length_s: float | None = None,
    plain: bool = False,
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a synthetic data set in UrbanSound8K's layout: ten classes of sounds, several clips a recording.

    Nothing in it is recorded, so it needs no download and no licence. The clips of one recording share their source,
    place and device: a random split over clips is therefore far easier than the official folds, as with real data. The
    same arguments give the same bytes, however many workers there are, on the same machine and numpy.

    Args:
        dest: folder to make; it may exist when it is empty.
        clips: how many, at least ten a fold, at most 100,000.
        folds: 1 to 10.
        seed: not negative; another seed is another world of recordings.
        length_s: length of every clip in seconds, 0.05 to 60; None for the real set's mix, most of them 4 s.
        plain: every file mono, 16 bits, 44,100 Hz, in place of the real set's mix of kinds.
        workers: threads; None for one a core.
        on_progress: called in the calling thread with (clips done, clips in all).

    Returns:
        The folder.

    Raises:
        DataError: when a number is out of its range.
        PathError: when `dest` is a file or a folder that is not empty, or it cannot be written. Nothing is left behind
            then, nor after Ctrl-C.
    """
    dest = Path(dest)
    plan = draw_plan(clips, folds, seed, length_s, plain)
    if dest.exists() and not dest.is_dir():
        raise PathError(f"{dest}: is a file. Name a folder that does not exist yet.")
    if dest.exists() and any(dest.iterdir()):
        raise PathError(f"{dest}: is not empty. Name a folder that does not exist yet, or empty this one.")
    # Beside a folder still to be made; inside one that is there already, which may be a mount or the working folder.
    inside = dest.exists()
    place = dest if inside else next(parent for parent in dest.absolute().parents if parent.exists())
    unfinished = place / f".{dest.absolute().name}.unfinished-{os.getpid()}"
    try:
        for fold in range(1, folds + 1):
            (unfinished / "audio" / f"fold{fold}").mkdir(parents=True)
        _write_sounds(plan, seed, unfinished / "audio", workers or usable_cores(), on_progress)
        _write_table(plan, unfinished / "metadata" / TABLE)
        (unfinished / "metadata" / SYNTHETIC).write_text(_NOT_REAL, encoding="utf-8")
        if inside:
            for name in ("audio", "metadata"):
                (unfinished / name).rename(dest / name)
            unfinished.rmdir()
        else:
            dest.parent.mkdir(parents=True, exist_ok=True)
            unfinished.rename(dest)
    except BaseException as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        if isinstance(error, OSError):
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            mend = "Free some space, ask for fewer clips, or" if full else "Change its permissions, or"
            raise PathError(
                f"{dest}: cannot be written ({error.strerror or error}). {mend} name another place."
            ) from error
        raise
    return dest


def _write_sounds(
    plan: tuple[Recording, ...],
    seed: int,
    audio: Path,
    workers: int,
    on_progress: Callable[[int, int], None] | None,
) -> None:
    """Make and write every recording; threads suffice, since numpy lets go of the interpreter in all that is long."""
    done, total = 0, sum(recording.clips for recording in plan)
    pool = ThreadPoolExecutor(workers)
    try:
        for future in as_completed([pool.submit(_write_recording, recording, seed, audio) for recording in plan]):
            done += future.result()
            if on_progress is not None:
                on_progress(done, total)
    finally:
        pool.shutdown(cancel_futures=True)


def _write_recording(recording: Recording, seed: int, audio: Path) -> int:
    """Make one recording and write its clips; its random numbers are its own. Returns how many."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, recording.fs_id]))
    scene = Scene.draw(rng)
    kind = recording.kind
    sources = {o.class_id: VOICES[o.class_id].draw(rng) for o in recording.occurrences}
    for number, occurrence in enumerate(recording.occurrences):
        last = occurrence.slices[-1]
        inner = inner_rate(kind.sample_rate)
        needed = -(-(last.offset + last.samples) * inner // kind.sample_rate)
        dry = sources[occurrence.class_id].sound(needed, inner, rng)
        sound = scene.record(dry, occurrence.salience, kind.channels, kind.sample_rate, rng)
        sound *= np.float32(_gain(sound, occurrence.slices, scene.peak))
        for one in occurrence.slices:
            cut = sound[:, one.offset : one.offset + one.samples]
            path = audio / f"fold{one.fold}" / _file_name(recording, number, occurrence, one)
            path.write_bytes(encode(cut, kind.sample_rate, kind.encoding, kind.extensible))
    return recording.clips


def _gain(sound: NDArray[np.float32], slices: tuple[Slice, ...], peak: float) -> float:
    """Return the gain that brings the sound to its peak (above 1 it clips), but lets no clip be all but silent."""
    faintest = min(np.abs(sound[:, one.offset : one.offset + one.samples]).max() for one in slices)
    return float(max(peak / np.abs(sound).max(), _FAINTEST / max(faintest, 1e-9)))


def _file_name(recording: Recording, number: int, occurrence: Occurrence, one: Slice) -> str:
    return f"{recording.fs_id}-{occurrence.class_id}-{number}-{one.number}.wav"


def _write_table(plan: tuple[Recording, ...], path: Path) -> None:
    """Write the metadata in the published columns, one row a clip, times in seconds of the invented recording."""
    path.parent.mkdir()
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for recording in plan:
            rate = recording.kind.sample_rate
            for number, occurrence in enumerate(recording.occurrences):
                for one in occurrence.slices:
                    start_s = occurrence.start_s + one.offset / rate
                    end_s = start_s + one.samples / rate
                    name = _file_name(recording, number, occurrence, one)
                    label = LABELS[occurrence.class_id]
                    row = (name, recording.fs_id, f"{start_s:.6f}", f"{end_s:.6f}", occurrence.salience)
                    writer.writerow((*row, one.fold, occurrence.class_id, label))
