"""Decode, resize, encode and hash images, in the same way for packing and for prediction."""

import contextlib
import io
import math
import re
import threading
import zlib
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import ExifTags, Image, ImageOps

MAX_PIXELS = 220_000_000  # phones take 200 million; a file that claims more is a decompression bomb
MAX_BLENDED_PIXELS = 89_000_000  # of a WebP, or with transparency, which take several copies: about Pillow's own limit
MAX_BYTES = 200 << 20  # of an image's file
MAX_JPEG_PARTS, MAX_SCANS = 500, 30  # of a JPEG: segments before its pixels, and passes over them
MAX_CHUNKS = 100_000  # of a PNG
LARGE = 64_000_000  # pixels: two images above that are not decoded at the same time
BAND = 16_000_000  # pixels that are converted together
ONE_LARGE = threading.Lock()
HASH_SIDE = 32
MIN_DETAIL = 1.5
JPEG_MARKER = re.compile(rb"\xff+[^\0\xff\xd0-\xd8\x01]")  # one that has a length, or the end
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
TURNS = dict(zip(range(2, 9), (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180,
                               Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_270,
                               Image.Transpose.TRANSVERSE, Image.Transpose.ROTATE_90), strict=True))  # fmt: skip
FOREIGN = {  # first bytes of files that are often taken for images
    re.compile(rb"....ftyp(isom|iso\d|mp4|qt  |M4V|3g|avc1)", re.DOTALL): "is a video",
    re.compile(rb"version https://git-lfs"): "is a pointer of Git LFS, not the image: type `git lfs pull`",
    re.compile(rb"%PDF"): "is a PDF",
    re.compile(rb"\s*(https?|s3|gs|file)://"): "is an address, not the image: download it",
    re.compile(rb"\xff\x0a|....JXL ", re.DOTALL): "is a JPEG XL, which cannot be read: save it as JPEG or PNG",
    re.compile(rb"....jP  ", re.DOTALL): "is a JPEG 2000, which cannot be read: save it as JPEG or PNG",
    re.compile(rb"\s*<", re.DOTALL): "is a web page or drawing, no photo",
}


class ImageError(Exception):
    """An image that cannot be used; the message is the reason."""


def decode(content: bytes, near: int | None = None) -> Image.Image:
    """Decode an image to upright RGB, also from grey, palette, CMYK and transparent ones; of several frames the first.

    near: a side in pixels that is enough; a larger JPEG is then decoded at a fraction of its size.
    Raises ImageError where it cannot be decoded, or its size or its number of parts is absurd.
    """
    if len(content) > MAX_BYTES:
        raise ImageError(f"is larger than {MAX_BYTES >> 20} MiB")
    foreign = next((name for start, name in FOREIGN.items() if start.match(content)), None)
    if foreign or not content:
        raise ImageError(foreign or "is empty")
    try:
        _check_parts(content)
        return _decode(_without_text(content), near)
    except ImageError:
        raise
    except Image.UnidentifiedImageError:
        raise ImageError("is no image") from None
    except Exception as error:  # noqa: BLE001 - the decoders raise anything
        if "truncated" in str(error) and content[:2] == b"\xff\xd8" and (image := _whole_jpeg(content, near)):
            return image
        raise ImageError(f"cannot be decoded: {error or type(error).__name__}") from None


def _decode(content: bytes, near: int | None) -> Image.Image:
    formats: tuple[str, ...] = FORMATS
    if content[4:8] == b"ftyp":  # HEIC, the format of iPhones, or AVIF
        import pillow_heif

        pillow_heif.register_heif_opener()
        formats = ("HEIF", "AVIF")
    Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit is below what phones take; that of the next lines holds
    image: Image.Image = Image.open(io.BytesIO(content), formats=formats)
    blended = image.format == "WEBP" or _is_transparent(image)
    if image.width * image.height > (MAX_BLENDED_PIXELS if blended else MAX_PIXELS):
        raise ImageError(f"too many pixels: {image.width} x {image.height}")
    if near:
        image.draft(None, (2 * near, 2 * near))
    with ONE_LARGE if image.width * image.height > LARGE else contextlib.nullcontext():
        image.load()
        return _to_rgb(_upright(image))


