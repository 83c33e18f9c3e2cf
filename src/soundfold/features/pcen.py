"""Per-channel energy normalisation: each mel band against its own recent past, in place of a logarithm.

What stays (wind, hum, a far motor) is taken out by dividing by a running mean, and what begins (a bark, a shot) stands
out; a clip's loudness hardly matters. The root that follows compresses as a logarithm does, but is flat at zero.
"""

import math

import torch
from torch import Tensor, nn

from soundfold.features.mel_power import MelPower
from soundfold.features.precision import in_full_precision
from soundfold.recipe import FeatureRecipe, SoundRecipe

__all__ = ["Pcen", "normalise_energy", "pcen", "running_mean"]


def running_mean(energy: Tensor, weight: float) -> Tensor:
    """Return the first-order recursive mean along the last axis, M[t] = (1 − w)·M[t − 1] + w·E[t], from M[0] = E[0].

    Computed without the recursion. The mean of a block of frames that begins after M[−1] is a product with the
    triangular matrix w·(1 − w)^(j − i), plus (1 − w)^(j + 1)·M[−1]; and the means at the ends of the blocks follow from
    each other in the same way. With about √frames blocks of about √frames frames the matrices are small, every power in
    them is at most 1, so that nothing can overflow, and nothing is divided by what may be tiny.

    Args:
        energy: (…, frames), floating point.
        weight: of the newest frame, more than 0, at most 1.

    Returns:
        the same shape.
    """
    frames = energy.shape[-1]
    size = math.isqrt(frames - 1) + 1
    count = -(-frames // size)
    steps = torch.arange(size, device=energy.device)
    within = weight * _decay(steps - steps[:, None], weight, energy)
    padded = nn.functional.pad(energy, (0, size * count - frames))
    blocks = padded.reshape(*energy.shape[:-1], count, size)
    alone = torch.matmul(blocks, within)
    ends = torch.cat([energy[..., :1], alone[..., :-1, -1]], dim=-1)
    places = torch.arange(count, device=energy.device)
    before = torch.matmul(ends, _decay(size * (places - places[:, None]), weight, energy))
    means = alone + before[..., None] * _decay(steps + 1, weight, energy)
    return means.flatten(-2)[..., :frames]


def _decay(steps: Tensor, weight: float, like: Tensor) -> Tensor:
    """Return (1 − weight)^steps, and 0 for negative steps."""
    rate = -math.inf if weight == 1.0 else math.log1p(-weight)
    powers = (steps.clamp(min=0).to(like.dtype) * max(rate, -1e4)).exp()
    return torch.where(steps < 0, torch.zeros_like(powers), powers)


def normalise_energy(
    energy: Tensor, weight: float, *, gain: float = 0.98, bias: float = 2.0, power: float = 0.5, floor: float = 1e-8
) -> Tensor:
    """Return PCEN of energies: (E / (floor + M)^gain + bias)^power − bias^power, with M the running mean of E.

    Args:
        energy: (…, frames), not negative; 1 is the energy of full scale.
        weight: of the newest frame in the running mean.
        gain: how far the background is taken out, 0 (not at all) to 1 (wholly).
        bias: what counts as little beside the background, more than 0.
        power: exponent of the compression, more than 0, at most 1.
        floor: energy below which a background counts as silence, more than 0.

    Returns:
        the same shape, 0 for silence, not negative.

    References:
        Wang, Getreuer, Hughes, Lyon and Saurous (2017), "Trainable frontend for robust and far-field keyword spotting",
        ICASSP; the defaults are theirs, but for the floor. Lostanlen et al. (2019), "Per-channel energy normalization:
        why and how", IEEE Signal Processing Letters 26(1), on how to choose others.
    """
    # powers of positive numbers by exp and log: runtimes compute these many at once, and general powers one by one
    # and in units of the floor: ONNX's optimiser takes an added constant of 1e-8 or less for nothing, and leaves it out
    relative = energy * (1.0 / floor)
    background = torch.log(running_mean(relative, weight) + 1.0)
    ratio = relative * torch.exp((1.0 - gain) * math.log(floor) - gain * background)
    return torch.exp(power * torch.log(ratio + bias)) - math.pow(bias, power)


class Pcen(nn.Module):
    """Waveforms (batch, channels, samples) → normalised energies (batch, channels, n_mels, frames).

    The parameters are fixed by the recipe and not learned. Energies are relative to a full-scale sine, and the floor is
    `top_db` under it.

    Args:
        sound, features, portable: as for `LogMel`.
    """

    def __init__(self, sound: SoundRecipe, features: FeatureRecipe, *, portable: bool = False) -> None:
        super().__init__()
        self.mel_power = MelPower(sound, features, portable=portable)
        self.shape = self.mel_power.shape
        self.weight = _weight(features.pcen_time_s, sound.sample_rate / features.hop_length)
        self.gain, self.bias, self.power = features.pcen_gain, features.pcen_bias, features.pcen_power
        self.floor = 10.0 ** (-features.top_db / 10.0)

    @in_full_precision
    def forward(self, waveform: Tensor) -> Tensor:
        """Return normalised energies."""
        energy = self.mel_power(waveform) * (1.0 / self.mel_power.full_scale)
        return normalise_energy(energy, self.weight, gain=self.gain, bias=self.bias, power=self.power, floor=self.floor)


def _weight(time_s: float, frames_per_s: float) -> float:
    """Return the weight of the newest frame for a running mean that averages over a time.

    1 − e^(−1 / n) for n frames: the mean has come 63 % of the way to a new level after that time. 0.4 s at 100 frames a
    second give 0.0247; the paper has 0.025.
    """
    return -math.expm1(-1.0 / (time_s * frames_per_s))


def pcen(waveform: Tensor, sound: SoundRecipe, features: FeatureRecipe) -> Tensor:
    """Return the normalised energies of waveforms: `Pcen` in one line.

    >>> from soundfold.recipe import Recipe
    >>> recipe = Recipe()
    >>> pcen(torch.zeros(1, 2, recipe.sound.window), recipe.sound, recipe.features).shape
    torch.Size([1, 2, 64, 345])
    """
    front_end: Tensor = Pcen(sound, features).to(waveform.device)(waveform)
    return front_end
