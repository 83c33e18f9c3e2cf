"""Bulk work from beginning to end: what is left to hear, who hears it, and parts that appear as it goes on."""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from soundfold.bulk.journal import Journal, is_begun, key
from soundfold.bulk.listing import Listing, Sound
from soundfold.cores import usable_cores
from soundfold.errors import PathError, RunError, SoundfoldError, needs_extra
from soundfold.runtime import load
from soundfold.runtime.workers import PATIENCE_S

if TYPE_CHECKING:
    from soundfold.bulk.hearing import Heard

__all__ = ["PART_S", "BulkResult", "Progress", "bulk"]

PART_S = 120.0
"""Seconds of work that a part holds, at most; what a kill costs, at most."""

_FORMAT = 1
_CELLS = 2**25  # values that a part holds in memory before it is written, at most: 134 MB


@dataclass(frozen=True)
class BulkResult:
    """What a folder of answers holds, and what this call did for it.

    Attributes:
        out: the folder.
        sounds, failed: in the folder; the failed ones have a row with their error.
        rows, parts: in the folder.
        sound_s: length of all sounds that were heard.
        new: sounds of this call.
        seconds: time of this call.
        sounds_per_second: of this call; 0 where there was nothing left to hear.
    """

    out: str
    sounds: int
    failed: int
    rows: int
    parts: int
    sound_s: float
    new: int
    seconds: float
    sounds_per_second: float

    def as_dict(self) -> dict[str, Any]:
        """Return what `bulk --json` prints."""
        return asdict(self)


@dataclass(frozen=True)
class Progress:
    """How far the work is.

    Attributes:
        done: sounds in the folder or about to be.
        rate: sounds a second of this call.
        failed: of this call, since it was told last: name and what is wrong.
    """

    done: int
    rate: float
    failed: list[tuple[str, str]]


def bulk(
    model: str | Path,
    source: str | Path,
    out: str | Path,
    *,
    hop_s: float | None = None,
    probabilities: bool = True,
    workers: int | None = None,
    ray: str | None = None,
    part_s: float = PART_S,
    patience_s: float = PATIENCE_S,
    on_progress: Callable[[Progress], object] | None = None,
) -> BulkResult:
    """Answer for all sounds of a folder or a list, into a folder of Parquet files. Needs no torch.

    The same call goes on where one was broken off, in any way; sounds that were added meanwhile are heard too.

    Args:
        model: a model file, or a run.
        source: a folder, a list (see `Listing`), or `-` for a list on stdin.
        out: the folder of the parts.
        hop_s: seconds from one window to the next; None for windows side by side.
        probabilities: a column for the probability of each class.
        workers: processes; None for one a core. Not with `ray`, which takes all its cores.
        ray: the address of a Ray cluster, or "auto" or "local".
        part_s: seconds of work that a part holds, at most.
        patience_s: a sound that gives no sign of life for so long is given up.
        on_progress: called about once a second.

    Raises:
        MissingExtraError: pyarrow, or with `ray` Ray, is not installed.
        PathError: a path is missing, in the way, or may not be written; or the source holds no sounds.
        RunError: the folder was begun with other settings, or another process works on it.
        ModelFileError: the model cannot be opened.
    """
    with needs_extra("parquet", "bulk"):
        import pyarrow  # noqa: F401  (told before anything is begun)
    for name, seconds in (("part", part_s), ("patience", patience_s)):
        if not seconds > 0:
            raise SoundfoldError(f"{name} must be above 0 seconds, got {seconds}. Leave it out for the usual")
    if workers is not None and workers < 1:
        raise SoundfoldError(f"workers must be at least 1, got {workers}. Leave it out for one a core")
    from soundfold.bulk.hearing import Work, hear
    from soundfold.bulk.table import schema_of

    opened = load(model)
    opened.predict_many([], hop_s=hop_s)  # refuses a hop that cannot be before anything is begun
    listing = Listing(Path(source))
    digest = hashlib.sha256(opened.path.read_bytes()).hexdigest()
    settings = {"model": digest, "source": listing.place, "hop_s": hop_s, "probabilities": probabilities}
    every = iter(listing)
    if not is_begun(Path(out)):  # else the folder would belong to this source for good
        first = next(every, None)
        if first is None:
            raise PathError(f"{source}: holds no sounds. Name a folder with sounds in it, or a list of them")
        every = chain([first], every)
    journal = Journal(Path(out))
    try:
        shown = _begin(journal, settings, str(source), str(out))
        if shown != str(source):
            every = iter(Listing(Path(source), shown))
        schema = schema_of(opened.card, probabilities, settings)
        work = Work(opened.path, schema, {"hop_s": hop_s}, patience_s)
        sounds = _left(every, journal.done)
        if ray is None:
            packs = hear(work, sounds, workers or usable_cores())
        else:
            from soundfold.bulk.cluster import hear_on_cluster

            packs = hear_on_cluster(work, sounds, ray)
        return _write(journal, packs, len(schema), part_s, on_progress)
    finally:
        journal.close()


