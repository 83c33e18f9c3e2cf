"""The front end's place in a model file: its own part of the graph, marked by name, and the numbers to compute it by.

The graph is exported in two parts, waveform → features and features → the rest, and joined again. So a runtime that
computes features itself can leave the first part out; see `runtime.graph_cut`.
"""

import math

import onnx
from torch import nn

from soundfold.features import AudiosetMel, LogMel, MelPower, Mfcc, Pcen
from soundfold.models import Classifier
from soundfold.models.embedding import Embedding
from soundfold.models.fine_tuned import FrozenBlocks
from soundfold.runtime.front_end_card import Db, FrontEndCard, Log, pack, pack_filters
from soundfold.runtime.front_end_card import Pcen as PcenScale
from soundfold.runtime.graph_cut import FEATURES, FRONT_END

__all__ = ["describe", "join_front_end", "take_front_end"]

_Known = AudiosetMel | LogMel | Mfcc | Pcen


def take_front_end(classifier: Classifier) -> nn.Module | None:
    """Take out of a classifier what makes its spectrogram, and return it; None where it has nothing of that kind.

    From then on the classifier takes what that made, in the waveform's place.
    """
    front_end = classifier.features
    if isinstance(front_end, Embedding | FrozenBlocks):
        inner: nn.Module = front_end.mel
        front_end.mel = nn.Identity()  # type: ignore[assignment]
        return inner
    if not isinstance(front_end, _Known):
        return None
    classifier.features = nn.Identity()  # type: ignore[assignment]
    return front_end


def describe(classifier: Classifier) -> FrontEndCard | None:
    """Return the numbers by which a classifier's spectrograms can be computed; None where it takes no such ones.

    Args:
        classifier: with its ordinary (FFT) front end.
    """
    front_end = classifier.features
    if isinstance(front_end, Embedding | FrozenBlocks):
        front_end = front_end.mel
    if isinstance(front_end, AudiosetMel):
        smallest = front_end.smallest_power
        return FrontEndCard(
            n_fft=front_end.n_fft,
            hop_length=front_end.hop_length,
            pre_emphasis=front_end.pre_emphasis,
            before=front_end.win_length // 2,
            window=pack(front_end.window.numpy()),
            scale=Log(factor=1.0 / smallest, slope=0.2, shift=0.2 * (math.log(smallest) + 4.5)),
            **pack_filters(front_end.filters.numpy()),  # type: ignore[arg-type]
        )
    if isinstance(front_end, Mfcc):
        card = _mel(front_end.log_mel.mel_power, _log_scale(front_end.log_mel))
        return card.model_copy(update={"dct": pack(front_end.dct.numpy())})
    if isinstance(front_end, LogMel):
        return _mel(front_end.mel_power, _log_scale(front_end))
    if isinstance(front_end, Pcen):
        scale = PcenScale(
            full_scale=front_end.mel_power.full_scale,
            weight=front_end.weight,
            gain=front_end.gain,
            bias=front_end.bias,
            power=front_end.power,
            floor=front_end.floor,
        )
        return _mel(front_end.mel_power, scale)
    return None


def join_front_end(front_end: onnx.ModelProto, rest: onnx.ModelProto) -> onnx.ModelProto:
    """Return one graph, waveform in, of a front end and what takes its features.

    Args:
        front_end: waveform → features.
        rest: features → what the joint graph gives.
    """
    marked = onnx.compose.add_prefix(front_end, FRONT_END, rename_inputs=False, rename_outputs=False)
    for number, node in enumerate(marked.graph.node):
        node.name = node.name or f"{FRONT_END}{number}"
    joint = onnx.ModelProto()
    joint.CopyFrom(rest)
    joint.ir_version = max(front_end.ir_version, rest.ir_version)
    graph = joint.graph
    nodes, constants, taken = list(graph.node), list(graph.initializer), list(graph.input)
    assert [entry.name for entry in taken] == [FEATURES]
    del graph.node[:], graph.initializer[:], graph.input[:]
    graph.node.extend([*marked.graph.node, *nodes])
    graph.initializer.extend([*marked.graph.initializer, *constants])
    graph.input.extend(marked.graph.input)
    graph.value_info.extend(taken)
    return joint


def _mel(power: MelPower, scale: Db | Log | PcenScale) -> FrontEndCard:
    heard = power.window.nonzero().flatten()
    first, end = int(heard[0]), int(heard[-1]) + 1
    return FrontEndCard(
        n_fft=power.n_fft,
        hop_length=power.hop_length,
        pre_emphasis=0.0,
        before=power.n_fft // 2 - first,
        window=pack(power.window[first:end].numpy()),
        scale=scale,
        **pack_filters(power.filters.numpy()),  # type: ignore[arg-type]
    )


def _log_scale(log_mel: LogMel) -> Db | Log:
    if log_mel.scale == "db":
        return Db(top_db=log_mel.top_db)
    return Log(factor=1.0 / log_mel.offset, slope=1.0, shift=math.log(log_mel.offset))
