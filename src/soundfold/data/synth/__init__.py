"""A synthetic data set in UrbanSound8K's layout: ten classes of synthesised sounds, in recordings with a fingerprint.

`writing` makes the files · `plan` draws what the set holds · `scene` is a recording's place and device · `voices` lists
the ten
classes, built in `machines`, `signals` and `living` from `oscillators` · `wav` encodes.
"""

from soundfold.data.synth.voices import LABELS
from soundfold.data.synth.writing import synthesise

__all__ = ["LABELS", "synthesise"]