def _begin(journal: Journal, settings: dict[str, Any], source: str, out: str) -> str:
    """Begin a folder, or see that it was begun with the same settings; return how its sounds' names begin."""
    if journal.settings is None:
        journal.begin({"format": _FORMAT, "settings": settings, "shown": source})
        return source
    begun = journal.settings["settings"]
    other = [name for name, value in settings.items() if begun.get(name) != value]
    if journal.settings["format"] != _FORMAT or other:
        what = other[0] if other else "format"
        was, now = begun.get(what), settings.get(what)
        told = "another model" if what == "model" else f"{what} {was}, got {now}"
        raise RunError(f"{out}: was begun with {told}. Say the same as then, or choose another --out")
    return str(journal.settings["shown"])


def _left(sounds: Iterable[Sound], done: set[bytes]) -> Iterator[Sound]:
    """Yield the sounds that stand in no part, each name once."""
    taken = set(done)
    for sound in sounds:
        remembered = key(sound.name)
        if remembered not in taken:
            taken.add(remembered)
            yield sound


def _write(
    journal: Journal,
    packs: "Iterator[Heard]",
    columns: int,
    part_s: float,
    on_progress: Callable[[Progress], object] | None,
) -> BulkResult:
    begun_at = part_begun_at = time.monotonic()
    before, new = journal.sounds, 0
    waiting: list[Heard] = []
    try:
        for pack in packs:
            if pack.names:
                waiting.append(pack)
                new += len(pack.names)
            if on_progress is not None:
                on_progress(Progress(before + new, new / (time.monotonic() - begun_at), pack.failed))
            rows = sum(one.table.num_rows for one in waiting)
            if time.monotonic() - part_begun_at > part_s or rows * columns > _CELLS:
                _commit(journal, waiting)
                part_begun_at = time.monotonic()
    except (KeyboardInterrupt, SoundfoldError):
        _commit(journal, waiting)
        raise
    finally:
        packs.close()  # type: ignore[attr-defined]  # ends the processes
    _commit(journal, waiting)
    seconds = time.monotonic() - begun_at
    return BulkResult(
        out=str(journal.folder),
        sounds=journal.sounds,
        failed=journal.failed,
        rows=journal.rows,
        parts=journal.parts,
        sound_s=journal.seconds,
        new=new,
        seconds=seconds,
        sounds_per_second=new / seconds,
    )


def _commit(journal: Journal, waiting: "list[Heard]") -> None:
    """Make a part of what was heard; nothing where nothing was."""
    packs = waiting.copy()
    waiting.clear()  # before it is written: who is interrupted in the middle must not write it again
    if not packs:
        return
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.concat_tables([pack.table for pack in packs])
    names = [name for pack in packs for name in pack.names]
    failed = sum(len(pack.failed) for pack in packs)
    seconds = sum(pack.seconds for pack in packs)
    with journal.part(names, failed=failed, rows=table.num_rows, seconds=seconds) as file:
        parquet.write_table(table, file, compression="zstd")
