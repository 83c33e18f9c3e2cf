"""From a trained classifier to one model file, with proof that it answers as torch does. Needs torch and onnx."""

from soundfold.export.onnx_file import export_model, probe_windows
from soundfold.export.parity import PARITY_BOUND, largest_difference

__all__ = ["PARITY_BOUND", "export_model", "largest_difference", "probe_windows"]
