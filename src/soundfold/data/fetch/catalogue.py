"""The published data sets that `soundfold data get` knows, and nothing else: where each lies, what its archive must be
(size, hash), what must stand on the disk after unpacking, and under which licence.

A new data set is one more entry in `DATASETS`. Sources: the Zenodo record 1203745 and the data set's own readme
(UrbanSound8K), the repository karolpiczak/ESC-50, and TensorFlow Datasets' checksums (Speech Commands).
"""

import csv
from dataclasses import dataclass
from pathlib import Path

from soundfold.audio import probe
from soundfold.errors import AudioError, DataError, PathError, did_you_mean
from soundfold.wording import counted

__all__ = ["DATASETS", "Dataset", "find_dataset", "shortcomings"]


@dataclass(frozen=True)
class Dataset:
    """One published data set.

    Attributes:
        name: what the command line calls it.
        title: what its authors call it.
        url: address of the archive, http or https.
        file_name: name of the archive on the disk.
        size: exact length of the archive in bytes, or None where it is made on request.
        digest: hash of the archive as `md5:…` or `sha256:…`, or None where it is made on request.
        unpacked_bytes: about how many bytes the unpacked files take; more than twice as many are refused.
        top_folder: folder in the archive that holds everything and is left away on the disk, or None.
        clips: number of sound files that `clip_pattern` must find, each of at least one byte.
        clip_pattern: glob below the data set's folder.
        table: its table of clips, below the data set's folder, or None where the folders are the labels.
        columns: columns that the table must have.
        licence: one line for the user.
        home: page to read.
        clip_rate, clip_s: rate (Hz) and length (s) that every clip's header must tell, or None where they differ; for
            archives without a hash, where nothing else finds a clip that is not what it should be.
    """

    name: str
    title: str
    url: str
    file_name: str
    size: int | None
    digest: str | None
    unpacked_bytes: int
    top_folder: str | None
    clips: int
    clip_pattern: str
    table: str | None
    columns: tuple[str, ...]
    licence: str
    home: str
    clip_rate: int | None = None
    clip_s: float | None = None

    @property
    def archive_bytes(self) -> int:
        """Bytes to fetch; where nobody knows, the unpacked length, which no archive of sound exceeds by much."""
        return self.unpacked_bytes if self.size is None else self.size

    @property
    def unsigned(self) -> str:
        """A sentence that says what was checked where size and hash of the archive are unknown; else ""."""
        if self.digest is not None:
            return ""
        checked = [f"{self.clips:,} clips"]
        if self.table is not None:
            checked.append(f"a row of {self.table} for each")
        if self.clip_rate is not None:
            checked.append(f"the header of each ({self.clip_s:g} s at {self.clip_rate:,} Hz)")
        return (
            f"The archive of {self.title} is made on request, so nobody tells its size and hash; "
            f"its content was checked instead: {', '.join(checked)}."
        )

    @property
    def most_members(self) -> int:
        """Files and folders that the archive may hold: every clip may have a companion, and there are some pages."""
        return 2 * self.clips + 1000

    @property
    def most_bytes(self) -> int:
        """Bytes that the archive may unpack to."""
        return 2 * self.unpacked_bytes


_KNOWN = (
    Dataset(
        name="urbansound8k",
        title="UrbanSound8K",
        url="https://zenodo.org/records/1203745/files/UrbanSound8K.tar.gz?download=1",
        file_name="UrbanSound8K.tar.gz",
        size=6_023_741_708,
        digest="md5:9aa69802bbf37fb986f71ec1483a196e",
        unpacked_bytes=7_100_000_000,
        top_folder="UrbanSound8K",
        clips=8732,
        clip_pattern="audio/fold*/*.wav",
        table="metadata/UrbanSound8K.csv",
        columns=("slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class"),
        licence=(
            "UrbanSound8K (Salamon, Jacoby, Bello 2014) is under CC BY-NC 3.0 by its own readme, 4.0 by its Zenodo "
            "record: non-commercial use only, with attribution."
        ),
        home="https://zenodo.org/records/1203745",
    ),
    Dataset(
        name="esc50",
        title="ESC-50",
        url="https://github.com/karolpiczak/ESC-50/archive/refs/heads/master.zip",
        file_name="ESC-50-master.zip",
        size=None,
        digest=None,
        unpacked_bytes=900_000_000,
        top_folder="ESC-50-master",
        clips=2000,
        clip_pattern="audio/*.wav",
        table="meta/esc50.csv",
        columns=("filename", "fold", "target", "category", "esc10", "src_file", "take"),
        licence=(
            "ESC-50 (Piczak 2015) is under CC BY-NC 3.0: non-commercial use only, with attribution; "
            "its subset ESC-10 is under CC BY 3.0."
        ),
        home="https://github.com/karolpiczak/ESC-50",
        clip_rate=44_100,
        clip_s=5.0,
    ),
    Dataset(
        name="speech-commands",
        title="Speech Commands v2",
        url="https://storage.googleapis.com/download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
        file_name="speech_commands_v0.02.tar.gz",
        size=2_428_923_189,
        digest="sha256:af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
        unpacked_bytes=3_300_000_000,
        top_folder=None,
        clips=105_829,
        clip_pattern="[!_.]*/*.wav",  # _background_noise_ holds six long recordings that are no clips
        table=None,
        columns=(),
        licence="Speech Commands v2 (Warden 2018) is under CC BY 4.0: any use, with attribution.",
        home="https://arxiv.org/abs/1804.03209",
    ),
)

