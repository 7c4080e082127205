"""The frames of a result as PNG files in a ZIP file, written one by one, so that the page can say how far it is."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from mpkit.errors import MediaError
from mpkit.media.paths import frame_name
from mpkit.media.video_reader import VideoReader

# Of all frames together. 150 frames of 1024 x 1024 are 157 megapixels; at 1.8 bytes a pixel they fill 280 MB.
MAX_MEGAPIXELS = 240
# Of zlib. Pillow's own is 6, which takes 3.4 times as long and hardly saves anything on the noise of a video. 150
# frames of 1024 x 1024: 19 s of one core and 275 MB at 1, 66 s and 280 MB at 6.
COMPRESSION = 1


def write_frames(video: Path, output: Path) -> Iterator[tuple[int, int]]:
    """Writes the frames of a video into a ZIP file, and yields (frames written, about how many there will be) after
    each. Raises MediaError if there are too many, or if the video cannot be read."""
    with VideoReader(video) as reader, zipfile.ZipFile(output, "w", zipfile.ZIP_STORED) as archive:
        total = reader.frame_count_estimate
        if total * reader.width * reader.height > MAX_MEGAPIXELS * 1e6:
            raise MediaError(
                f"{total} frames of {reader.width} x {reader.height} pixels are too many for PNG files here; choose a "
                "shorter length, or show the head alone. The command line has no limit: --output frames"
            )
        for number, (_, picture) in enumerate(reader):
            with archive.open(frame_name(number), "w") as file:
                Image.fromarray(picture).save(file, "png", compress_level=COMPRESSION)
            yield number + 1, total
