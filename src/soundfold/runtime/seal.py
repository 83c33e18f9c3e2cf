"""The seal of a model file: a digest of all that is in it, by which damage and changes are seen when it is opened.

It protects from accidents, and from a number here or there that somebody turned: weights, labels, and the front end
that graph and card describe each in its way. It is no signature: whoever writes a file of their own can seal it.
"""

import hashlib

from soundfold.errors import ModelFileError
from soundfold.runtime.card import CARD_KEY
from soundfold.runtime.wire import Field, fields, message

__all__ = ["SEAL_KEY", "check_seal", "sealed", "unsealed", "with_card"]

SEAL_KEY = "soundfold.seal"
_METADATA = 14


def sealed(model: bytes) -> bytes:
    """Return an ONNX file's content with the seal of what it holds; an older seal is replaced.

    Raises:
        ValueError: it is no ONNX file.
    """
    rest = unsealed(model)
    entry = message(1, SEAL_KEY.encode()) + message(2, _digest([memoryview(rest)]).encode())
    return rest + message(_METADATA, entry)


def unsealed(model: bytes) -> bytes:
    """Return an ONNX file's content without any seal; likewise."""
    return b"".join(field.whole for field in fields(model) if not _is_seal(field))


def with_card(model: bytes, card: str) -> bytes:
    """Return a sealed file's content with another card, and a seal that fits it.

    Raises:
        ValueError: it is no ONNX file.
    """
    rest = b"".join(field.whole for field in fields(model) if not _is_entry(field, CARD_KEY))
    return sealed(rest + message(_METADATA, message(1, CARD_KEY.encode()) + message(2, card.encode())))


def check_seal(model: bytes, where: str) -> bool:
    """Tell whether a file bears a seal.

    Args:
        model: the file's content.
        where: the file, for messages.

    Raises:
        ModelFileError: it bears one, and does not hold what was sealed.
        ValueError: it is no ONNX file.
    """
    parts, seals = [], []
    for field in fields(model):
        if _is_seal(field):
            seals.append({part.number: bytes(part.value) for part in fields(field.value)}.get(2, b""))
        else:
            parts.append(field.whole)
    if seals and seals != [_digest(parts).encode()]:
        raise ModelFileError(
            f"{where}: is damaged or was changed: it does not hold what was sealed when it was written. "
            f"Fetch it again, or export it again"
        )
    return bool(seals)


def _digest(parts: list[memoryview]) -> str:
    hasher = hashlib.blake2b(digest_size=32)
    for part in parts:
        hasher.update(part)
    return hasher.hexdigest()


def _is_seal(field: Field) -> bool:
    return _is_entry(field, SEAL_KEY)


def _is_entry(field: Field, key: str) -> bool:
    """Tell whether a field is the entry of the metadata under a key."""
    if field.number != _METADATA:
        return False
    return any(part.number == 1 and bytes(part.value) == key.encode() for part in fields(field.value))
