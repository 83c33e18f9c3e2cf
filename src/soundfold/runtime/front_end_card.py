"""What a model file says of its front end: the numbers that another program needs to compute its features itself.

JSON in the ONNX metadata, beside the card. The window and the filters are the front end's own numbers and not the names
of formulas, so nobody computes them a second time and a little otherwise.
"""

import base64
import json
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from soundfold.errors import ModelFileError

__all__ = ["FRONT_END_KEY", "Db", "FrontEndCard", "Log", "Pcen", "pack", "pack_filters", "read_front_end_card"]

FRONT_END_KEY = "soundfold.front_end"
_VERSION: Literal[1] = 1


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Db(_Entry):
    """Decibels, 10·log10(max(power, 1e-10)), with a floor under the loudest value of a clip's channels together."""

    kind: Literal["db"] = "db"
    top_db: float = Field(gt=0)


class Log(_Entry):
    """The natural logarithm: slope · log(factor · power + 1) + shift."""

    kind: Literal["log"] = "log"
    factor: float = Field(gt=0)
    slope: float
    shift: float


class Pcen(_Entry):
    """Energies E = power / full_scale, normalised: (E / (floor + mean)^gain + bias)^power − bias^power."""

    kind: Literal["pcen"] = "pcen"
    full_scale: float = Field(gt=1e-12)
    weight: float = Field(gt=0, le=1, description="of the newest frame in the running mean")
    gain: float = Field(ge=0, le=1)
    bias: float = Field(gt=0)
    power: float = Field(gt=0, le=1)
    floor: float = Field(gt=1e-12)


class FrontEndCard(_Entry):
    """How features are made of a waveform: pre-emphasis, frames, window, power, bands, scale, cosine transform.

    Arrays are little-endian float32 in base64.
    """

    version: Literal[1] = _VERSION
    n_fft: int = Field(ge=16, le=16_384)
    hop_length: int = Field(ge=1, le=16_384)
    pre_emphasis: float = Field(ge=0, le=1, description="of each sample, so much is taken off the next; 0 for none")
    before: int = Field(ge=0, le=16_384, description="samples of a frame before the one on which it is centred")
    window: str = Field(description="(win_length,)")
    first_bins: tuple[int, ...] = Field(min_length=1, max_length=4_096, description="each band's first bin")
    widths: tuple[int, ...] = Field(description="each band's number of bins")
    weights: str = Field(description="each band's weights for its bins, band after band")
    scale: Annotated[Db | Log | Pcen, Field(discriminator="kind")]
    dct: str | None = Field(None, description="(rows, bands), what the scaled bands are multiplied with")

    def arrays(self, where: str) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return the window, the filters (n_fft // 2 + 1, bands), and the cosine transform (rows, bands) or None.

        Args:
            where: the file, for messages.

        Raises:
            ModelFileError: the numbers do not fit each other.
        """
        window, weights = _unpack(self.window, where), _unpack(self.weights, where)
        dct = None if self.dct is None else _unpack(self.dct, where)
        bins, bands = self.n_fft // 2 + 1, len(self.first_bins)
        spans = list(zip(self.first_bins, self.widths, strict=False))
        if (
            not self.before < len(window) <= self.n_fft
            or len(self.widths) != bands
            or sum(self.widths) != len(weights)
            or any(first < 0 or width < 0 or first + width > bins for first, width in spans)
            or (dct is not None and (not len(dct) or len(dct) % bands))
        ):
            raise ModelFileError(f"{where}: the numbers of its front end do not fit each other. Export it again")
        filters = np.zeros((bins, bands), dtype=np.float32)
        taken = 0
        for band, (first, width) in enumerate(spans):
            filters[first : first + width, band] = weights[taken : taken + width]
            taken += width
        return window, filters, None if dct is None else dct.reshape(-1, bands)


def read_front_end_card(text: str | None, where: str) -> FrontEndCard | None:
    """Return the card of a file's metadata; None where there is none, or one of a later version.

    Raises:
        ModelFileError: it is damaged.
    """
    if text is None:
        return None
    try:
        fields = json.loads(text)
        if isinstance(fields, dict) and isinstance(fields.get("version"), int) and fields["version"] > _VERSION:
            return None  # the graph's own front end serves
        return FrontEndCard.model_validate(fields)
    except (ValueError, RecursionError, ValidationError) as error:
        told = error.errors()[0]["msg"] if isinstance(error, ValidationError) else "it is no JSON"
        raise ModelFileError(f"{where}: the card of its front end is damaged: {told}. Export it again") from None


def pack(values: np.ndarray) -> str:
    """Return an array as a card holds it."""
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode()


def pack_filters(filters: np.ndarray) -> dict[str, Sequence[int] | str]:
    """Return filters (bins, bands) as a card's fields hold them, without the zeros around each band."""
    heard = [np.flatnonzero(band) for band in filters.T]
    spans = [(int(bins[0]), int(bins[-1]) + 1) if len(bins) else (0, 0) for bins in heard]
    parts = [band[low:high] for band, (low, high) in zip(filters.T, spans, strict=True)]
    return {
        "first_bins": [low for low, _ in spans],
        "widths": [high - low for low, high in spans],
        "weights": pack(np.concatenate(parts)),
    }


def _unpack(text: str, where: str) -> np.ndarray:
    try:
        values = np.frombuffer(base64.b64decode(text, validate=True), dtype="<f4").astype(np.float32)
    except ValueError:
        raise ModelFileError(f"{where}: the numbers of its front end are damaged. Export it again") from None
    if not np.isfinite(values).all():
        raise ModelFileError(f"{where}: the numbers of its front end must be finite. Export it again")
    return values
