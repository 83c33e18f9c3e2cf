"""What a training tells while it runs: one record an epoch, in `log.csv` and in TensorBoard's events.

Both are for looking at. What a resumed run trusts is the history in its checkpoint: it writes the log anew from that.
"""

import csv
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Self

from torch.utils.tensorboard import SummaryWriter

from soundfold.atomic import replacing

__all__ = ["EpochRecord", "History", "read_history"]


@dataclass(frozen=True)
class EpochRecord:
    """One epoch: mean loss and share of right answers over the training clips, as they were while training.

    `val_…` are those of the held-out clips, evaluated without augmentation; None in epochs without a look at them.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    lr: float
    train_s: float


_NAMES = [field.name for field in fields(EpochRecord)]


class History:
    """Writes records of a run into its folder.

    Args:
        folder: the run's folder.
        records: what the checkpoint knows; later records of an earlier attempt are dropped.
    """

    def __init__(self, folder: Path, records: list[EpochRecord]) -> None:
        self.records = list(records)
        self._path = folder / "log.csv"
        with replacing(self._path) as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, _NAMES)
            writer.writeheader()
            writer.writerows(asdict(record) for record in records)
        self._board = SummaryWriter(str(folder), purge_step=len(records) + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._board.close()

    def add(self, record: EpochRecord) -> None:
        """Append one epoch."""
        self.records.append(record)
        with self._path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, _NAMES).writerow(asdict(record))
        scalars = {"Loss/train": record.train_loss, "Acc/train": record.train_accuracy, "LearningRate": record.lr}
        if record.val_loss is not None and record.val_accuracy is not None:
            scalars |= {"Loss/val": record.val_loss, "Acc/val": record.val_accuracy}
        for tag, value in scalars.items():
            self._board.add_scalar(tag, value, record.epoch)


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
            numbers = {name: float(row[name]) if row[name] else None for name in _NAMES[1:]}
            records.append(EpochRecord(epoch=int(row["epoch"]), **numbers))  # type: ignore[arg-type]
    return records
