"""The card of a model file: what the file says of itself, as JSON in the ONNX metadata under the key `soundfold`."""

import base64
import hashlib
import json
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from soundfold.errors import ModelFileError
from soundfold.runtime.calibration import Calibration, Rejection

__all__ = [
    "CARD_KEY",
    "FORMAT_VERSION",
    "ModelCard",
    "are_known_recordings",
    "least_format",
    "read_card",
    "recordings_digest",
    "share_of_known_recordings",
]

CARD_KEY = "soundfold"
FORMAT_VERSION = 2  # the latest that is read here; `least_format` says which is written
_DIGEST_BYTES = 4


class ModelCard(BaseModel):
    """What a model file holds beside the graph.

    A later version may add fields; unknown ones are kept aside, so that today's reader opens tomorrow's file as long as
    its `format_version` is not a later one.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    format_version: int = Field(description="version of the file's layout")
    soundfold_version: str = Field(description="version that wrote the file")
    labels: tuple[str, ...] = Field(min_length=1, description="classes, in the order of the probabilities")
    answer: Literal["one", "several"] = Field("one", description="labels of a sound: one, or any number of them")
    sample_rate: int = Field(ge=1_000, le=384_000, description="rate of the input in Hz")
    channels: Literal[1, 2] = Field(description="channels of the input")
    downmix: Literal["first", "mean"] = Field(description="how more channels become fewer")
    window: int = Field(ge=16, le=384_000 * 60, description="samples of the input")
    precision: Literal["float32", "float16", "int8"] = Field(default="float32", description="of the network's numbers")
    recipe: dict[str, Any] = Field(default_factory=dict, description="the recipe that it was trained by")
    data: str = Field("", description="what it was trained on")
    split: dict[str, Any] = Field(default_factory=dict, description="which clips were held out")
    scores: dict[str, Any] = Field(default_factory=dict, description="scores on the held-out clips")
    training_recordings: str = Field("", description="digest of the recordings that it was trained on")
    silence_is_unknown: bool = Field(default=False, description="no class is told of windows that hold nothing")
    calibration: Calibration | None = Field(default=None, description="how far its answers can be trusted, if known")

    @field_validator("labels")
    @classmethod
    def _differ(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(labels)) < len(labels):
            raise ValueError("a label stands twice")
        return labels

    @model_validator(mode="after")
    def _match(self) -> "ModelCard":
        rule = None if self.calibration is None else self.calibration.rejection
        if rule is not None and len(rule.centre) != len(self.labels):
            raise ValueError(f"its rule for unknown sounds is for {len(rule.centre)} labels, not {len(self.labels)}")
        return self

    @property
    def temperature(self) -> float:
        """What the graph divides logits by; 1 where nothing was calibrated."""
        return 1.0 if self.calibration is None else self.calibration.temperature

    @property
    def rejection(self) -> Rejection | None:
        """The rule for unknown sounds; None where there is none, and of several labels, of which none may be told."""
        return None if self.calibration is None or self.answer == "several" else self.calibration.rejection

    @property
    def window_s(self) -> float:
        """Length of the input in seconds."""
        return self.window / self.sample_rate


def read_card(text: str | None, where: str) -> ModelCard:
    """Return the card of a file's metadata.

    Raises:
        ModelFileError: there is none, it is damaged, or a later version wrote it.
    """
    if text is None:
        raise ModelFileError(f"{where}: is an ONNX file, but not one of soundfold's. Export it with soundfold")
    _refuse_later_format(text, where)
    try:
        return ModelCard.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the card"
        raise ModelFileError(f"{where}: its description is damaged: {field}: {first['msg']}. Export it again") from None


def recordings_digest(groups: Iterable[str]) -> str:
    """Return a compact text that tells whether a recording is among these: a 4-byte hash of each name.

    It holds no name, but one that can be guessed can be tried.
    """
    hashes = sorted({_short_hash(group) for group in groups})
    return base64.b64encode(b"".join(hashes)).decode()


def share_of_known_recordings(card: ModelCard, groups: Iterable[str]) -> float | None:
    """Return the share of clips whose recording the model was trained on; None where the file does not say.

    Recordings are compared by name, so the answer holds for clips of the data set that the model was trained on.

    Args:
        card: the model's.
        groups: the recording of each clip.
    """
    asked = are_known_recordings(card, groups)
    if asked is None:
        return None
    return sum(asked) / len(asked) if asked else 0.0


def are_known_recordings(card: ModelCard, groups: Iterable[str]) -> list[bool] | None:
    """Return for each clip whether the model was trained on its recording; see `share_of_known_recordings`."""
    if not card.training_recordings:
        return None
    raw = base64.b64decode(card.training_recordings)
    known = {raw[start : start + _DIGEST_BYTES] for start in range(0, len(raw), _DIGEST_BYTES)}
    return [_short_hash(group) in known for group in groups]


def least_format(calibration: Calibration | None) -> int:
    """Return the version of a file's layout: the earliest that knows all that the file holds.

    2 has products in its rule for unknown sounds, which a program that knows none would leave out without a word.
    """
    rule = None if calibration is None else calibration.rejection
    return 2 if rule is not None and rule.product else 1


def _refuse_later_format(text: str, where: str) -> None:
    """Look at the format's number before anything else: a later card may lack what today's must have."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return  # damaged, and told as such by whoever reads the rest
    version = fields.get("format_version") if isinstance(fields, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        writer = fields.get("soundfold_version", "of a later version")
        raise ModelFileError(
            f"{where}: was written by soundfold {writer}, in a format that this version cannot read. Update soundfold"
        )


def _short_hash(group: str) -> bytes:
    return hashlib.blake2b(group.encode(), digest_size=_DIGEST_BYTES).digest()
