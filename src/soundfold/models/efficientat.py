"""EfficientAT's networks mn04 to mn20: MobileNetV3-Large in four widths, one input channel, trained on AudioSet.

The weights are published under the MIT licence; the names of the layers are theirs, so that a published file fits as it
is. Which file belongs to which network, and where it is found, is `pretrained`'s business.

References:
    Schmid, Koutini and Widmer (2023), "Efficient Large-Scale Audio Tagging via Transformer-to-CNN Knowledge
    Distillation", ICASSP.
    Howard et al. (2019), "Searching for MobileNetV3", ICCV.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from functools import partial
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from soundfold.errors import ModelFileError, RecipeError, did_you_mean
from soundfold.models.batch_statistics import hold_statistics

__all__ = ["ALL_VIEWS", "EFFICIENTAT_WIDTHS", "FEW_VIEWS", "EfficientAT", "build_efficientat", "load_state"]

EFFICIENTAT_WIDTHS = {"mn04": 0.4, "mn05": 0.5, "mn10": 1.0, "mn20": 2.0}
"""Network's name → what the channels of MobileNetV3-Large are multiplied by."""

FEW_VIEWS, ALL_VIEWS = 3, 4
"""How many views of a network may be asked for: the few are the first of all, so who keeps all keeps them too."""


class _Layout(NamedTuple):
    """One inverted residual block at width 1: what its depthwise convolution is like, and the channels around it."""

    kernel: int
    expanded: int
    channels: int
    squeezes: bool
    activation: type[nn.Module]
    stride: int


_STEM = 16
_BLOCKS = (
    _Layout(3, 16, 16, False, nn.ReLU, 1),
    _Layout(3, 64, 24, False, nn.ReLU, 2),
    _Layout(3, 72, 24, False, nn.ReLU, 1),
    _Layout(5, 72, 40, True, nn.ReLU, 2),
    _Layout(5, 120, 40, True, nn.ReLU, 1),
    _Layout(5, 120, 40, True, nn.ReLU, 1),
    _Layout(3, 240, 80, False, nn.Hardswish, 2),
    _Layout(3, 200, 80, False, nn.Hardswish, 1),
    _Layout(3, 184, 80, False, nn.Hardswish, 1),
    _Layout(3, 184, 80, False, nn.Hardswish, 1),
    _Layout(3, 480, 112, True, nn.Hardswish, 1),
    _Layout(3, 672, 112, True, nn.Hardswish, 1),
    _Layout(5, 672, 160, True, nn.Hardswish, 2),
    _Layout(5, 960, 160, True, nn.Hardswish, 1),
    _Layout(5, 960, 160, True, nn.Hardswish, 1),
)
_HIDDEN = 1280
_MIDDLE = (-6, -5)  # from the end, so that they are found too where the first blocks are somewhere else
_TINY = 1e-12  # keeps the root's slope finite where an embedding's value is nothing
_batch_norm = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)


