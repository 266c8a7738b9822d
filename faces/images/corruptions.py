"""Changes of a face image that say nothing about the person: sharpness, compression, size, noise, colour, place.

As in Hendrycks and Dietterich 2019, "Benchmarking neural network robustness to common corruptions and perturbations",
in strengths that photos of everyday life have.
"""

import io
import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

COVER = (128, 128, 128)


def blur(image: Image.Image, sigma: float, _: np.random.Generator) -> Image.Image:
    """Blur by a Gaussian of a standard deviation in pixels."""
    return image.filter(ImageFilter.GaussianBlur(sigma))


def sharpen(image: Image.Image, percent: float, _: np.random.Generator) -> Image.Image:
    """Sharpen by an unsharp mask of radius 1 pixel."""
    return image.filter(ImageFilter.UnsharpMask(1, round(percent), 0))


def jpeg(image: Image.Image, quality: float, _: np.random.Generator) -> Image.Image:
    """Compress as JPEG of a quality, 1 to 95."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=round(quality))
    return Image.open(buffer).convert("RGB")


def shrink(image: Image.Image, share: float, _: np.random.Generator) -> Image.Image:
    """Reduce to a share of the side, and enlarge again, as a face of few pixels is."""
    small = image.resize([max(1, round(side * share)) for side in image.size], Image.Resampling.BICUBIC)
    return small.resize(image.size, Image.Resampling.BICUBIC)


def noise(image: Image.Image, levels: float, rng: np.random.Generator) -> Image.Image:
    """Add Gaussian noise of a standard deviation in levels of 255, for each pixel and channel."""
    pixels = np.asarray(image, np.float32) + rng.normal(0, levels, (image.height, image.width, 3))
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))


def colour(image: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """Scale each channel by 1 - share to 1 + share."""
    pixels = np.asarray(image, np.float32) * rng.uniform(1 - share, 1 + share, 3)
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))


def occlude(image: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """Cover a grey square of a share of the side."""
    side = round(share * min(image.size))
    left, top = (int(rng.integers(0, length - side + 1)) for length in image.size)
    covered = image.copy()
    covered.paste(COVER, (left, top, left + side, top + side))
    return covered


def shift(image: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """Move by a share of the side in a random direction; the edge is repeated."""
    angle, distance = rng.uniform(0, 2 * math.pi), share * min(image.size)
    return _affine(image, (1, 0, distance * math.cos(angle), 0, 1, distance * math.sin(angle)))


def turn(image: Image.Image, degrees: float, rng: np.random.Generator) -> Image.Image:
    """Turn about the middle, one way or the other; the edge is repeated."""
    angle = math.radians(degrees) * rng.choice([-1, 1])
    cos, sin, x, y = math.cos(angle), math.sin(angle), image.width / 2, image.height / 2
    return _affine(image, (cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y))


def scale(image: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """Show the face larger or smaller, by a factor of 1 + share; the edge is repeated."""
    step, x, y = (1 + share) ** rng.choice([-1, 1]), image.width / 2, image.height / 2
    return _affine(image, (step, 0, x - step * x, 0, step, y - step * y))


def _affine(image: Image.Image, values: tuple[float, ...]) -> Image.Image:
    """An affine map with the edge repeated; values: as Pillow's, from the result to the image."""
    pad = max(image.size) // 2
    padded = Image.fromarray(np.pad(np.asarray(image), ((pad, pad), (pad, pad), (0, 0)), mode="edge"))
    a, b, c, d, e, f = values
    return padded.transform(
        image.size, Image.Transform.AFFINE, (a, b, c + pad, d, e, f + pad), Image.Resampling.BICUBIC
    )


# Each change, with three strengths, the weakest first.
CHANGES: dict[str, tuple[Callable[[Image.Image, float, np.random.Generator], Image.Image], tuple[float, ...]]] = {
    "blur, pixels": (blur, (0.5, 0.8, 1.2)),
    "unsharp mask, %": (sharpen, (50, 100, 200)),
    "JPEG quality": (jpeg, (60, 30, 15)),
    "share of the pixels a side": (shrink, (0.7, 0.5, 0.35)),
    "noise, levels": (noise, (4, 8, 16)),
    "colour cast, share": (colour, (0.1, 0.2, 0.3)),
    "covered square, share of the side": (occlude, (0.2, 0.3, 0.4)),
    "shift, share of the side": (shift, (0.03, 0.06, 0.1)),
    "turn, degrees": (turn, (5, 10, 20)),
    "scale, share": (scale, (0.05, 0.1, 0.2)),
}


def apply(name: str, strength: float, images: np.ndarray, seed: int = 0) -> np.ndarray:
    """Images (n, s, s, 3) uint8 with a change of CHANGES, each by random numbers of its own (seed, its index)."""
    change, _ = CHANGES[name]
    return np.stack(
        [
            np.asarray(change(Image.fromarray(image), strength, np.random.default_rng((seed, number))))
            for number, image in enumerate(images)
        ]
    )
