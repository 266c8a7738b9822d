"""Near pairs equal those of an exhaustive search; different people are not copies."""

import functools
import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from faces.data import duplicates
from faces.data.sample import drawing

MIN_CORRELATION = 0.82


@functools.cache
def faces(n, seed=5, side=104):
    return drawing.squares(n, seed, side)


def compressed(image):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=30)
    return Image.open(buffer).convert("RGB")


def marked(image):
    image = image.copy()
    ImageDraw.Draw(image).text((6, 80), "a stock photo", fill="white")
    return image


CHANGES = {
    "compressed": compressed,
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.6),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "cut": lambda image: image.crop((1, 1, 103, 103)).resize((104, 104)),
    "turned": lambda image: image.rotate(2, Image.Resampling.BICUBIC),
    "marked": marked,
}


def thumbnails(images):
    return duplicates.shrink(np.stack([np.asarray(image) for image in images]))


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_detected_among_other_people(change):
    images = faces(40)
    pairs = duplicates.near_pairs(
        thumbnails([*images, *(CHANGES[change](image) for image in images[:10])]), MIN_CORRELATION
    )
    assert {(i, 40 + i) for i in range(10)} <= set(map(tuple, pairs.tolist()))
    others = [(i, j) for i, j in pairs.tolist() if j % 40 != i]
    assert not others


def test_near_pairs_equal_an_exhaustive_search(monkeypatch):
    monkeypatch.setattr(duplicates, "ROWS", 16)
    monkeypatch.setattr(duplicates, "COLUMNS", 24)
    rng = np.random.default_rng(0)
    base = rng.integers(0, 256, (60, 24, 24))
    thumbs = np.concatenate([base, base[:40] + rng.normal(0, 60, (40, 24, 24)), base[:9, :, ::-1], base[:5]])
    thumbs = thumbs.clip(0, 255).astype(np.uint8)
    fine = duplicates.details(thumbs)
    n = len(thumbs)
    correlation = duplicates.correlation(np.repeat(fine, n, axis=0), np.tile(fine, (n, 1, 1))).reshape(n, n)
    noisy = np.sort(np.diagonal(correlation, 60)[:40])
    minimum = float(noisy[19:21].mean())  # reached by half of the noisy copies
    expected = duplicates.groups(n, np.argwhere(correlation >= minimum))
    groups = duplicates.groups(n, duplicates.near_pairs(thumbs, minimum))
    assert len(set(expected)) == n - 20 - 9 - 5
    assert len(set(zip(expected, groups, strict=True))) == len(set(expected)) == len(set(groups))


def test_cells_lose_almost_no_copies(monkeypatch):
    """Forty copies of each kind among two hundred other people."""
    images = faces(200)
    changed = [change(image) for i, change in enumerate(CHANGES.values()) for image in images[20 * i : 20 * i + 40]]
    thumbs = thumbnails([*images, *changed])
    expected = duplicates.near_pairs(thumbs, MIN_CORRELATION)
    monkeypatch.setattr(duplicates, "MAX_ALL_PAIRS", 100)
    monkeypatch.setattr(duplicates, "CELLS", 64)
    monkeypatch.setattr(duplicates, "NEAREST", 6)
    compared = []
    blocks = duplicates._near_blocks

    def counted(*arguments):
        for rows, columns in blocks(*arguments):
            compared.append(len(rows) * len(columns))
            yield rows, columns

    monkeypatch.setattr(duplicates, "_near_blocks", counted)
    assert np.array_equal(duplicates.near_pairs(thumbs, MIN_CORRELATION), expected)
    known = {(20 * (i // 40) + i % 40, 200 + i) for i in range(len(changed))}
    assert len(known - {tuple(pair) for pair in expected.tolist()}) <= 1  # a copy rotated by 2 degrees
    assert 0 < sum(compared) < len(thumbs) ** 2 / 2


def test_very_many_pairs_are_chained(monkeypatch):
    monkeypatch.setattr(duplicates, "MAX_PAIRS", 50)
    rng = np.random.default_rng(0)
    thumbs = rng.integers(60, 190, (1, 24, 24)) + rng.integers(-2, 3, (100, 24, 24))
    pairs = duplicates.near_pairs(np.concatenate([thumbs, thumbs[:5]]).astype(np.uint8), MIN_CORRELATION)
    assert len(pairs) < 110
    assert set(duplicates.groups(105, pairs)) == {0}


def test_fewer_than_two_pictures_have_no_pairs():
    for n in (0, 1):
        assert duplicates.near_pairs(np.zeros((n, 24, 24), np.uint8), MIN_CORRELATION).shape == (0, 2)


def test_uniform_pictures_match_only_their_equals():
    thumbs = np.stack([np.full((24, 24), value, np.uint8) for value in (0, 200, 200)])
    assert duplicates.near_pairs(thumbs, MIN_CORRELATION).tolist() == [[1, 2]]


def test_empty_strings_equal_no_other():
    assert duplicates.equal_pairs(np.array(["a", "", "a", ""])).tolist() == [[0, 2]]
