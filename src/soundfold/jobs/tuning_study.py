"""The journal of a search: trials drawn, claimed, reported and told, in one file that processes and machines share.

Optuna keeps the trials and draws new ones. What is added here is how a kill is survived. A worker holds a lock file as
long as it lives, and its trials name it: a trial that is running and whose worker's lock is free was left by a dead
one. It is put back in the queue with its values, and whoever takes it goes on from the checkpoint in its folder. The
journal's last line may have been cut short; it is cut off before anyone appends to it.
"""

import json
import os
import platform
import secrets
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from filelock import FileLock, Timeout
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from soundfold.errors import RunError
from soundfold.jobs.tuning_folder import JOURNAL_NAME, WORKERS_NAME, claims_lock
from soundfold.jobs.tuning_plan import Search
from soundfold.recipe import Recipe
from soundfold.recipe.space import Choices, Range, Space

__all__ = ["Budget", "Journal", "Study", "open_journal"]

_RANDOM_FIRST = 10
_UNPRUNED_FIRST = 3
_UNPRUNED_TENTHS = 3
_MOST_REFUSED = 5
_DAMAGE = (ValueError, LookupError, TypeError, AttributeError, AssertionError, RecursionError)
"""What Optuna raises on lines that it has not written."""


@dataclass(frozen=True)
class Budget:
    """When a search has had enough: so many trials, or this moment (`time.time()`); None for no such limit."""

    trials: int | None
    until: float | None

    @property
    def late(self) -> bool:
        """Whether the moment has come."""
        return self.until is not None and time.time() >= self.until


class _KernelLock:
    """A lock of the operating system; Optuna's own are files that a killed process leaves behind for 30 seconds."""

    def __init__(self, path: Path) -> None:
        self._lock = FileLock(path)

    def acquire(self) -> bool:
        self._lock.acquire()
        return True

    def release(self) -> None:
        self._lock.release()


@dataclass(frozen=True)
class Journal:
    """The open journal of a run, and this worker's name in it."""

    folder: Path
    storage: JournalStorage
    worker: str


@contextmanager
def open_journal(folder: Path) -> Iterator[Journal]:
    """Open the journal in a run's folder, and be known as a living worker inside the block.

    Raises:
        RunError: the journal is damaged.
    """
    path, lock = folder / JOURNAL_NAME, _KernelLock(folder / ".search.lock")
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    worker = f"{platform.node()}-{os.getpid()}-{secrets.token_hex(3)}"
    (folder / WORKERS_NAME).mkdir(exist_ok=True)
    alive = FileLock(folder / WORKERS_NAME / worker)
    try:
        with alive:
            try:
                _cut_off_half_a_line(path, lock)
                backend = JournalFileBackend(str(path), lock_obj=lock)  # type: ignore[arg-type]  # it asks for no more
                storage = JournalStorage(backend)
                for study in storage.get_all_studies():
                    storage.get_all_trials(study._study_id)
            except _DAMAGE as error:
                raise RunError(f"{path}: is damaged, so the search cannot go on. Choose another --out") from error
            yield Journal(folder, storage, worker)
    finally:
        (folder / WORKERS_NAME / worker).unlink(missing_ok=True)
        optuna.logging.set_verbosity(level)