def _to_rgb(image: Image.Image) -> Image.Image:
    """An image as RGB; a large one in bands, since a conversion of the whole takes four times its memory."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):
        _check_range(image)
    if len(_bands(image)) == 1:
        return _band_to_rgb(image)
    rgb = Image.new("RGB", image.size)
    for box in _bands(image):
        rgb.paste(_band_to_rgb(image.crop(box)), box)
    return rgb


def _bands(image: Image.Image) -> list[tuple[int, int, int, int]]:
    """Boxes that divide an image into bands of about BAND pixels."""
    height = max(1, BAND // image.width)
    return [(0, y, image.width, min(y + height, image.height)) for y in range(0, image.height, height)]


def _check_range(image: Image.Image) -> None:
    """Raise ImageError where the values of an image of 16 bits or more are not those of one of 16 bits."""
    limits = [f(np.asarray(image.crop(box))) for box in _bands(image) for f in (np.min, np.max)]
    low, high = min(limits), max(limits)
    if low < 0 or high > 65535:
        raise ImageError("has values that are not 0 to 65535")
    if high < 256:
        raise ImageError("is black: its values have 16 bits, and all are below 256: save it with 8 bits")


def _band_to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # Pillow makes those that are transparent white
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif _is_transparent(image):
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image.convert("RGBA"))
    elif image.mode == "F":
        raise ImageError("has fractions as values, whose range is unknown")
    return image if image.mode == "RGB" else image.convert("RGB")


def _is_transparent(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info


def _upright(image: Image.Image) -> Image.Image:
    """Turn an image as its EXIF or XMP orientation says, of which a broken one says nothing."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # noqa: BLE001 - raised for values of a wrong type; other tags are of no interest
        orientation = 1
    method = TURNS.get(orientation) if isinstance(orientation, int) else None
    return image if method is None else image.transpose(method)


def _check_parts(content: bytes) -> None:
    """Raise ImageError for a file of so many parts that reading it takes minutes, or gigabytes."""
    if content.startswith(b"\xff\xd8"):
        scans, parts = 0, 0
        for marker in _jpeg_markers(content):
            scans += marker == 0xDA
            parts += scans == 0
            if parts > MAX_JPEG_PARTS or scans > MAX_SCANS:
                raise ImageError(f"has more than {MAX_JPEG_PARTS} segments, or {MAX_SCANS} scans")


def _jpeg_markers(content: bytes) -> Iterator[int]:
    """The second byte of each marker of a JPEG, up to its end."""
    at = 2
    while match := JPEG_MARKER.search(content, at):
        yield (marker := match[0][-1])
        if marker == 0xD9:
            return
        at = match.end() + int.from_bytes(content[match.end() : match.end() + 2])


def _without_text(content: bytes) -> bytes:
    """A PNG without its compressed texts and profile, which may be large and which Pillow then rejects.

    Raises ImageError where its pixels have another checksum than it says: of most such damage, Pillow makes an image.
    """
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return content
    kept, at = [content[:8]], 8
    while at + 8 <= len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4])
        pixels = content[at + 4 : at + 8] == b"IDAT" and end <= len(content)
        if pixels and zlib.crc32(memoryview(content)[at + 4 : end - 4]) != int.from_bytes(content[end - 4 : end]):
            raise ImageError("cannot be decoded: its pixels are damaged")
        if content[at + 4 : at + 8] not in (b"zTXt", b"iTXt", b"tEXt", b"iCCP"):
            kept.append(content[at:end])
        if len(kept) > MAX_CHUNKS:
            raise ImageError(f"has more than {MAX_CHUNKS:,} chunks")
        at = end
    return b"".join(kept)


def _whole_jpeg(content: bytes, near: int | None) -> Image.Image | None:
    """A JPEG that only lacks its end marker; None where it lacks pixels, too.

    If all pixels are there, what follows them does not matter: two endings give the same image.
    """
    endings = (b"\xff\xd9", b"\x5a\xa5\x3c" * 64 + b"\xff\xd9")
    try:
        first, second = (_decode(content + ending, near) for ending in endings)
    except Exception:  # noqa: BLE001 - the decoders raise anything
        return None
    return first if first.tobytes() == second.tobytes() else None


def has_frames(content: bytes) -> bool:
    """Whether a file that decode accepts has several frames; False where it is unknown. They are not counted."""
    try:
        return getattr(Image.open(io.BytesIO(content), formats=FORMATS), "is_animated", False)
    except Exception:  # noqa: BLE001 - Pillow's plugins raise anything for a truncated file; HEIC is not in FORMATS
        return False


def crop_padded(image: Image.Image, box: Sequence[int]) -> Image.Image:
    """Cut out a box (left, top, right, bottom in pixels); outside the image, its edge is repeated."""
    left, top, right, bottom = box
    inner = (
        min(max(left, 0), image.width - 1),
        min(max(top, 0), image.height - 1),
        max(min(right, image.width), 1),
        max(min(bottom, image.height), 1),
    )
    part = image.crop(inner)
    if inner == (left, top, right, bottom):
        return part
    rows = np.arange(top, bottom).clip(inner[1], inner[3] - 1) - inner[1]
    columns = np.arange(left, right).clip(inner[0], inner[2] - 1) - inner[0]
    return Image.fromarray(np.asarray(part)[rows[:, None], columns])


