"""The networks, and the classifier that joins one to its front end. Needs torch."""

from soundfold.models.classifier import Classifier, Standardise, build_classifier, to_probabilities
from soundfold.models.efficientat import EfficientAT, build_efficientat
from soundfold.models.embedding import Embedding, build_front_end, hop_of
from soundfold.models.fine_tuned import FrozenBlocks, ProbedNetwork
from soundfold.models.linear import LinearNet
from soundfold.models.pretrained import find_weights, load_efficientat
from soundfold.models.residual import ResidualNet
from soundfold.models.textured import TexturedNet
from soundfold.models.tutorial import TutorialNet

__all__ = [
    "Classifier",
    "EfficientAT",
    "Embedding",
    "FrozenBlocks",
    "LinearNet",
    "ProbedNetwork",
    "ResidualNet",
    "Standardise",
    "TexturedNet",
    "TutorialNet",
    "build_classifier",
    "build_efficientat",
    "build_front_end",
    "find_weights",
    "hop_of",
    "load_efficientat",
    "to_probabilities",
]
