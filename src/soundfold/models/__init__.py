"""The networks, and the classifier that joins one to its front end. Needs torch."""

from soundfold.models.classifier import Classifier, Standardise, build_classifier
from soundfold.models.tutorial import TutorialNet

__all__ = ["Classifier", "Standardise", "TutorialNet", "build_classifier"]
