"""Whether an animated GIF or PNG is whole. Decoders end without an error where such a file breaks off."""

from pathlib import Path
from typing import BinaryIO

_GIF_HEADS = (b"GIF87a", b"GIF89a")
_PNG_HEAD = b"\x89PNG\r\n\x1a\n"
_COLOUR_TABLE = 0x80  # flag of a GIF's header and of its frames; the lower 3 bits then tell how long the table is


def breaks_off(path: Path) -> bool:
    """Whether a GIF or PNG ends before its end mark, or a PNG before its last frame. False for other formats."""
    with path.open("rb") as file:
        head = file.read(8)
        if head[:6] in _GIF_HEADS:
            return not _is_whole_gif(file)
        return head == _PNG_HEAD and not _is_whole_png(file)


def _is_whole_gif(file: BinaryIO) -> bool:
    file.seek(10)
    flags = file.read(1)
    file.seek(13)
    _skip_colours(file, flags)
    while kind := file.read(1):
        if kind == b";":
            return True
        if kind == b"!":  # an extension, with its label
            file.seek(1, 1)
        elif kind == b",":  # a frame: place and size, flags, colours, length of its first codes
            file.seek(8, 1)
            _skip_colours(file, file.read(1))
            file.seek(1, 1)
        else:  # padding
            continue
        while length := int.from_bytes(file.read(1), "big"):
            file.seek(length, 1)
    return False


def _skip_colours(file: BinaryIO, flags: bytes) -> None:
    if flags and flags[0] & _COLOUR_TABLE:
        file.seek(3 << ((flags[0] & 7) + 1), 1)


def _is_whole_png(file: BinaryIO) -> bool:
    expected = found = 0
    while len(header := file.read(8)) == 8:
        length, kind = int.from_bytes(header[:4], "big"), header[4:]
        if kind == b"IEND":
            return found >= expected and len(file.read(4)) == 4
        found += kind == b"fcTL"
        begin = file.tell()
        if kind == b"acTL":
            expected = int.from_bytes(file.read(4), "big")
        file.seek(begin + length + 4)
    return False
