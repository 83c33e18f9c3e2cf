"""The networks, and the classifier that joins one to its front end. Needs torch."""

from soundfold.models.classifier import Classifier, Standardise, build_classifier
from soundfold.models.efficientat import EfficientAT, build_efficientat
from soundfold.models.embedding import Embedding, build_front_end
from soundfold.models.linear import LinearNet
from soundfold.models.pretrained import find_weights, load_efficientat
from soundfold.models.tutorial import TutorialNet

__all__ = [
    "Classifier",
    "EfficientAT",
    "Embedding",
    "LinearNet",
    "Standardise",
    "TutorialNet",
    "build_classifier",
    "build_efficientat",
    "build_front_end",
    "find_weights",
    "load_efficientat",
]
