"""What can be asked of a sound: rate, channels, a range of it, the longest that is taken."""

import math

from soundfold.audio.shape import check_downmix
from soundfold.errors import AudioError

__all__ = ["check_channels", "check_limit", "check_range", "check_wanted"]


def check_wanted(sample_rate: int, channels: int, downmix: str) -> None:
    """Raise unless there can be a sound of this rate and these channels."""
    if sample_rate < 1:
        raise AudioError(f"sample_rate must be at least 1 Hz, got {sample_rate}. Say 44_100, for instance.")
    if channels < 1:
        raise AudioError(f"channels must be at least 1, got {channels}. Say 1, or 2 for stereo.")
    check_downmix(downmix)


def check_range(start_s: float | None, end_s: float | None) -> None:
    """Raise unless there is a range from here to there."""
    if start_s is not None and not 0 <= start_s < math.inf:
        raise AudioError(f"start_s must be at least 0, got {start_s}. Leave it out for the beginning.")
    if end_s is not None and not (start_s or 0) < end_s < math.inf:
        raise AudioError(f"end_s must be above start_s ({start_s or 0} s), got {end_s}. Leave it out for the end.")


def check_limit(max_s: float) -> None:
    """Raise unless a sound can be that long."""
    if not max_s > 0:
        raise AudioError(f"max_s must be above 0, got {max_s}. Say math.inf for any length.")


def check_channels(name: str, found: int, channels: int) -> None:
    """Raise unless a sound's channels can become the number that is wanted."""
    if 1 < found < channels:
        raise AudioError(
            f"{name}: has {found} channels, and {channels} cannot be made of them. Ask for at most {found}."
        )
