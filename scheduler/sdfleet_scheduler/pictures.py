"""Opening picture files that came from elsewhere."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

from PIL import Image

from sdfleet.errors import SdfleetError

#: A picture of 8192 x 8192; decoded it takes 256 MiB of memory.
MAX_PIXELS = 64 * 1024 * 1024

#: No PostScript among them: Pillow hands that to Ghostscript, which runs it.
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "ICO", "PSD", "JPEG2000")

#: What Pillow's decoders are seen to raise on damaged files; they promise OSError only.
_DECODING_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


class UnusablePicture(SdfleetError):
    """The file cannot be decoded as a picture."""


def opened(data: bytes) -> Image.Image:
    """The decoded picture; of an animation its first frame.

    Raises:
        UnusablePicture: it cannot be decoded, or has more than `MAX_PIXELS`.
    """
    try:
        picture = Image.open(BytesIO(data), formats=_FORMATS)
        if picture.width * picture.height > MAX_PIXELS:
            raise UnusablePicture(f"it has {picture.width} x {picture.height} pixels; at most {MAX_PIXELS} are taken")
        picture.load()
    except _DECODING_ERRORS:
        raise UnusablePicture("it cannot be decoded as a picture") from None
    return picture
