"""Fitting a classifier: kept features, the loop, checkpoints, history. Needs torch."""

from soundfold.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint, save_tensors
from soundfold.training.feature_cache import FeatureCache, build_feature_cache, open_feature_cache
from soundfold.training.history import EpochRecord, History, read_history
from soundfold.training.host import give_back_freed_memory
from soundfold.training.launch import Fitted, Hardware, fit, is_main_process, take_part
from soundfold.training.loop import CHECKPOINT_NAME, FitJob, epoch_generator, fit_in_process
from soundfold.training.scoring import clip_probabilities
from soundfold.training.trial import forget_trial

__all__ = [
    "CHECKPOINT_NAME",
    "Checkpoint",
    "EpochRecord",
    "FeatureCache",
    "FitJob",
    "Fitted",
    "Hardware",
    "History",
    "build_feature_cache",
    "clip_probabilities",
    "epoch_generator",
    "fit",
    "fit_in_process",
    "forget_trial",
    "give_back_freed_memory",
    "is_main_process",
    "load_checkpoint",
    "open_feature_cache",
    "read_history",
    "save_checkpoint",
    "save_tensors",
    "take_part",
]