class Study:
    """One search's trials.

    The first trial is the recipe as it is, so that what is found is never worse inside than what was there.

    Args:
        journal: where the trials stand.
        search: which search.
        recipe, space: what is changed, and how far.
        budget: how many trials.
    """

    def __init__(self, journal: Journal, search: Search, recipe: Recipe, space: Space, budget: Budget) -> None:
        self.search, self._journal, self._recipe, self._space, self._budget = search, journal, recipe, space, budget
        with claims_lock(journal.folder):
            self._study = optuna.create_study(
                storage=journal.storage,
                study_name=search.name,
                direction="maximize",
                load_if_exists=True,
                pruner=optuna.pruners.MedianPruner(_UNPRUNED_FIRST, _UNPRUNED_TENTHS),
            )

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """Return the trials in some states, of all workers, by their numbers."""
        return self._study.get_trials(deepcopy=False, states=states or None)

    @property
    def finished(self) -> int:
        """Trials that count."""
        return sum(map(_counts, self.trials(TrialState.COMPLETE, TrialState.PRUNED)))

    def claim(self) -> optuna.Trial | None:
        """Return a trial that is now this worker's; None where the budget is spent, as far as one can know yet."""
        with claims_lock(self._journal.folder):
            self._requeue_what_the_dead_left()
            found = self.trials()
            waiting = [trial for trial in found if trial.state == TrialState.WAITING]
            begun = any(_is_as_it_was(trial) for trial in found if trial.state != TrialState.FAIL)
            must = not begun or any(map(_is_as_it_was, waiting))
            if not must and (self._budget.late or self._has_enough(found)):
                return None
            trial = self._study.ask()
            trial.set_user_attr("worker", self._journal.worker)
            if "turn" not in trial.user_attrs:  # failed ones were put back, and stand for one turn with their like
                trial.set_user_attr("turn", sum(other.state != TrialState.FAIL for other in found))
            if not begun:
                trial.set_user_attr("as_it_was", True)
        return trial

    def others_work(self) -> bool:
        """Return whether a living worker still has a trial of this search."""
        with claims_lock(self._journal.folder):
            self._requeue_what_the_dead_left()
            return bool(self.trials(TrialState.RUNNING))

    def draw(self, trial: optuna.Trial) -> dict[str, Any]:
        """Return a trial's values: none for the recipe as it was, those it had before for one that was put back.

        Each trial's turn seeds its own draws, so that a continued search neither repeats itself nor goes astray. One
        that was put back has a new number and keeps its turn.
        """
        if trial.user_attrs.get("as_it_was"):
            return {}
        words = [self._recipe.training.seed, zlib.crc32(self.search.name.encode()), trial.user_attrs["turn"]]
        seed = int(np.random.SeedSequence(words).generate_state(1)[0])
        first = _RANDOM_FIRST if self._budget.trials is None else min(_RANDOM_FIRST, max(4, self._budget.trials // 3))
        self._study.sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=first, multivariate=False, constant_liar=True
        )
        return self._space.draw(self._recipe, lambda name, allowed: _suggest(trial, name, allowed))

    def tell(self, trial: optuna.Trial, value: float | None, **attributes: Any) -> None:
        """Note what came of a trial; None for one that was broken off."""
        for name, told in attributes.items():
            trial.set_user_attr(name, told)
        if value is None:
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, value)

    def best(self) -> FrozenTrial:
        """Return the trial with the highest score; of equal ones the first, which is the recipe as it was."""
        return max(self.trials(TrialState.COMPLETE), key=lambda trial: (trial.value or 0.0, -trial.number))

    def as_it_was(self) -> FrozenTrial:
        """Return the trial of the recipe as it was."""
        return next(trial for trial in self.trials(TrialState.COMPLETE) if _is_as_it_was(trial))

    def recipe_from(self, drawn: Mapping[str, Any]) -> Recipe:
        """Return the recipe with a trial's values.

        Raises:
            RecipeError: two of the values contradict each other.
        """
        return self._space.applied(self._recipe, drawn) if drawn else self._recipe

    def twin_of(self, digest: str) -> FrozenTrial | None:
        """Return a trial that was ended with the same recipe, or None."""
        ended = self.trials(TrialState.COMPLETE, TrialState.PRUNED)
        return next((trial for trial in ended if trial.user_attrs.get("digest") == digest), None)

    def _has_enough(self, found: list[FrozenTrial]) -> bool:
        if self._budget.trials is None:
            return False
        refused = sum("refused" in trial.user_attrs for trial in found)
        if refused >= _MOST_REFUSED * self._budget.trials:
            return True
        # what was put back is among those that count: it is taken up before anything new is drawn
        under_way = sum(trial.state == TrialState.RUNNING for trial in found)
        return self.finished + under_way >= self._budget.trials

    def _requeue_what_the_dead_left(self) -> None:
        for trial in self.trials(TrialState.RUNNING):
            worker = trial.user_attrs.get("worker")
            if worker == self._journal.worker or (worker is not None and self._lives(worker)):
                continue
            self._study.tell(trial.number, state=TrialState.FAIL)
            self._study.enqueue_trial(*_put_back(trial))

    def _lives(self, worker: str) -> bool:
        path = self._journal.folder / WORKERS_NAME / worker
        if not path.exists():
            return False
        try:
            with FileLock(path, timeout=0):
                pass
        except Timeout:
            return True
        path.unlink(missing_ok=True)
        return False


def _counts(trial: FrozenTrial) -> bool:
    return "refused" not in trial.user_attrs


def _put_back(trial: FrozenTrial) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the values of a trial whose worker died, and what it must know to go on as if nothing had happened."""
    attributes = {"folder": f"trial{trial.number}"} | {
        key: told for key, told in trial.user_attrs.items() if key in ("as_it_was", "folder", "turn")
    }
    looks = dict(trial.user_attrs.get("looks", {})) | {str(k): look for k, look in trial.intermediate_values.items()}
    # its digest tells that all values were drawn; half of them would shift the random numbers of the others
    values = trial.params if "digest" in trial.user_attrs else trial.system_attrs.get("fixed_params", {})
    return values, attributes | {"looks": looks}


def _is_as_it_was(trial: FrozenTrial) -> bool:
    attributes: Mapping[str, Any] = trial.user_attrs
    return bool(attributes.get("as_it_was"))


def _suggest(trial: optuna.Trial, name: str, allowed: Choices | Range) -> Any:
    if isinstance(allowed, Choices):
        return trial.suggest_categorical(name, allowed.values)
    if allowed.whole:
        low, high, step = int(allowed.low), int(allowed.high), int(allowed.step or 1)
        return trial.suggest_int(name, low, high, step=step, log=allowed.log)
    return trial.suggest_float(name, allowed.low, allowed.high, step=allowed.step, log=allowed.log)


def _cut_off_half_a_line(path: Path, lock: _KernelLock) -> None:
    lock.acquire()
    try:
        if path.exists():
            content = path.read_bytes()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                os.truncate(path, whole)
            for line in content[:whole].splitlines()[-1:]:
                json.loads(line)  # Optuna passes over a last line that is none of its own, and stumbles at the next
    finally:
        lock.release()
