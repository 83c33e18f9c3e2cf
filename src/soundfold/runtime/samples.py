"""Samples as a program hands them over, checked and made float32."""

import numpy as np

from soundfold.errors import AudioError

__all__ = ["as_waveform"]


def as_waveform(samples: np.ndarray) -> np.ndarray:
    """Return samples as (channels, samples) float32 in −1 … 1.

    Args:
        samples: (samples,) or (channels, samples), floats or PCM as uint8, int16 or int32.

    Raises:
        AudioError: they are empty, have another shape or kind, or are not finite.
    """
    channels_first = np.atleast_2d(_unit(np.asarray(samples)))
    if channels_first.ndim != 2 or channels_first.size == 0:
        raise AudioError(
            f"waveform must be (samples,) or (channels, samples) and not empty, got {np.shape(samples)}. "
            f"Give one sound with at least one sample"
        )
    if channels_first.shape[0] > channels_first.shape[1] and channels_first.shape[0] > 64:
        raise AudioError(f"waveform must be (channels, samples), got {np.shape(samples)}. Transpose it")
    if not np.isfinite(channels_first).all():
        raise AudioError("waveform must hold finite numbers, got NaN or infinity. Mend or cut those samples")
    return channels_first


def _unit(samples: np.ndarray) -> np.ndarray:
    """Return samples as float32 in -1 to 1; whole numbers are taken for PCM of their width, as files hold it.

    Raises:
        AudioError: of whole numbers of such a width no file is made, so nobody can tell what is loud.
    """
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128.0) / 128.0
    if samples.dtype in (np.int16, np.int32):
        return (samples / -float(np.iinfo(samples.dtype).min)).astype(np.float32)
    if samples.dtype.kind != "f":
        raise AudioError(
            f"waveform must hold floats in -1 to 1, or PCM as uint8, int16 or int32, got {samples.dtype}. "
            f"Divide it by its full scale"
        )
    return samples.astype(np.float32, copy=False)