class EfficientAT(nn.Module):
    """Log-mel spectrograms (batch, 1, 128, frames) of `AudiosetMel` → logits (batch, n_labels).

    Attributes:
        features: the 17 blocks in order, each (batch, channels, h, w) → the same of its own sizes.
        classifier: pooling, then the head.
        width: values of an embedding: 384 for mn04.
        frozen_statistics: batch normalisation uses its kept statistics in training too, and leaves them as they are.
            For fine-tuning with few recordings; the published ones are over two million clips.
        changes_in_place: its activations write into what they are given.

    Args:
        width_mult: what MobileNetV3-Large's channels are multiplied by.
        n_labels: number of classes.
    """

    changes_in_place = True

    def __init__(self, width_mult: float, n_labels: int) -> None:
        super().__init__()
        channels = _round_channels(_STEM * width_mult)
        blocks: list[nn.Module] = [_convolution(1, channels, 3, nn.Hardswish, stride=2)]
        made = []
        for layout in _BLOCKS:
            block = _InvertedResidual(channels, layout, width_mult)
            blocks.append(block)
            made.append(channels := block.channels)
        self._n_labels, self._channels = n_labels, made
        self.width = 6 * channels
        blocks.append(_convolution(channels, self.width, 1, nn.Hardswish))
        self.features = nn.Sequential(*blocks)
        hidden = _round_channels(_HIDDEN * width_mult)
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(self.width, hidden),
            nn.Hardswish(),
            nn.Dropout(0.2),
            nn.Linear(hidden, n_labels),
        )
        self.frozen_statistics = False
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0.0, 0.01)
                nn.init.zeros_(module.bias)

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.classifier(self.features(spectrogram))
        return logits

    def embed(self, maps: Tensor) -> Tensor:
        """Return the embedding (batch, width) of what `features` gave: its mean over bands and time."""
        return maps.mean(dim=(-2, -1))

    def views(self, spectrogram: Tensor, count: int = FEW_VIEWS) -> list[Tensor]:
        """Return descriptions of each clip for linear probes, the answers of which are best averaged.

        Each errs in its own way: the embedding, its square root taken with the sign, as single values stand out; the
        logits, which name AudioSet's classes, as long as the published head is in place; the mean of the last
        residual block, which has few values; and, as a fourth, the means of the two blocks before the last stage,
        which know less of AudioSet's classes and more of how a sound is made.

        Args:
            spectrogram: (batch, 1, 128, frames), or what the blocks before gave where `features` has lost its first.
            count: `FEW_VIEWS` or `ALL_VIEWS`.

        Returns:
            (batch, width), (batch, n_labels), (batch, channels of block 15): 384, 527 and 64 for mn04; of four,
            (batch, channels of blocks 11 and 12) too, 96.
        """
        *middle, block, last = self.layer_maps(spectrogram, (*(_MIDDLE if count == ALL_VIEWS else ()), -2, -1))
        embedding = self.embed(last)
        root = embedding.sign() * (embedding.abs() + _TINY).sqrt()
        views = [root, self.classifier(last), block.mean(dim=(-2, -1))]
        return [*views, torch.cat([maps.mean(dim=(-2, -1)) for maps in middle], dim=1)] if middle else views

    def view_sizes(self, count: int = FEW_VIEWS) -> list[int]:
        """Return how many values each of so many views has."""
        return [self.width, self._n_labels, self._channels[-1], sum(self._channels[at + 1] for at in _MIDDLE)][:count]

    def layer_maps(self, spectrogram: Tensor, layers: Iterable[int]) -> list[Tensor]:
        """Return the maps that some blocks of `features` give, for probes that look at more than the last one.

        Args:
            spectrogram: (batch, 1, 128, frames).
            layers: blocks' positions, 0 to 16 or −17 to −1.

        Returns:
            one (batch, channels, h, w) a block, in the order of `layers`.
        """
        asked = [range(len(self.features))[layer] for layer in layers]
        kept: dict[int, Tensor] = {}
        maps = spectrogram
        for position, block in enumerate(self.features):
            if len(kept) == len(set(asked)):
                break
            maps = block(maps)
            if position in asked:
                kept[position] = maps
        return [kept[position] for position in asked]

    def stages(self) -> list[nn.Module]:
        """Return all that learns, from the sound to the answer: the 17 blocks, then the classifier.

        For freezing by stages and for learning rates that fall layer by layer.
        """
        return [*self.features, self.classifier]

    def train(self, mode: bool = True) -> Self:
        """Switch to training or evaluation; with `frozen_statistics` batch normalisation stays in evaluation."""
        super().train(mode)
        if self.frozen_statistics:
            hold_statistics(self)
        return self


def build_efficientat(name: str, n_labels: int = 527) -> EfficientAT:
    """Return a network of the family with random weights; the shapes of the published ones fit when n_labels is 527.

    Args:
        name: mn04, mn05, mn10 or mn20.
        n_labels: number of classes, at least 1.

    Raises:
        RecipeError: there is no such network.

    >>> build_efficientat("mn04").width
    384
    """
    if name not in EFFICIENTAT_WIDTHS:
        known = ", ".join(EFFICIENTAT_WIDTHS)
        raise RecipeError(f"model must be one of {known}, got '{name}'.{did_you_mean(name, EFFICIENTAT_WIDTHS)}")
    return EfficientAT(EFFICIENTAT_WIDTHS[name], n_labels)


