"""Files that appear whole or not at all: written beside their place under another name, then moved there."""

import json
import os
import zlib
from pathlib import Path


def write_bytes(path: str | Path, content: bytes) -> None:
    """Writes a file in one step: a reader sees the old content or all of the new. Raises OSError."""
    path = Path(path)
    # short, because the name may be as long as names can be, and different for every file
    partial = path.with_name(f".{zlib.crc32(os.fsencode(path.name)):08x}-{os.getpid()}.part")
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: str | Path, value) -> None:
    """Writes a JSON file in one step. Raises OSError."""
    write_bytes(path, json.dumps(value, indent=1).encode())
