"""Files of published networks from huggingface.co: taken from its own cache on this computer, or fetched once."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from soundfold.errors import DownloadError, needs_extra

__all__ = ["fetch_from_hub"]


def fetch_from_hub(
    name: str, wanted: Sequence[str], needed: str, note: Callable[[str], None] | None, mend: str
) -> Path:
    """Return the folder of a network's files, in huggingface.co's own cache, where other programs look too.

    Args:
        name: of the network there, `owner/name`.
        wanted: files to bring, as far as there are any.
        needed: the file without which what is kept does not count as whole.
        note: hears that something is being fetched; None where nothing may be fetched.
        mend: the last sentence of an error.

    Raises:
        DownloadError: the files are not here and cannot be fetched.
        MissingExtraError: the package that knows huggingface.co is missing.
    """
    with needs_extra("zoo", f"The network {name}"):
        import huggingface_hub as hub
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    unreachable = (LocalEntryNotFoundError, HFValidationError, OSError)
    try:
        kept = Path(hub.snapshot_download(name, allow_patterns=list(wanted), local_files_only=True))
        if (kept / needed).is_file():
            return kept
    except unreachable:
        pass  # not here yet
    if note is None:
        raise DownloadError(f"{name}: its files are no longer on this computer. {mend}")
    note(f"fetching {name} from huggingface.co")
    try:
        with _without_bars(hub):
            return Path(hub.snapshot_download(name, allow_patterns=list(wanted)))
    except unreachable as error:
        text = str(error).strip() or type(error).__name__
        raise DownloadError(
            f"{name}: cannot be fetched from huggingface.co ({text.splitlines()[0].rstrip('.')}). {mend}"
        ) from error


@contextmanager
def _without_bars(hub: Any) -> Iterator[None]:
    """Keep the hub's own progress bars off the screen, and leave its setting as it was."""
    shown = not hub.utils.are_progress_bars_disabled()
    if shown:
        hub.utils.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            hub.utils.enable_progress_bars()
