"""Synthetic faces whose looks depend on age, sex and ethnicity, with overlap: learnable, but not without error.

They show no real person; they exist so that the whole pipeline can run without real photos.
"""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

CANVAS = 160  # pixels: side of the square that a face is drawn in, about twice that of the result
SKIN = {  # mean RGB; the ranges of individuals overlap
    "white": (226, 186, 164),
    "black": (112, 78, 60),
    "asian": (222, 186, 142),
    "indian": (166, 122, 90),
    "others": (194, 150, 118),
}
EYES = {"white": 0.52, "black": 0.55, "asian": 0.30, "indian": 0.56, "others": 0.46}  # height by width
NOSES = {"white": 0.10, "black": 0.17, "asian": 0.13, "indian": 0.13, "others": 0.14}  # width by face width
HAIR = {
    "white": ((150, 112, 66), (92, 62, 38), (196, 164, 104)),
    "black": ((28, 22, 20),),
    "asian": ((24, 20, 20), (46, 34, 28)),
    "indian": ((30, 24, 22), (48, 32, 24)),
    "others": ((52, 36, 26), (36, 26, 22)),
}


@dataclass(frozen=True)
class Person:
    """The person that a face is drawn of: age in years, sex, ethnicity, and a seed for everything else."""

    age: int
    sex: str
    ethnicity: str
    seed: tuple[int, ...]


def people(count: int, seed: int) -> list[Person]:
    """Draw `count` people with roughly the ages, sexes and ethnicities of UTKFace."""
    rng = np.random.default_rng((seed, 1))
    adult = np.clip(rng.normal(35, 17, count), 1, 105)
    ages = np.where(rng.random(count) < 0.18, rng.integers(1, 15, count), adult).astype(int)
    sexes = np.where(rng.random(count) < 0.52, "male", "female")
    ethnicities = rng.choice(list(SKIN), count, p=(0.42, 0.19, 0.15, 0.17, 0.07))
    return [
        Person(int(a), str(s), str(e), (seed, i))
        for i, (a, s, e) in enumerate(zip(ages, sexes, ethnicities, strict=True))
    ]


