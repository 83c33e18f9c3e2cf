"""PyTorch and what comes with it, loaded as fast as can be, and left behind as fast; for the verbs that load it.

The garbage collector looks through everything that is loaded again and again while it is loaded, a few times while the
verb works, and once more when the process ends: two seconds of a verb that takes ten, for objects of which none is
garbage. What was loaded is therefore frozen, which takes it out of its sight.
"""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager

from soundfold.errors import needs_extra

__all__ = ["loading", "thawing"]


@contextmanager
def loading(extra: str, purpose: str) -> Iterator[None]:
    """Import within what a verb needs; nothing is collected meanwhile, and of what was loaded nothing later.

    Args:
        extra, purpose: as `needs_extra` takes them.

    Raises:
        MissingExtraError: as `needs_extra` does.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        with needs_extra(extra, purpose):
            yield
        gc.freeze()
    finally:
        if collects:
            gc.enable()


@contextmanager
def thawing() -> Iterator[None]:
    """Let what was frozen within be collected afterwards, as a program that calls the command line expects.

    Where it has frozen something itself, all stays frozen: nothing tells the two apart.
    """
    frozen = gc.get_freeze_count()
    try:
        yield
    finally:
        if not frozen:
            gc.unfreeze()


atexit.register(gc.freeze)  # what is frozen is not looked at, and the system takes all memory back anyway
