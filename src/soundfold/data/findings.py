"""What an audit found: counts, lists, and the sentences that tell how many, which, and the mend."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from soundfold.data.clips import LeftOut, mend_of_one_class
from soundfold.data.labelling import note_on_case
from soundfold.data.leaks import UNKNOWN_RECORDINGS
from soundfold.wording import counted, listed

__all__ = ["Audit", "Identical", "Lengths"]


@dataclass(frozen=True)
class Lengths:
    """Lengths of the clips that decode, in seconds; `short` counts those under 0.1 s."""

    min_s: float
    median_s: float
    max_s: float
    total_s: float
    short: int


@dataclass(frozen=True)
class Identical:
    """Clips with the same samples: their names, and the different labels, folds and recordings they stand under."""

    clips: tuple[str, ...]
    labels: tuple[str, ...]
    folds: tuple[str, ...]
    recordings: tuple[str, ...]


@dataclass(frozen=True)
class Audit:
    """What a data set holds and what is wrong with it.

    Attributes:
        kind, root, labels, groups_known, left_out, notes: as in `Clips`; `clips` is their number.
        per_class, per_fold, recordings_per_class: counts; `per_fold` by fold and class, empty without folds.
        sample_rates, channels, formats: clips by Hz, by number of channels, by container and coding.
        lengths: None when no clip decodes.
        unreadable: clips that do not decode, or whose range leaves their file, with reasons.
        silent: clips of zeros. clipped: clips with 0.1 % of their samples or more at full scale.
        identical: sounds that stand more than once, silence apart.
        straddling: recordings that stand in several folds.
        few_recordings: classes with fewer recordings than there are folds (five where there are none), and how many.
        sound_hashes: a digest a clip, "" for silent and unreadable ones; for `find_leaks`.
    """

    kind: str
    root: Path
    clips: int
    labels: tuple[str, ...]
    groups_known: bool
    per_class: dict[str, int]
    per_fold: dict[str, dict[str, int]]
    recordings_per_class: dict[str, int]
    sample_rates: dict[int, int]
    channels: dict[int, int]
    formats: dict[str, int]
    lengths: Lengths | None
    unreadable: tuple[LeftOut, ...]
    silent: tuple[str, ...]
    clipped: tuple[str, ...]
    identical: tuple[Identical, ...]
    straddling: dict[str, tuple[str, ...]]
    few_recordings: dict[str, int]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    sound_hashes: tuple[str, ...]

    @property
    def findings(self) -> tuple[str, ...]:
        """One sentence, with its mend, for each thing that could spoil a score, the gravest first; or nothing."""
        labels = note_on_case(self.labels)
        return (*_on_files(self), *_on_copies(self), *labels, *_on_recordings(self), *_on_levels(self))

    def as_dict(self) -> dict[str, object]:
        """Return the JSON form, without the digests."""
        fields = asdict(self)
        del fields["sound_hashes"]
        for name in ("sample_rates", "channels"):
            fields[name] = {str(key): n for key, n in fields[name].items()}
        return {**fields, "root": str(self.root), "findings": list(self.findings)}


def _on_files(audit: Audit) -> Iterator[str]:
    if audit.unreadable:
        first = audit.unreadable[0]
        yield (
            f"{counted(len(audit.unreadable), 'clip')} cannot be read, first {first.path}: "
            f"{first.reason.rstrip('.')}. Mend these, or take their rows out."
        )
    if audit.left_out:
        first = audit.left_out[0]
        yield (
            f"{counted(len(audit.left_out), 'row was', 'rows were')} left out while reading, first {first.path}: "
            f"{first.reason}. Mend them, or take them out."
        )


def _on_copies(audit: Audit) -> Iterator[str]:
    rest = list(audit.identical)
    labels = [same for same in rest if len(same.labels) > 1]
    rest = [same for same in rest if len(same.labels) == 1]
    folds = [same for same in rest if len(same.folds) > 1]
    rest = [same for same in rest if len(same.folds) <= 1]
    recordings = [same for same in rest if len(same.recordings) > 1]
    rest = [same for same in rest if len(same.recordings) == 1]
    if labels:
        yield f"{_sounds(labels)} under different labels{_pair(labels)}. Keep the right one, and remove the others."
    if folds:
        yield (
            f"{_sounds(folds)} in different folds{_pair(folds)}, so they are trained on before they are tested. "
            "Keep one copy of each."
        )
    if recordings:
        yield (
            f"{_sounds(recordings)} under different recordings{_pair(recordings)}, so a split may part them. "
            "Keep one copy of each, or give the copies one `group`."
        )
    if rest:
        yield f"{_sounds(rest)} inside one recording{_pair(rest)}. Keep one copy of each; more teach nothing."


def _on_recordings(audit: Audit) -> Iterator[str]:
    present = [label for label, n in audit.per_class.items() if n]
    if not present:
        yield "No clip has a label, and there is nothing to tell apart. Label some."
    elif len(present) == 1 and audit.per_class[present[0]] == audit.clips:
        mend = mend_of_one_class(audit.kind, audit.root, present[0])
        yield f"All clips have the label '{present[0]}', and there is nothing to tell apart. {mend}"
    if audit.straddling:
        named = listed((f"{name} ({', '.join(folds)})" for name, folds in audit.straddling.items()), most=5)
        yield (
            f"{counted(len(audit.straddling), 'recording stands', 'recordings stand')} in more than one fold: {named}. "
            "Official folds are kept as they are, and scores name this; in folds of your own, put each recording into "
            "one."
        )
    single = [f"'{label}'" for label, n in audit.few_recordings.items() if n == 1]
    few = [f"'{label}' {n}" for label, n in audit.few_recordings.items() if n > 1]
    if single:
        yield (
            f"{listed(single)} {'has' if len(single) == 1 else 'have'} a single recording, which can be trained on or "
            "tested, not both. Add recordings."
        )
    if few:
        yield f"Few recordings: {listed(few)}. Some folds test none of these, and their scores vary. Add recordings."
    if not audit.groups_known:
        yield UNKNOWN_RECORDINGS


def _on_levels(audit: Audit) -> Iterator[str]:
    if audit.silent:
        yield f"{_clips_are(len(audit.silent))} silent (all samples are 0), first {audit.silent[0]}. Remove them."
    if audit.clipped:
        yield (
            f"{_clips_are(len(audit.clipped))} clipped (0.1 % of the samples or more at full scale), first "
            f"{audit.clipped[0]}. Record at a lower level where you can; the classifier learns to live with it."
        )
    if audit.lengths and audit.lengths.short:
        yield (
            f"{_clips_are(audit.lengths.short)} shorter than 0.1 s, the shortest {audit.lengths.min_s:.4f} s. "
            "Check that they were cut as meant."
        )


def _sounds(same: Sequence[Identical]) -> str:
    return counted(len(same), "sound stands more than once", "sounds stand more than once")


def _pair(same: Sequence[Identical]) -> str:
    return f" (first {same[0].clips[0]} and {same[0].clips[1]})"


def _clips_are(n: int) -> str:
    return counted(n, "clip is", "clips are")
