"""Answers as a Parquet file, written as they come. It needs pyarrow, which the base installation lacks."""

from pathlib import Path
from typing import Any

from soundfold.errors import SoundfoldError, needs_extra
from soundfold.formats.rows import Row, rows
from soundfold.runtime import Prediction
from soundfold.wording import as_unicode

__all__ = ["ParquetRows"]

_ROWS_AT_ONCE = 10_000


class ParquetRows:
    """A Parquet file of answers; `close` makes it whole.

    Args:
        path: the file to write.
        windows: windows in place of events.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """

    def __init__(self, path: Path, windows: bool = False) -> None:
        with needs_extra("parquet", "Parquet"):
            import pyarrow as pa
            from pyarrow import parquet
        texts = ("path", "kind", "label", "nearest", "error")
        self._schema = pa.schema([(name, pa.string() if name in texts else pa.float64()) for name in Row._fields])
        self._table = pa.Table.from_pylist
        self._writer: Any = parquet.ParquetWriter(path, self._schema)
        self._windows = windows
        self._waiting: list[dict[str, str | float | None]] = []

    def sound(self, path: str, answer: Prediction | SoundfoldError) -> None:
        """Take a sound's answer."""
        for row in rows(path, answer, self._windows):
            told = row._asdict()
            self._waiting.append(
                {name: as_unicode(value) if isinstance(value, str) else value for name, value in told.items()}
            )
        if len(self._waiting) >= _ROWS_AT_ONCE:
            self._write()

    def close(self) -> None:
        """Write what is left, and the end of the file."""
        self._write()
        self._writer.close()

    def _write(self) -> None:
        if self._waiting:
            self._writer.write_table(self._table(self._waiting, schema=self._schema))
            self._waiting = []
