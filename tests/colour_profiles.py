"""Small ICC profiles (version 2), made of numbers, for the tests of colour."""

import struct

import numpy as np

D50 = (0.9642, 1.0, 0.8249)
# columns of the matrix from linear RGB to XYZ, adapted to D50
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
PROPHOTO = ((0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03134, 0.00009, 0.82491))


def rgb_profile(columns=ADOBE_RGB, gamma: float = 563 / 256) -> bytes:
    """A profile of RGB by its three primaries."""
    tags = {b"wtpt": _xyz(D50)}
    for letter, column in zip(b"rgb", columns):
        tags[bytes([letter]) + b"XYZ"] = _xyz(column)
        tags[bytes([letter]) + b"TRC"] = _curve(gamma)
    return _profile(b"RGB ", b"XYZ ", tags)


def grey_profile(gamma: float) -> bytes:
    """A profile of grey."""
    return _profile(b"GRAY", b"XYZ ", {b"wtpt": _xyz(D50), b"kTRC": _curve(gamma)})


def cmyk_profile(cyan=(60, -20, -30)) -> bytes:
    """A profile of inks in which full cyan has this L, a, b, the other inks are grey, and black is dark."""
    inks = np.stack(np.meshgrid(*4 * [[0, 1]], indexing="ij"), -1).reshape(16, 4)
    lab = np.array([100, 0, 0]) - inks[:, 1:] @ [[25, 0, 0], [25, 0, 0], [50, 0, 0]]
    lab = lab + inks[:, :1] * (np.array(cyan) - [100, 0, 0])
    codes = np.clip([lab[:, 0] * 2.55, lab[:, 1] + 128, lab[:, 2] + 128], 0, 255).T.round().astype(np.uint8)
    identity = struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    ramp = bytes(range(256))
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + identity + 4 * ramp + codes.tobytes() + 3 * ramp
    return _profile(b"CMYK", b"Lab ", {b"wtpt": _xyz(D50), b"A2B0": table}, kind=b"prtr")


def _xyz(values) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(65536 * value) for value in values))


def _curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(256 * gamma))


def _profile(colours: bytes, connection: bytes, tags: dict[bytes, bytes], kind: bytes = b"mntr") -> bytes:
    tags = {b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0".ljust(83, b"\0"), **tags}
    table, content, offset = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", offset + len(content), len(data))
        content += data
    header = struct.pack(">4x4xI4s4s4s12x4s", 0x02100000, kind, colours, connection, b"acsp").ljust(68, b"\0")
    header += struct.pack(">3i", *(round(65536 * value) for value in D50))
    body = header.ljust(128, b"\0")[4:] + table + content
    return struct.pack(">I", len(body) + 4) + body
