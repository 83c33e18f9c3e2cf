"""soundfold: from labelled sounds to an honestly scored classifier in one file.

    import soundfold
    model = soundfold.load("runs/street")                                   # a model file or a run; no torch needed
    answer = model.predict("street.m4a")                                    # or: model.predict(waveform, 44_100)
    run = soundfold.train("UrbanSound8K", recipe="tutorial", test_fold=10)
    result = soundfold.cross_validate("UrbanSound8K", recipe="tutorial")

Names are loaded when they are first used, so that importing soundfold costs nothing and needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from soundfold.data.fetch.fetching import get_dataset
    from soundfold.data.reading import read_clips
    from soundfold.data.synth import synthesise
    from soundfold.errors import SoundfoldError
    from soundfold.jobs.compare import compare
    from soundfold.jobs.cross_validate import cross_validate
    from soundfold.jobs.evaluate import evaluate
    from soundfold.jobs.ladder import ladder
    from soundfold.jobs.report import report
    from soundfold.jobs.show import show
    from soundfold.jobs.train import train
    from soundfold.jobs.tune import tune
    from soundfold.recipe import Recipe, load_recipe
    from soundfold.runtime import Model, Prediction, load

__version__ = "0.1.0"

__all__ = [
    "Model",
    "Prediction",
    "Recipe",
    "SoundfoldError",
    "__version__",
    "compare",
    "cross_validate",
    "evaluate",
    "get_dataset",
    "ladder",
    "load",
    "load_recipe",
    "read_clips",
    "report",
    "show",
    "synthesise",
    "train",
    "tune",
]

_HOMES = {
    "Model": "soundfold.runtime",
    "Prediction": "soundfold.runtime",
    "Recipe": "soundfold.recipe",
    "SoundfoldError": "soundfold.errors",
    "compare": "soundfold.jobs.compare",
    "cross_validate": "soundfold.jobs.cross_validate",
    "evaluate": "soundfold.jobs.evaluate",
    "get_dataset": "soundfold.data.fetch.fetching",
    "ladder": "soundfold.jobs.ladder",
    "load": "soundfold.runtime",
    "load_recipe": "soundfold.recipe",
    "read_clips": "soundfold.data.reading",
    "report": "soundfold.jobs.report",
    "show": "soundfold.jobs.show",
    "synthesise": "soundfold.data.synth",
    "train": "soundfold.jobs.train",
    "tune": "soundfold.jobs.tune",
}
_NEED_TRAIN = {
    "compare",
    "cross_validate",
    "evaluate",
    "get_dataset",
    "ladder",
    "read_clips",
    "report",
    "show",
    "synthesise",
    "train",
    "tune",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'soundfold' has no attribute '{name}'")
    if name in _NEED_TRAIN:
        from soundfold.errors import needs_extra

        with needs_extra("train", f"soundfold.{name}"):
            return getattr(import_module(_HOMES[name]), name)
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
