"""Pictures: decode, resize, encode and hash; what packing does to a picture, prediction does to it too."""

import io
import math

import numpy as np
from PIL import Image, ImageOps

MAX_PIXELS = 120_000_000  # more than any camera's photo; what claims more is a decompression bomb
MAX_BYTES = 200 << 20  # of a picture's file
HASH_SIDE = 32
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")


class PictureError(Exception):
    """A picture that cannot be used; the message is the reason."""


def decode(content: bytes, near: int | None = None) -> Image.Image:
    """Decode a picture to upright RGB; grey, palette, CMYK and transparent ones included, the first frame of many.

    near: a side in pixels that is enough; a JPEG is then decoded at a fraction of its size where that is larger.
    Raises PictureError where it cannot be decoded or is absurdly large.
    """
    if len(content) > MAX_BYTES:
        raise PictureError(f"is larger than {MAX_BYTES >> 20} MiB")
    formats = FORMATS
    if content[4:8] == b"ftyp":  # as HEIC begins, the photos of iPhones
        import pillow_heif

        pillow_heif.register_heif_opener()
        formats = ("HEIF",)
    try:
        image = Image.open(io.BytesIO(content), formats=formats)
        if image.width * image.height > MAX_PIXELS:
            raise PictureError(f"too many pixels: {image.width} x {image.height}")
        if near:
            image.draft(None, (2 * near, 2 * near))
        if image.format != "JPEG" or {"exif", "xmp"} & image.info.keys():  # only there can it be told to be turned
            image = ImageOps.exif_transpose(image)
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            image = image.convert("RGBA")
            flat = Image.new("RGBA", image.size, (255, 255, 255, 255))
            image = Image.alpha_composite(flat, image)
        elif image.mode.startswith("I;16") or image.mode == "I":
            image = Image.fromarray((np.asarray(image, np.uint32) >> 8).astype(np.uint8))
        image.load()
        return image if image.mode == "RGB" else image.convert("RGB")
    except Image.DecompressionBombError:
        raise PictureError("too many pixels: more than any camera's photo has") from None
    except (OSError, SyntaxError, ValueError, Image.UnidentifiedImageError) as error:
        if not content:
            raise PictureError("is empty") from None
        what = "is no picture" if isinstance(error, Image.UnidentifiedImageError) else f"cannot be decoded: {error}"
        raise PictureError(what) from None


def frames(content: bytes) -> int:
    """How many pictures a file that decode takes holds: more than one where it is animated, 1 if that is not known."""
    try:
        return getattr(Image.open(io.BytesIO(content), formats=FORMATS), "n_frames", 1)
    except Exception:  # noqa: BLE001 - of a file cut short, Pillow's plugins raise what they like; HEIC is none of these
        return 1


def crop_box(image: Image.Image, box: tuple[float, float, float, float], margin: float) -> Image.Image:
    """Cut a square around a face box (left, top, right, bottom in pixels), widened by a share on each side.

    What lies outside the picture repeats its edge. Raises PictureError for a box outside the picture.
    """
    left, top, right, bottom = box
    if not (right > left and bottom > top and right > 0 and bottom > 0 and left < image.width and top < image.height):
        raise PictureError(f"face box {box} is not within {image.width} x {image.height} pixels")
    half = max(right - left, bottom - top) * (0.5 + margin)
    x, y = (left + right) / 2, (top + bottom) / 2
    x0, y0, side = round(x - half), round(y - half), max(1, round(2 * half))
    pad = max(0, -x0, -y0, x0 + side - image.width, y0 + side - image.height)
    if pad:
        image = Image.fromarray(np.pad(np.asarray(image), ((pad, pad), (pad, pad), (0, 0)), mode="edge"))
    return image.crop((x0 + pad, y0 + pad, x0 + pad + side, y0 + pad + side))


def fit(image: Image.Image, variant: str, size: int) -> Image.Image:
    """Resize: a face to size x size (middle of the longer side), a full photo to a longer side of size."""
    if variant != "full":
        return ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    scale = size / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0)


def square(pixels: np.ndarray, size: int) -> np.ndarray:
    """Centre (h, w, 3) uint8 in (size, size, 3): grey where it is smaller, cut where it is larger."""
    height, width = pixels.shape[:2]
    top, left = max(0, (height - size) // 2), max(0, (width - size) // 2)
    pixels = pixels[top : top + size, left : left + size]
    height, width = pixels.shape[:2]
    if (height, width) == (size, size):
        return pixels
    out = np.full((size, size, 3), 128, np.uint8)
    top, left = (size - height) // 2, (size - width) // 2
    out[top : top + height, left : left + width] = pixels
    return out


def encode(image: Image.Image, quality: int) -> bytes:
    """JPEG bytes of an RGB image; the same bytes for the same pixels."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, comment=b"")
    return buffer.getvalue()


def luma(image: Image.Image) -> np.ndarray:
    """Luma (32, 32) uint8 of a picture."""
    small = image.reduce(max(1, min(image.size) // HASH_SIDE)).convert("L")
    return np.asarray(small.resize((HASH_SIDE, HASH_SIDE), Image.Resampling.HAMMING))


def perceptual_hash(lumas: np.ndarray) -> np.ndarray:
    """63-bit DCT hashes (n,) uint64 of n lumas (n, 32, 32): near-copies differ in few bits.

    The lowest 8 x 8 frequencies, less the constant, each above their median or not (Zauner 2010, "Implementation and
    benchmarking of perceptual image hash functions", section 3.2.1).
    """
    import scipy.fft  # here, since predicting needs none of it, and would wait 0.3 s

    rows = scipy.fft.dct(lumas.astype(np.float64), axis=1, norm="ortho")[:, :8]
    low = scipy.fft.dct(rows, axis=2, norm="ortho")[:, :, :8].reshape(len(lumas), 64)[:, 1:]
    bits = low > np.median(low, axis=1, keepdims=True)
    return np.packbits(np.pad(bits, ((0, 0), (1, 0))), axis=1).view(">u8")[:, 0].astype(np.uint64)


def shrunk(side: int, crop: int, size: int) -> int:
    """How many times smaller pictures can be decoded where `crop` pixels are shown in `size`: 1, 2, 4 or 8."""
    return max(less for less in (1, 2, 4, 8) if (size * less <= crop and crop % less == side % less == 0) or less == 1)


def to_input(image: Image.Image, side: int, crop: int, size: int, zoom: float = 1.0) -> np.ndarray:
    """Turn a fitted picture into what a network takes: the middle of a square of side pixels, (size, size, 3) uint8.

    crop: side in pixels of that middle, which is shown in `size` pixels when zoom is 1, and less of it above 1.
    The pixels are read as in training (augmentation.augment), each from the four nearest: by another filter a picture
    is sharper or softer than those that the network knows, and a sharper face looks older. Beyond the square its edge
    is repeated.
    """
    pixels = square(np.asarray(image), side)
    less = shrunk(side, crop, size)
    step = crop / less / size / zoom
    beyond = max(0, math.ceil((size * step - side // less) / 2)) + 1
    small = np.asarray(Image.fromarray(pixels).reduce(less))
    wide = Image.fromarray(np.pad(small, ((beyond, beyond), (beyond, beyond), (0, 0)), mode="edge"))
    start = (wide.width - size * step) / 2
    map_ = (step, 0, start, 0, step, start)
    return np.asarray(wide.transform((size, size), Image.Transform.AFFINE, map_, Image.Resampling.BILINEAR))
