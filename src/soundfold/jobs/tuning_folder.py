"""A search's folder, in which several processes may work at once: what it was begun with, its locks, its places."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from soundfold.atomic import write_text
from soundfold.errors import RunError

__all__ = ["JOURNAL_NAME", "WORKERS_NAME", "begin", "claims_lock", "end_lock", "trial_folder"]

JOURNAL_NAME = "search.log"
WORKERS_NAME = ".workers"
_IDENTITY_NAME = "run.json"
_TRIALS_NAME = ".trials"


def claims_lock(folder: Path) -> FileLock:
    """Return the lock inside which trials are counted and claimed, so that no two processes take the last one."""
    return FileLock(folder / ".claims.lock")


def end_lock(folder: Path) -> FileLock:
    """Return the lock inside which what was found is trained and scored; who comes later finds it done."""
    return FileLock(folder / ".end.lock")


def trial_folder(folder: Path, search: str, trial: str) -> Path:
    """Return where a trial keeps its checkpoints."""
    return folder / _TRIALS_NAME / search / trial


def begin(folder: Path, identity: Mapping[str, Any]) -> None:
    """Make the folder, or see that what it was begun with is the same.

    Args:
        folder: asked about before (`run_folder.check_out`).
        identity: plain values that decide what is found; how long is searched is not among them.

    Raises:
        RunError: the search was begun with other settings, other clips or other sounds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _IDENTITY_NAME
    now = json.loads(json.dumps(identity))
    with claims_lock(folder):
        if not path.exists():
            write_text(path, json.dumps(now, indent=2, ensure_ascii=False) + "\n")
            return
        try:
            then = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            raise RunError(f"{path}: is damaged, so the search cannot be continued. Choose another --out") from None
    if not isinstance(then, dict) or then.get("verb") != now["verb"]:
        raise RunError(f"{folder}: is not a search that could be continued. Choose another --out")
    for key, name, before, after in _differences(then, now):
        if key in ("clips", "sounds"):
            changed = "the sounds" if key == "sounds" else "labels, folds or recordings of the clips"
            raise RunError(f"{path}: {changed} have changed since this search began. Choose another --out")
        raise RunError(
            f"{path}: was begun with {name} = {before}, got {after}. "
            f"Continue with the same settings, or choose another --out"
        )


def _differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, str, Any, Any]]:
    """Return what differs, settings first: other settings may make other clips, and are the better thing to say."""
    found = []
    for key in sorted(now, key=lambda key: key in ("clips", "sounds")):
        before, after = _flat(key, then.get(key)), _flat(key, now[key])
        names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        found += [(key, name, before.get(name), after.get(name)) for name in names]
    return found


def _flat(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {name: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= _flat(f"{name}.{key}", inner)
    return flat