def load_state(network: EfficientAT, state: Mapping[str, Tensor], where: str, *, head: bool = True) -> None:
    """Give a network published weights; every name and shape must fit.

    Args:
        network: is changed in place, and only if all fits.
        state: layer's name → values.
        where: the file they come from, for the message.
        head: also the classifier; False where the network has its own, for other classes.

    Raises:
        ModelFileError: a name or a shape does not fit.
    """
    expected = {name: own for name, own in network.state_dict().items() if head or not name.startswith("classifier.")}
    given = {name: value for name, value in state.items() if head or not name.startswith("classifier.")}
    wrong = sorted(
        name
        for name in expected.keys() | given.keys()
        if name not in expected or name not in given or expected[name].shape != given[name].shape
    )
    if wrong:
        name = wrong[0]
        sides = (_shape(expected.get(name)), _shape(given.get(name)))
        raise ModelFileError(
            f"{where}: does not fit this network: {name} must be {sides[0]}, got {sides[1]} ({len(wrong)} of "
            f"{len(expected.keys() | given.keys())} layers differ). Name the weights that were published for it"
        )
    network.load_state_dict(given, strict=head)


class _SqueezeExcite(nn.Module):
    """Weigh channels by what all of the clip holds: mean over bands and time, two layers, a factor from 0 to 1."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, squeezed)
        self.fc2 = nn.Linear(squeezed, channels)

    def forward(self, maps: Tensor) -> Tensor:
        weights: Tensor = self.fc2(self.fc1(maps.mean(dim=(-2, -1))).relu()).sigmoid()
        return maps * weights[:, :, None, None]


class _InvertedResidual(nn.Module):
    """1×1 convolution to more channels, depthwise convolution, squeeze-and-excitation, 1×1 to fewer channels."""

    def __init__(self, channels_in: int, layout: _Layout, width_mult: float) -> None:
        super().__init__()
        expanded = _round_channels(layout.expanded * width_mult)
        self.channels = _round_channels(layout.channels * width_mult)
        steps: list[nn.Module] = []
        if expanded != channels_in:
            steps.append(_convolution(channels_in, expanded, 1, layout.activation))
        depthwise = _convolution(
            expanded, expanded, layout.kernel, layout.activation, stride=layout.stride, groups=expanded
        )
        steps.append(depthwise)
        if layout.squeezes:
            squeeze = _SqueezeExcite(expanded, _round_channels(expanded / 4))
            # the published names have room for several ways of squeezing side by side; these networks use one
            steps.append(nn.Sequential(OrderedDict(conc_se_layers=nn.Sequential(squeeze))))
        steps.append(_convolution(expanded, self.channels, 1, None))
        self.block = nn.Sequential(*steps)
        self.adds = layout.stride == 1 and channels_in == self.channels

    def forward(self, maps: Tensor) -> Tensor:
        result: Tensor = self.block(maps)
        return result + maps if self.adds else result


def _convolution(
    channels_in: int,
    channels_out: int,
    kernel: int,
    activation: type[nn.Module] | None,
    *,
    stride: int = 1,
    groups: int = 1,
) -> nn.Sequential:
    """Return convolution, batch normalisation and, if there is one, activation."""
    convolution = nn.Conv2d(
        channels_in, channels_out, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False
    )
    steps: list[nn.Module] = [convolution, _batch_norm(channels_out)]
    if activation is not None:
        steps.append(activation(inplace=True))
    return nn.Sequential(*steps)


def _round_channels(channels: float) -> int:
    """Return the nearest multiple of 8, at least 8, and the next one where that lies below nine tenths."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _shape(value: Tensor | None) -> str:
    return "absent" if value is None else str(tuple(value.shape))
