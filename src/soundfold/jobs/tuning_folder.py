"""A search's folder, in which several processes may work at once: its locks and its places."""

from pathlib import Path

from filelock import FileLock

__all__ = ["JOURNAL_NAME", "WORKERS_NAME", "claims_lock", "end_lock", "trial_folder"]

JOURNAL_NAME = "search.log"
WORKERS_NAME = ".workers"
_TRIALS_NAME = ".trials"


def claims_lock(folder: Path) -> FileLock:
    """Return the lock inside which the search is begun, and trials are counted and claimed.

    So no two processes take the last one.
    """
    return FileLock(folder / ".claims.lock")


def end_lock(folder: Path) -> FileLock:
    """Return the lock inside which what was found is trained and scored; who comes later finds it done."""
    return FileLock(folder / ".end.lock")


def trial_folder(folder: Path, search: str, trial: str) -> Path:
    """Return where a trial keeps its checkpoints."""
    return folder / _TRIALS_NAME / search / trial