DATASETS: dict[str, Dataset] = {dataset.name: dataset for dataset in _KNOWN}


def find_dataset(name: str) -> Dataset:
    """Return the data set of this name, in any case and with or without dashes and underscores.

    Args:
        name: for instance `urbansound8k`, `esc50`, `ESC-50`, `speech-commands`.

    Raises:
        DataError: when no published data set has this name.

    >>> find_dataset("ESC-50").title
    'ESC-50'
    """
    for known, dataset in DATASETS.items():
        if _plain(name) in (_plain(known), _plain(dataset.title)):
            return dataset
    raise DataError(f"name must be a published data set, got {name!r}.{did_you_mean(name.lower(), DATASETS)}")


def shortcomings(dataset: Dataset, folder: Path) -> list[str]:
    """Say what a folder lacks to be the complete data set; an empty list means that it is complete.

    Counts the clips that hold at least one byte, reads the table, and where the entry says what they hold, the clips'
    headers. No sound is decoded.

    Args:
        dataset: what should be there.
        folder: where to look; it may be missing.

    Returns:
        Short sentences without a full stop, such as `1,999 clips instead of 2,000`.
    """
    clips = [
        path
        for path in sorted(folder.glob(dataset.clip_pattern))
        if not path.name.startswith(".") and path.is_file() and path.stat().st_size > 0
    ]
    lacks = [] if len(clips) == dataset.clips else [f"{counted(len(clips), 'clip')} instead of {dataset.clips:,}"]
    if dataset.table is not None:
        lacks += _table_shortcomings(folder / dataset.table, dataset, clips if not lacks else None)
    if not lacks and dataset.clip_rate is not None:
        others = [path.name for path in clips if not _as_published(path, dataset)]
        if others:
            what = f"a {clips[0].suffix[1:].upper()} file of {dataset.clip_s:g} s at {dataset.clip_rate:,} Hz"
            are = "is" if len(others) == 1 else "are"
            lacks.append(f"{len(others):,} of {counted(len(clips), 'clip')} {are} not {what}, first {others[0]}")
    return lacks


def _table_shortcomings(table: Path, dataset: Dataset, clips: list[Path] | None) -> list[str]:
    """Look at the table's columns, its number of rows, and that its first known column names the clips, if given."""
    if not table.is_file():
        return [f"no {dataset.table}"]
    try:
        with table.open(encoding="utf-8", newline="") as lines:
            reader = csv.DictReader(lines)
            absent = [column for column in dataset.columns if column not in (reader.fieldnames or ())]
            rows = list(reader)
    except (csv.Error, UnicodeDecodeError):
        return [f"{dataset.table} is not a readable table"]
    if absent:
        return [f"{dataset.table} has no {'column' if len(absent) == 1 else 'columns'} {', '.join(absent)}"]
    if len(rows) != dataset.clips:
        return [f"{dataset.table} has {counted(len(rows), 'row')} instead of {dataset.clips:,}"]
    unnamed = {path.name for path in clips or ()} - {row[dataset.columns[0]] for row in rows}
    return [f"{dataset.table} has no row for {min(unnamed)}"] if unnamed else []


def _as_published(path: Path, dataset: Dataset) -> bool:
    try:
        info = probe(path)
    except (AudioError, PathError):
        return False
    same_kind = info.container.lower() == path.suffix[1:].lower() and info.sample_rate == dataset.clip_rate
    return same_kind and dataset.clip_s is not None and abs((info.duration_s or 0) - dataset.clip_s) < 0.001


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "").replace(" ", "")
