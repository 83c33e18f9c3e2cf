"""What a file that no decoder takes looks like, so that the message can say more than that it failed.

Only the beginning of the file is looked at, and only after decoding has failed.
"""

import struct

__all__ = ["HEAD_BYTES", "looks_like"]

HEAD_BYTES = 4_096

# (offset, bytes that stand there, what to say): a file that is something else altogether.
_OTHER_FILES = (
    (0, b"version https://git-lfs", "it is a Git LFS pointer, not the file itself (run `git lfs pull`)"),
    (0, b"\x89PNG", "it is a PNG picture"),
    (0, b"\xff\xd8\xff", "it is a JPEG picture"),
    (0, b"GIF8", "it is a GIF picture"),
    (0, b"%PDF", "it is a PDF document"),
    (0, b"PK\x03\x04", "it is a ZIP archive"),
    (0, b"\x1f\x8b", "it is a gzip archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "it is a 7z archive"),
    (0, b"Rar!", "it is a RAR archive"),
    (257, b"ustar", "it is a tar archive"),
    (0, b"MThd", "it is a MIDI score"),
    (0, b"#EXTM3U", "it is a playlist"),
    (0, b"\x00\x05\x16\x07", "it is a macOS side file (AppleDouble), and the sound stands beside it"),
    (0, b"PAR1", "it is a Parquet table"),
    (0, b"\x93NUMPY", "it is a NumPy array"),
    (0, b"\x89HDF", "it is an HDF5 file"),
)

# The same for sounds: (offset, bytes, name of the format).
_SOUNDS = (
    (0, b"fLaC", "FLAC"),
    (0, b"OggS", "OGG"),
    (0, b"FORM", "AIFF"),
    (0, b"caff", "CAF"),
    (0, b"riff\x2e\x91", "W64"),
    (4, b"ftyp", "MP4"),
    (0, b"\x1aE\xdf\xa3", "Matroska"),
    (0, b"\x30\x26\xb2\x75", "WMA"),
    (0, b"ID3", "MP3"),
    (0, b".snd", "AU"),
    (0, b"FLV", "FLV"),
)


def looks_like(head: bytes, size: int) -> str:
    """Return what a file looks like, as the end of "is not a sound that can be decoded: …".

    Args:
        head: the first bytes of the file, at most `HEAD_BYTES` are looked at.
        size: length of the whole file in bytes.

    >>> looks_like(b"once upon a time", 16)
    "it begins with text ('once upon a time')"
    >>> looks_like(b"RIFF\\x00\\x00\\x00\\x00WAVEfm", 14)
    'its WAV header is truncated'
    """
    head = head[:HEAD_BYTES]
    for offset, mark, words in _OTHER_FILES:
        if head.startswith(mark, offset):
            return words
    if head[:4] in (b"RIFF", b"RIFX", b"RF64") and b"WAVE".startswith(head[8:12]):
        return _wav(head, size)
    if head[:4] == b"RIFF" and b"WAVE" in head[4:16]:
        return "it begins as WAV does, but is damaged (did curl send it? Only --data-binary sends all of its bytes)"
    for offset, mark, name in _SOUNDS:
        if head.startswith(mark, offset):
            return f"its {name} header is damaged, or the file was cut off"
    if len(head) > 1 and head[0] == 0xFF and head[1] >= 0xE0:
        return "it begins as MP3 or AAC do, but is damaged or was cut off"
    if not head.strip(b"\0"):
        return "it holds nothing but zeros, as after a broken download"
    text = _text(head)
    if text is not None:
        kind = "a web page" if text.lstrip()[:9].lower().startswith(("<!doctype", "<html")) else "text"
        return f"it begins with {kind} ({' '.join(text.split())[:40]!r})"
    return f"its first bytes ({head[:4].hex(' ')}) are those of no known kind of sound"


def _wav(head: bytes, size: int) -> str:
    """Walk over the chunks of a WAV file until one is missing or says what cannot be read."""
    order = ">" if head[:4] == b"RIFX" else "<"
    at, coding = 12, None
    while at + 8 <= len(head):
        mark, length = struct.unpack_from(f"{order}4sI", head, at)
        if mark == b"fmt " and at + 10 <= len(head):
            coding = struct.unpack_from(f"{order}H", head, at + 8)[0]
        if mark == b"data":
            if coding is None:
                return "its WAV header has no 'fmt ' part"
            return f"its WAV header is damaged, or its coding (number {coding}) is not known"
        at += 8 + length + length % 2
    if at + 8 > size:
        return "its WAV header is truncated"
    return "its WAV header is damaged, or its coding is not known"


def _text(head: bytes) -> str | None:
    """Return the beginning as text, or None if it is none; a sign cut in two at the end does not count."""
    try:
        text = head.decode("utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            return None
        text = head[: error.start].decode("utf-8-sig", "ignore")
    return text if text and all(sign.isprintable() or sign in "\r\n\t\f" for sign in text) else None