def crop_box(image: Image.Image, box: tuple[float, float, float, float], margin: float) -> Image.Image:
    """Cut out a square around a face box (left, top, right, bottom in pixels), widened by a fraction on each side.

    Outside the image, its edge is repeated. Raises ImageError for a box outside the image.
    """
    left, top, right, bottom = box
    if not (right > left and bottom > top and right > 0 and bottom > 0 and left < image.width and top < image.height):
        raise ImageError(f"face box {box} is not within {image.width} x {image.height} pixels")
    half = max(right - left, bottom - top) * (0.5 + margin)
    x, y = (left + right) / 2, (top + bottom) / 2
    x0, y0, side = round(x - half), round(y - half), max(1, round(2 * half))
    return crop_padded(image, (x0, y0, x0 + side, y0 + side))


def fit(image: Image.Image, variant: str, size: int) -> Image.Image:
    """Resize a face to size x size (the middle of the longer side), or a full photo to a longer side of size."""
    if variant != "full":
        return ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    scale = size / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0)


def square(pixels: np.ndarray, size: int) -> np.ndarray:
    """Centre (h, w, 3) uint8 in (size, size, 3): padded with grey where it is smaller, cropped where larger."""
    height, width = pixels.shape[:2]
    top, left = max(0, (height - size) // 2), max(0, (width - size) // 2)
    pixels = pixels[top : top + size, left : left + size]
    rows, columns = (((size - length) // 2, (size - length + 1) // 2) for length in pixels.shape[:2])
    return np.pad(pixels, (rows, columns, (0, 0)), constant_values=128)


def encode(image: Image.Image, quality: int) -> bytes:
    """JPEG bytes of an RGB image; the same pixels give the same bytes."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, comment=b"")
    return buffer.getvalue()


def luma(image: Image.Image) -> np.ndarray:
    """Luma (32, 32) uint8 of an image."""
    small = image.reduce(max(1, min(image.size) // HASH_SIDE)).convert("L")
    return np.asarray(small.resize((HASH_SIDE, HASH_SIDE), Image.Resampling.HAMMING))


def detail(lumas: np.ndarray) -> np.ndarray:
    """Detail (n,) of grey thumbnails (n, s, s): the standard deviation of pixels less the mean of their neighbours.

    In levels of 255. Below MIN_DETAIL, an image shows nothing sharp: so do 2,000 generated blanks as thumbnails of
    24 x 24, of which the largest has 1.41. They are of one colour, or shaded, darker to the edges, with noise of up to
    5 levels.
    """
    levels = lumas.astype(float)
    neighbours = (levels[:, :-2, 1:-1] + levels[:, 2:, 1:-1] + levels[:, 1:-1, :-2] + levels[:, 1:-1, 2:]) / 4
    return (levels[:, 1:-1, 1:-1] - neighbours).std((1, 2))


def perceptual_hash(lumas: np.ndarray) -> np.ndarray:
    """63-bit DCT hashes (n,) uint64 of n lumas (n, 32, 32): near-copies differ in few bits.

    A bit is whether one of the lowest 8 x 8 frequencies, without the constant, is above their median (Zauner 2010,
    "Implementation and benchmarking of perceptual image hash functions", section 3.2.1).
    """
    import scipy.fft  # here, since it takes 0.3 s and prediction does not need it

    rows = scipy.fft.dct(lumas.astype(np.float64), axis=1, norm="ortho")[:, :8]
    low = scipy.fft.dct(rows, axis=2, norm="ortho")[:, :, :8].reshape(len(lumas), 64)[:, 1:]
    bits = low > np.median(low, axis=1, keepdims=True)
    return np.packbits(np.pad(bits, ((0, 0), (1, 0))), axis=1).view(">u8")[:, 0].astype(np.uint64)


def reduction_factor(side: int, crop: int, size: int) -> int:
    """Factor by which images can be reduced when decoded, where `crop` pixels are resized to `size`: 1, 2, 4 or 8."""
    return max(n for n in (1, 2, 4, 8) if (size * n <= crop and crop % n == side % n == 0) or n == 1)


def to_input(image: Image.Image, side: int, crop: int, size: int, zoom: float = 1.0) -> np.ndarray:
    """Prepare a fitted image for a network: the middle of a square of side pixels, as (size, size, 3) uint8.

    crop: side in pixels of that middle, which is resized to `size` at zoom 1; above 1 less of it is.
    The filter is that of training (augmentation.augment), from the four nearest pixels: with another, an image is
    sharper or softer than those in training, and a sharper face looks older. Outside the square, its edge is repeated.
    """
    pixels = square(np.asarray(image), side)
    factor = reduction_factor(side, crop, size)
    step = crop / factor / size / zoom
    pad = max(0, math.ceil((size * step - side // factor) / 2)) + 1
    small = np.asarray(Image.fromarray(pixels).reduce(factor))
    padded = Image.fromarray(np.pad(small, ((pad, pad), (pad, pad), (0, 0)), mode="edge"))
    start = (padded.width - size * step) / 2
    affine = (step, 0, start, 0, step, start)
    return np.asarray(padded.transform((size, size), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR))
