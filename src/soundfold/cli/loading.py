"""PyTorch and what comes with it, loaded as fast as can be, and left behind as fast; for the verbs that load it.

The garbage collector looks through everything that is loaded again and again while it is loaded, and once more when the
process ends: a second and more of a verb that takes ten, for objects of which none is garbage.
"""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager

from soundfold.errors import needs_extra

__all__ = ["loading"]


@contextmanager
def loading(extra: str, purpose: str) -> Iterator[None]:
    """Import within what a verb needs; nothing is collected meanwhile.

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
    finally:
        if collects:
            gc.enable()


atexit.register(gc.freeze)  # what is frozen is not looked at, and the system takes all memory back anyway
