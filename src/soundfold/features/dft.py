"""The Fourier transform of frames, in two equal forms: the FFT, and matrix products that any runtime can execute.

The key idea of the second form (Cooley and Tukey 1965): with N = a·b, write n = b·n1 + n2 and k = k1 + a·k2. Then

    X[k1 + a·k2] = Σ_n2  W_b^(n2·k2) · W_N^(n2·k1) · Σ_n1 W_a^(n1·k1) x[b·n1 + n2],      W_N = exp(−2πi / N)

so a transform of 1,024 samples is two products with 32 × 32 matrices and a twiddle between them: about a tenth of the
operations of one dense product, and 25 kB of constants in a model file in place of 4 MB. A real sound has
X[N − k] = conj X[k], so k1 up to a / 2 is enough: the rest of the bins are mirrored.
"""

import math

import torch
from torch import Tensor, nn

__all__ = ["MatmulDft", "frame", "power_spectrum_fft"]


def frame(waveform: Tensor, n_fft: int, hop_length: int, *, portable: bool = False) -> Tensor:
    """Cut centred, overlapping frames, the ends mirrored: frame t is centred on sample `t * hop_length`.

    Args:
        waveform: (batch, channels, samples), more than (n_fft + 1) // 2 samples.
        n_fft: samples of a frame.
        hop_length: samples from one frame to the next.
        portable: copy whole hops in place of taking a view, for export: the same values. A view turns into a gather of
            single samples there, which took half of a model file's time.

    Returns:
        (batch, channels, frames, n_fft) with `frames = samples // hop_length + 1`.
    """
    before = n_fft // 2
    after = n_fft - before  # one more where n_fft is odd, so that no frame is lost
    mirrored = torch.cat(
        [waveform[..., 1 : before + 1].flip(-1), waveform, waveform[..., -after - 1 : -1].flip(-1)], dim=-1
    )
    if not portable:
        view: Tensor = mirrored.unfold(-1, n_fft, hop_length)
        return view
    # cut into rows of one hop, a frame is the row it begins with and the next ones
    frames = waveform.shape[-1] // hop_length + 1
    hops = -(-n_fft // hop_length)
    length = (frames + hops - 1) * hop_length
    missing = max(0, length - mirrored.shape[-1])
    padded = nn.functional.pad(mirrored, (0, missing))[..., :length]
    rows = padded.reshape(*padded.shape[:-1], -1, hop_length)
    parts = [rows[..., i : i + frames, : min(hop_length, n_fft - i * hop_length)] for i in range(hops)]
    return torch.cat(parts, dim=-1)


def power_spectrum_fft(frames: Tensor) -> Tensor:
    """Return |X|² of windowed frames (…, n_fft) as (…, n_fft // 2 + 1), by the FFT."""
    squares = torch.view_as_real(torch.fft.rfft(frames)).square()
    return squares[..., 0] + squares[..., 1]


class MatmulDft(nn.Module):
    """|X|² of windowed frames (…, n_fft) as (…, n_fft // 2 + 1), by two matrix products.

    Equal to `power_spectrum_fft` within rounding. n_fft may be any number; a prime one costs a dense product.

    Putting the bins in order costs a runtime about as much as a product. What sums them anyway takes `unordered` and
    has its own constants reordered by `reorder`.
    """

    def __init__(self, n_fft: int) -> None:
        super().__init__()
        self.n_fft, self.n_bins = n_fft, n_fft // 2 + 1
        # a ≥ b: half of the a rows are spared, so the longer side belongs there
        self.rows = min(divisor for divisor in range(1, n_fft + 1) if n_fft % divisor == 0 and divisor**2 >= n_fft)
        self.columns = n_fft // self.rows
        a, b = self.rows, self.columns
        self.kept = a // 2 + 1
        first, twiddle, second = _angles(self.kept, a, a), _angles(self.kept, b, n_fft), _angles(b, b, b)
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
        columns = (self.n_fft // 2) // a + 1  # those that reach bins up to half the rate
        grid = self.unordered(frames).reshape(*frames.shape[:-1], self.kept, b)
        mirrored = grid[..., 1 : (a + 1) // 2, b - columns :].flip((-2, -1))
        power = torch.cat([grid[..., :columns], mirrored], dim=-2).transpose(-1, -2).flatten(-2)
        return power[..., : self.n_bins]

    def unordered(self, frames: Tensor) -> Tensor:
        """Return the power spectrum of frames in the order in which it arises, some bins twice: (…, values)."""
        grid = frames.reshape(*frames.shape[:-1], self.rows, self.columns)
        out = torch.matmul(self.first, grid)
        real, imaginary = out[..., : self.kept, :], out[..., self.kept :, :]
        turned_real = real * self.twiddle_cos + imaginary * self.twiddle_sin
        turned_imaginary = imaginary * self.twiddle_cos - real * self.twiddle_sin
        out = torch.matmul(torch.cat([turned_real, turned_imaginary], dim=-1), self.second)
        squares = out * out
        return (squares[..., : self.columns] + squares[..., self.columns :]).flatten(-2)

    def reorder(self, filters: Tensor) -> Tensor:
        """Return filters (n_bins, n) as (values, n), so that `unordered(x) @ reorder(f)` equals `forward(x) @ f`."""
        bins = torch.arange(self.kept)[:, None] + self.rows * torch.arange(self.columns)
        bins = torch.minimum(bins, self.n_fft - bins).flatten()
        order = bins.argsort(stable=True)
        again = bins[order][1:] == bins[order][:-1]
        values = filters[bins].clone()
        values[order[1:][again]] = 0  # a bin counts once
        return values


def _angles(rows: int, columns: int, period: int) -> Tensor:
    """Return 2π·row·column / period, the product reduced by the period first so that float64 keeps every digit."""
    product = torch.outer(torch.arange(rows), torch.arange(columns)) % period
    return product.double() * (2 * math.pi / period)
