"""What a training tells while it runs: one record an epoch, in `log.csv` and in TensorBoard's events.

Both are for looking at. What a resumed run trusts is the history in its checkpoint: it writes the log anew from that.
"""

import csv
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Self

from soundfold.atomic import naming, replacing
from soundfold.training.events import EventsFile

__all__ = ["EpochRecord", "History", "epoch_record", "read_history"]


@dataclass(frozen=True)
class EpochRecord:
    """One epoch: mean loss and share of right answers over the training clips, as they were while training.

    `val_…` are those of the held-out clips, evaluated without augmentation; None in epochs without a look at them.
    Where clips bear several labels there is no accuracy, and `val_map` is their mean average precision.
    """

    epoch: int
    train_loss: float
    train_accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None
    lr: float
    train_s: float
    val_map: float | None = None

    @property
    def val_score(self) -> float | None:
        """What the held-out clips are scored by: accuracy, or of several labels their mean average precision."""
        return self.val_accuracy if self.val_map is None else self.val_map


_OF_SEVERAL = "val_map"
_NAMES = [field.name for field in fields(EpochRecord) if field.name != _OF_SEVERAL]


def epoch_record(
    epoch: int, trained: tuple[float, float], held_out: tuple[float | None, float | None], lr: float, train_s: float,
    *, several: bool,
) -> EpochRecord:  # fmt: skip
    """Return an epoch's record.

    Args:
        epoch: counted from 1.
        trained: mean loss and share of right answers of the training clips.
        held_out: mean loss and score of the held-out clips: accuracy, or of several labels mean average precision.
        lr, train_s: as in `EpochRecord`.
        several: clips bear several labels.
    """
    loss, score = held_out
    if several:
        return EpochRecord(epoch, trained[0], None, loss, None, lr, train_s, score)
    return EpochRecord(epoch, *trained, loss, score, lr, train_s)


class History:
    """Writes records of a run into its folder.

    Args:
        folder: the run's folder.
        records: what the checkpoint knows; later records of an earlier attempt are dropped.
        several: clips bear several labels, which is told in a column of its own.
    """

    def __init__(self, folder: Path, records: list[EpochRecord], *, several: bool = False) -> None:
        self.records = list(records)
        self._names = [*_NAMES, _OF_SEVERAL] if several else _NAMES
        self._path = folder / "log.csv"
        with replacing(self._path) as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self._names, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(asdict(record) for record in records)
        self._board = EventsFile(folder, first_step=len(records) + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._board.close()

    def add(self, record: EpochRecord) -> None:
        """Append one epoch."""
        self.records.append(record)
        with naming(self._path), self._path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self._names, extrasaction="ignore").writerow(asdict(record))
        scalars = {
            "Loss/train": record.train_loss, "Acc/train": record.train_accuracy, "LearningRate": record.lr,
            "Loss/val": record.val_loss, "Acc/val": record.val_accuracy, "mAP/val": record.val_map,
        }  # fmt: skip
        self._board.add(record.epoch, {tag: value for tag, value in scalars.items() if value is not None})


def read_history(folder: Path) -> list[EpochRecord]:
    """Return the records of a run's `log.csv`, in order; none where it does not exist yet."""
    path = folder / "log.csv"
    if not path.exists():
        return []
    records = []
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if any(row.get(name) is None for name in _NAMES):
                break  # the line that was being written when an earlier attempt died
            numbers = {name: float(row[name]) if row.get(name) else None for name in (*_NAMES[1:], _OF_SEVERAL)}
            records.append(EpochRecord(epoch=int(row["epoch"]), **numbers))  # type: ignore[arg-type]
    return records
