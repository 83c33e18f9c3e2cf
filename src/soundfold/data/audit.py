"""The audit of a data set: every clip is decoded once, and what could spoil a score is told with its mend.

This counts and listens; `findings.py` holds the result and puts it into sentences.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from soundfold.cores import usable_cores
from soundfold.data.clips import Clips, LeftOut
from soundfold.data.findings import Audit, Identical, Lengths
from soundfold.data.hearing import Heard, hear
from soundfold.data.leaks import straddling
from soundfold.wording import natural_order

__all__ = ["Audit", "Identical", "Lengths", "audit"]

Key = TypeVar("Key", bound=Hashable)

SHORT_S = 0.1
CLIPPED_SHARE = 0.001
_AT_ONCE = 256  # clips that are under way between two reports of progress, and at most when Ctrl-C comes


def audit(clips: Clips, *, on_progress: Callable[[int, int], None] | None = None) -> Audit:
    """Decode every clip once and tell what a data set holds.

    Args:
        clips: the data set; one class or many.
        on_progress: called in this thread with the number of clips done and of all.

    Returns:
        Counts, lists and findings; nothing is changed on disk.
    """
    table = clips.table
    heard = _hear_all(clips, on_progress)
    names = _names(clips)
    usable = [one for one in heard if not one.problem]
    borne = dict(zip(clips.labels, clips.membership().T, strict=True))
    recordings = {label: int(table["group"][those].nunique()) for label, those in borne.items()}
    enough = len(clips.folds) if len(clips.folds) > 1 else 5
    return Audit(
        kind=clips.kind,
        root=clips.root,
        clips=len(clips),
        labels=clips.labels,
        groups_known=clips.groups_known,
        per_class={label: int(those.sum()) for label, those in borne.items()},
        per_fold={
            fold: {label: int(those[(table["fold"] == fold).to_numpy()].sum()) for label, those in borne.items()}
            for fold in clips.folds
        },
        recordings_per_class={label: recordings.get(label, 0) for label in clips.labels},
        sample_rates=_by_count(one.sample_rate for one in usable),
        channels=_by_count(one.channels for one in usable),
        formats=_by_count(one.format for one in usable),
        lengths=_lengths([one.length_s for one in usable]),
        unreadable=tuple(LeftOut(name, one.problem) for name, one in zip(names, heard, strict=True) if one.problem),
        silent=_chosen(names, heard, lambda one: one.peak == 0),
        clipped=_chosen(names, heard, lambda one: one.full_scale >= CLIPPED_SHARE),
        identical=tuple(_identical(clips, names, heard)),
        straddling=straddling(clips),
        few_recordings={label: recordings[label] for label in clips.labels if 0 < recordings.get(label, 0) < enough},
        left_out=clips.left_out,
        notes=clips.notes,
        sound_hashes=tuple(one.digest if one.peak > 0 else "" for one in heard),
    )


def _hear_all(clips: Clips, on_progress: Callable[[int, int], None] | None) -> list[Heard]:
    """Decode in threads (the decoders release Python's lock), a slice at a time, so that Ctrl-C ends it soon."""
    table = clips.table
    starts, ends = ([None if np.isnan(value) else float(value) for value in table[name]] for name in ("start", "end"))
    paths = table["path"].tolist()
    heard: list[Heard] = []
    with ThreadPoolExecutor(max_workers=min(usable_cores(), 16)) as pool:
        for first in range(0, len(paths), _AT_ONCE):
            part = slice(first, first + _AT_ONCE)
            for one in pool.map(hear, paths[part], starts[part], ends[part]):
                heard.append(one)
                if on_progress:
                    on_progress(len(heard), len(paths))
    return heard


def _names(clips: Clips) -> list[str]:
    """What a clip is called: its path, and its range where it is a part of the file."""
    table = clips.table
    names = []
    for path, start, end in zip(table["path"], table["start"], table["end"], strict=True):
        if np.isnan(start) and np.isnan(end):
            names.append(path)
        else:
            last = "its end" if np.isnan(end) else f"{end:g} s"
            names.append(f"{path} [{0 if np.isnan(start) else start:g} s to {last}]")
    return names


def _identical(clips: Clips, names: Sequence[str], heard: Sequence[Heard]) -> Iterator[Identical]:
    by_digest: dict[str, list[int]] = {}
    for position, one in enumerate(heard):
        if one.digest and one.peak > 0:
            by_digest.setdefault(one.digest, []).append(position)
    table = clips.table
    for positions in by_digest.values():
        if len(positions) > 1:
            same = table.iloc[positions]
            yield Identical(
                clips=tuple(names[position] for position in positions),
                labels=natural_order(same["label"]),
                folds=natural_order(same["fold"]) if clips.has_folds else (),
                recordings=natural_order(same["group"]),
            )


def _lengths(seconds: Sequence[float]) -> Lengths | None:
    if not seconds:
        return None
    values = np.array(seconds)
    short = int((values < SHORT_S).sum())
    return Lengths(float(values.min()), float(np.median(values)), float(values.max()), float(values.sum()), short)


def _chosen(names: Sequence[str], heard: Sequence[Heard], rule: Callable[[Heard], bool]) -> tuple[str, ...]:
    return tuple(name for name, one in zip(names, heard, strict=True) if not one.problem and rule(one))


def _by_count(values: Iterable[Key]) -> dict[Key, int]:
    return dict(Counter(values).most_common())
