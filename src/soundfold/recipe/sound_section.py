"""The recipe's section `sound`: what the network hears."""

from typing import Literal

from pydantic import Field

from soundfold.recipe.section import Section

__all__ = ["SoundRecipe"]


class SoundRecipe(Section):
    """What the network hears: one window of sound."""

    sample_rate: int = Field(44_100, ge=1_000, le=384_000, description="rate in Hz that every sound is resampled to")
    channels: Literal[1, 2] = Field(2, description="channels the network hears; mono is doubled for two")
    downmix: Literal["first", "mean"] = Field(
        "first", description="how more channels become fewer: keep the first ones, or average them"
    )
    length_s: float = Field(4.0, gt=0, le=60, description="length of a window in seconds")
    max_clip_s: float = Field(
        600.0, gt=0, le=86_400, description="longest labelled clip in seconds; a longer one is kept out and listed"
    )

    @property
    def window(self) -> int:
        """Length of a window in samples, exact: `round(length_s * sample_rate)`.

        The tutorial computes `sample_rate // 1000 * milliseconds`, which drops 400 samples of 4 s at 44,100 Hz.
        """
        return round(self.length_s * self.sample_rate)
