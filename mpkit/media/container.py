"""Media containers as FFmpeg sees them: opening a file, its streams, its errors.

Times and rates are exact fractions (seconds, frames a second), so that pictures and sound cannot drift apart.
"""

from pathlib import Path

import av

from mpkit.errors import MediaError
from mpkit.media.limits import MAX_PIXELS
from mpkit.media.paths import check_file, one_line

# Other formats are refused: FFmpeg would also play text, playlists and files that refer to other files.
_CONTAINERS = "mov,matroska,avi,gif,apng,mpegts,mpeg,flv,asf,ogg,mp3,wav,flac,aac"


def open_media(path: Path) -> av.container.InputContainer:
    """Opens a video or sound file, recognised by its content. Raises MediaError."""
    check_file(path)
    options = {"format_whitelist": _CONTAINERS, "max_pixels": str(MAX_PIXELS)}
    try:
        return av.open(str(path.resolve()), options=options, metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        kinds = "MP4, MOV, WebM or GIF video"
        raise MediaError(f"{path} is no {kinds}, or it is damaged or cut off ({reason(error)})") from None


def reason(error: Exception) -> str:
    """The message of an error of FFmpeg or the operating system, as one line."""
    return one_line(getattr(error, "strerror", None) or error)


def picture_stream(container: av.container.InputContainer) -> av.VideoStream | None:
    """The first stream of moving pictures that can be decoded; the cover picture of a song, or the still that stands
    beside a HEIC or AVIF sequence, is none."""
    covers = av.stream.Disposition.attached_pic
    usable = [stream for stream in container.streams.video if stream.codec_context and not stream.disposition & covers]
    return next((stream for stream in usable if stream.duration), usable[0] if usable else None)


def sound_stream(container: av.container.InputContainer) -> av.AudioStream | None:
    """The first stream of sound that can be decoded."""
    return next((stream for stream in container.streams.audio if stream.codec_context), None)
