"""The Fourier transform of frames, in two equal forms: the FFT, and matrix products that any runtime can execute.

The key idea of the second form (Cooley and Tukey 1965): with N = a·b, write n = b·n1 + n2 and k = k1 + a·k2. Then

    X[k1 + a·k2] = Σ_n2  W_b^(n2·k2) · W_N^(n2·k1) · Σ_n1 W_a^(n1·k1) x[b·n1 + n2],      W_N = exp(−2πi / N)

so a transform of 1,024 samples is two products with 32 × 32 matrices and a twiddle between them: about an eighth of the
operations of one dense product, and 25 kB of constants in a model file in place of 4 MB.
"""

import math

import torch
from torch import Tensor, nn

__all__ = ["MatmulDft", "frame", "power_spectrum_fft"]


def frame(waveform: Tensor, n_fft: int, hop_length: int) -> Tensor:
    """Cut centred, overlapping frames, the ends mirrored: frame t is centred on sample `t * hop_length`.

    Args:
        waveform: (batch, channels, samples), more than n_fft // 2 samples.

    Returns:
        (batch, channels, frames, n_fft) with `frames = samples // hop_length + 1`.
    """
    padded = nn.functional.pad(waveform, (n_fft // 2, n_fft // 2), mode="reflect")
    frames: Tensor = padded.unfold(-1, n_fft, hop_length)
    return frames


def power_spectrum_fft(frames: Tensor) -> Tensor:
    """Return |X|² of windowed frames (…, n_fft) as (…, n_fft // 2 + 1), by the FFT."""
    spectrum: Tensor = torch.fft.rfft(frames)
    return spectrum.real.square() + spectrum.imag.square()


class MatmulDft(nn.Module):
    """|X|² of windowed frames (…, n_fft) as (…, n_fft // 2 + 1), by two matrix products.

    Equal to `power_spectrum_fft` within rounding. n_fft may be any number; a prime one costs a dense product.
    """

    def __init__(self, n_fft: int) -> None:
        super().__init__()
        self.n_bins = n_fft // 2 + 1
        self.rows = max(divisor for divisor in range(1, math.isqrt(n_fft) + 1) if n_fft % divisor == 0)
        self.columns = n_fft // self.rows
        a, b = self.rows, self.columns
        kept = (n_fft // 2) // a + 1  # the columns k2 that reach bins up to half the rate
        first = _angles(a, a, a)
        twiddle = _angles(a, b, n_fft)
        second = _angles(b, kept, b)
        self.first: Tensor
        self.twiddle_cos: Tensor
        self.twiddle_sin: Tensor
        self.second: Tensor
        self.register_buffer("first", torch.cat([first.cos(), -first.sin()]).float(), persistent=False)
        self.register_buffer("twiddle_cos", twiddle.cos().float(), persistent=False)
        self.register_buffer("twiddle_sin", twiddle.sin().float(), persistent=False)
        # [re, im] @ [[cos, −sin], [sin, cos]] is the complex product with cos − i·sin
        cosine, sine = second.cos(), second.sin()
        both = torch.cat([torch.cat([cosine, -sine], dim=1), torch.cat([sine, cosine], dim=1)])
        self.register_buffer("second", both.float(), persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        """Return the power spectrum of frames."""
        a, b = self.rows, self.columns
        grid = frames.reshape(*frames.shape[:-1], a, b)
        real, imaginary = torch.matmul(self.first, grid).chunk(2, dim=-2)
        turned_real = real * self.twiddle_cos + imaginary * self.twiddle_sin
        turned_imaginary = imaginary * self.twiddle_cos - real * self.twiddle_sin
        out = torch.matmul(torch.cat([turned_real, turned_imaginary], dim=-1), self.second)
        real, imaginary = out.chunk(2, dim=-1)
        power = (real.square() + imaginary.square()).transpose(-1, -2).flatten(-2)
        return power[..., : self.n_bins]


def _angles(rows: int, columns: int, period: int) -> Tensor:
    """Return 2π·row·column / period, the product reduced by the period first so that float64 keeps every digit."""
    product = torch.outer(torch.arange(rows), torch.arange(columns)) % period
    return product.double() * (2 * math.pi / period)