def backdrop(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """A random RGB background: a smooth colour field with a few shapes."""
    coarse = rng.integers(20, 236, (int(rng.integers(3, 6)), int(rng.integers(3, 6)), 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(2, 7))):
        x, y = rng.uniform(-0.1, 1.0, 2) * (width, height)
        w, h = rng.uniform(0.08, 0.5, 2) * (width, height)
        shape = draw.rectangle if rng.random() < 0.5 else draw.ellipse
        shape((x, y, x + w, y + h), fill=_colour(rng, rng.uniform(20, 235, 3), 0))
    return image.filter(ImageFilter.BoxBlur(float(rng.uniform(0.3, 2.0))))


def face(person: Person) -> Image.Image:
    """Draw a face on a transparent square of CANVAS pixels; the head spans most of it."""
    rng = np.random.default_rng((*person.seed, 2))
    image = Image.new("RGBA", (CANVAS, CANVAS), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    young = float(np.clip((18 - person.age) / 18 + rng.normal(0, 0.07), 0, 1))
    old = float(np.clip((person.age - 20) / 60 + rng.normal(0, 0.07), 0, 1.1))
    female = float(np.clip((person.sex == "female") * (1 - 0.45 * young) + rng.normal(0.1 * young, 0.17), 0, 1))
    skin = np.array(SKIN[person.ethnicity]) * rng.normal(1, 0.08) + rng.normal(0, 5, 3)
    w = CANVAS * (0.31 + 0.03 * young + rng.normal(0, 0.015))
    h = CANVAS * (0.42 - 0.10 * young + rng.normal(0, 0.015))
    x, y = CANVAS / 2, CANVAS * 0.54
    hair = _hair_colour(rng, person, old)
    _back_hair(draw, rng, x, y, w, h, hair, female)
    _ellipse(draw, x, y, w, h, _colour(rng, skin, 2))
    jaw = w * (0.80 - 0.16 * female + rng.normal(0, 0.04))
    draw.rounded_rectangle((x - jaw, y, x + jaw, y + h * 0.97), radius=jaw * 0.75, fill=_colour(rng, skin, 2))
    _beard(draw, rng, person, x, y, w, h, hair, female)
    _features(draw, rng, person, (x, y, w, h), skin, young, female)
    _wrinkles(draw, rng, x, y, w, h, skin, old)
    _front_hair(draw, rng, x, y, w, h, hair, female, old)
    return image.rotate(float(rng.normal(0, 7)), Image.Resampling.BILINEAR)


def photo(
    person: Person, width: int, height: int, box: tuple[int, int, int], monochrome: bool = False, light: float = 0.12
) -> Image.Image:
    """Draw a photo of width x height pixels with the face in a square box (left, top, side).

    light: standard deviation of the photo's brightness, as a factor.
    All but size and box depends on the person alone, so two photos of one person show the same face.
    """
    rng = np.random.default_rng((*person.seed, width, height, box[2], 3))
    left, top, side = box
    image = backdrop(rng, width, height)
    shirt = _colour(rng, rng.uniform(20, 235, 3), 0)
    ImageDraw.Draw(image).ellipse(
        (left - side * 0.1, top + side * 0.86, left + side * 1.1, top + side * 2.2), fill=shirt
    )
    head = face(person).resize((side, side), Image.Resampling.BILINEAR)
    image.paste(head, (left, top), head)
    across, down = (np.linspace(-1, 1, length, dtype=np.float32) for length in (width, height))
    slope = rng.normal(0, 0.22, 2).astype(np.float32)
    factor = np.float32(rng.normal(1, light)) + slope[0] * across + slope[1] * down[:, None]
    noise = np.float32(rng.uniform(3, 11)) * rng.standard_normal((height, width), dtype=np.float32)
    pixels = np.asarray(image, np.float32) * factor[..., None] + noise[..., None]
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    return image.convert("L").convert("RGB") if monochrome else image


def squares(count: int, seed: int, side: int) -> list[Image.Image]:
    """Draw `count` photos of side x side pixels, which the face fills as in UTKFace's chips."""
    return [photo(person, side, side, (0, 0, side)).convert("RGB") for person in people(count, seed)]


def example_picture() -> bytes:
    """A synthetic face as JPEG bytes, for every model: no real photo is stored with one."""
    image = photo(people(1, 0)[0], 120, 120, (10, 10, 100))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG")
    return buffer.getvalue()


def _colour(rng: np.random.Generator, rgb: np.ndarray | tuple[int, int, int], sd: float) -> tuple[int, ...]:
    return tuple(int(v) for v in np.clip(np.asarray(rgb) + rng.normal(0, sd or 1e-9, 3), 0, 255))


def _ellipse(draw: ImageDraw.ImageDraw, x: float, y: float, rx: float, ry: float, fill: tuple) -> None:
    draw.ellipse((x - rx, y - ry, x + rx, y + ry), fill=fill)


def _hair_colour(rng: np.random.Generator, person: Person, old: float) -> tuple:
    shades = HAIR[person.ethnicity]
    shade = np.array(shades[int(rng.integers(len(shades)))], float)
    if rng.random() < 0.04:
        shade = rng.uniform(20, 220, 3)  # dyed
    greyness = float(np.clip((old - 0.30) * 2.2 + rng.normal(0, 0.15), 0, 1))
    return _colour(rng, shade * (1 - greyness) + 205 * greyness, 8)


def _back_hair(draw, rng, x, y, w, h, hair, female) -> None:  # noqa: ANN001
    length = np.clip(female + rng.normal(0, 0.25), 0, 1.3)
    _ellipse(draw, x, y - h * 0.18, w * 1.16, h * 0.95, hair)
    if length > 0.45:
        draw.rounded_rectangle(
            (x - w * 1.2, y - h * 0.3, x + w * 1.2, y + h * (0.3 + 0.9 * length)), radius=w * 0.5, fill=hair
        )


def _front_hair(draw, rng, x, y, w, h, hair, female, old) -> None:  # noqa: ANN001
    recede = np.clip((1 - female) * old * rng.uniform(0, 1.2), 0, 0.8)
    low = y - h * (0.55 + 0.4 * recede + rng.normal(0, 0.05))
    if low > y - h * 0.93:
        draw.chord((x - w * 1.05, y - h * 1.12, x + w * 1.05, 2 * low - (y - h * 1.12)), 180, 360, fill=hair)


def _beard(draw, rng, person, x, y, w, h, hair, female) -> None:  # noqa: ANN001
    if person.age > 17 and female < 0.5 and rng.random() < 0.45:
        full = rng.random() < 0.5
        top = y + h * (0.25 if full else 0.55)
        draw.pieslice((x - w * 0.85, 2 * top - y - h, x + w * 0.85, y + h * 1.02), 0, 180, fill=hair)


def _features(draw, rng, person, at, skin, young, female) -> None:  # noqa: ANN001
    x, y, w, h = at
    eye = w * (0.20 + 0.08 * young + rng.normal(0, 0.012))
    tall = eye * np.clip(EYES[person.ethnicity] + 0.2 * young + rng.normal(0, 0.07), 0.15, 0.9)
    line = y - h * (0.10 - 0.16 * young)
    apart = w * (0.44 + rng.normal(0, 0.03))
    for side in (-1, 1):
        _ellipse(draw, x + side * apart, line, eye, tall, (242, 240, 236))
        iris = min(tall, eye * 0.5)
        _ellipse(draw, x + side * apart, line, iris, iris, _colour(rng, (70, 52, 40), 18))
        brow = line - tall - h * 0.08
        thick = max(1, round(4.5 - 2.5 * female - 1.5 * young + rng.normal(0, 0.8)))
        draw.line((x + side * apart - eye, brow, x + side * apart + eye, brow), fill=(50, 38, 30), width=thick)
    nose = w * (NOSES[person.ethnicity] + rng.normal(0, 0.03)) * 1.6
    draw.polygon(
        ((x, line + h * 0.1), (x - nose, y + h * 0.28), (x + nose, y + h * 0.28)), fill=_colour(rng, skin * 0.86, 3)
    )
    red = np.array((178, 60, 66)) if female + rng.normal(0, 0.2) > 0.6 and young < 0.5 else skin * 0.72
    mouth = y + h * (0.55 - 0.04 * young)
    _ellipse(draw, x, mouth, w * (0.36 + rng.normal(0, 0.04)), h * (0.05 + 0.02 * female), _colour(rng, red, 8))
    if rng.random() < 0.15:  # glasses
        for side in (-1, 1):
            edge = (x + side * apart - eye * 1.3, line - eye, x + side * apart + eye * 1.3, line + eye)
            draw.rectangle(edge, outline=(30, 30, 34), width=2)


def _wrinkles(draw, rng, x, y, w, h, skin, old) -> None:  # noqa: ANN001
    dark = _colour(rng, skin * (0.85 - 0.40 * min(old, 1)), 3)
    for k in range(max(0, round(5 * old + rng.normal(0, 0.5)))):
        level = y - h * (0.38 + 0.07 * k)
        draw.line((x - w * 0.5, level, x + w * 0.5, level + rng.normal(0, 1)), fill=dark, width=2)
    for side in (-1, 1):
        if old > 0.25:
            fold = (x + side * w * 0.32, y + h * 0.26, x + side * w * (0.42 + 0.1 * old), y + h * 0.55)
            draw.line(fold, fill=dark, width=1 + round(2 * old))
        for k in range(max(0, round(4 * old + rng.normal(0, 0.6)))):
            level = y - h * (0.16 - 0.06 * k)
            draw.line((x + side * w * 0.72, y - h * 0.05, x + side * w * 0.92, level), fill=dark, width=2)
