"""Whether torchvision fits torch: timm needs it, and transformers takes it up where it finds it."""

import importlib

import torch

from soundfold.errors import MissingExtraError

__all__ = ["check_torchvision"]


def check_torchvision(what: str) -> None:
    """Refuse a torchvision that was built for another torch; such a one fails as it is imported.

    Args:
        what: what needs it, as the beginning of a sentence.

    Raises:
        MissingExtraError: it is there and cannot be imported.
        ModuleNotFoundError: it is not there.
    """
    try:
        importlib.import_module("torchvision")
    except ModuleNotFoundError:
        raise
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        told = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise MissingExtraError(
            f"{what} needs a torchvision that fits torch {torch.__version__}, and the one installed cannot be imported "
            f"({told}). Install both from one source: pip install --upgrade torch torchvision"
        ) from error
