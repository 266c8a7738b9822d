"""Images of every kind are decoded to upright RGB, or rejected with a reason."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from faces.images import preprocessing
from tests.conftest import encoded, picture


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("RGB", "JPEG"), ("L", "JPEG"), ("CMYK", "JPEG"), ("P", "PNG"), ("RGBA", "PNG"), ("1", "PNG"), ("P", "GIF")],
)
def test_modes_decode_to_rgb(mode, kind):
    decoded = preprocessing.decode(encoded(picture().convert(mode), kind))
    assert decoded.mode == "RGB"
    assert decoded.size == (40, 30)


def test_sixteen_bits_are_scaled():
    ramp = Image.fromarray((np.arange(1200, dtype=np.uint16) * 54).reshape(30, 40))
    decoded = np.asarray(preprocessing.decode(encoded(ramp, "PNG")))
    assert decoded.max() == 1199 * 54 >> 8


def test_exif_orientation_is_followed():
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(picture().rotate(90, expand=True), quality=95, exif=exif)
    assert preprocessing.decode(turned).size == (40, 30)
    difference = np.abs(np.asarray(preprocessing.decode(turned), int) - np.asarray(picture(), int))
    assert difference.mean() < 6


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "is empty"), (b"hello", "is no image"), (encoded(picture(size=(400, 300)))[:900], "cannot be decoded")],
)
def test_an_unreadable_picture_has_a_reason(content, reason):
    with pytest.raises(preprocessing.ImageError, match=reason):
        preprocessing.decode(content)


def test_an_animation_gives_its_first_frame():
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "blue")]
    decoded = preprocessing.decode(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert decoded.getpixel((5, 5)) == (255, 0, 0)


def test_frames_are_counted():
    assert (
        preprocessing.count_frames(encoded(picture(1), "GIF", save_all=True, append_images=[picture(2), picture(3)]))
        == 3
    )
    assert preprocessing.count_frames(encoded(picture(1))) == 1


def test_a_large_file_is_refused_before_decoding(monkeypatch):
    content = encoded(picture(1))
    monkeypatch.setattr(preprocessing, "MAX_BYTES", len(content) - 1)
    with pytest.raises(preprocessing.ImageError, match="is larger than"):
        preprocessing.decode(content)


def test_a_comment_is_not_kept():
    image = preprocessing.decode(encoded(picture(), comment=b"private"))
    assert image.info["comment"] == b"private"
    assert b"private" not in preprocessing.encode(image, 90)


def test_absurd_dimensions_are_refused_before_decoding():
    header = bytearray(encoded(Image.new("L", (8, 8)), "PNG"))
    header[16:24] = (200_000).to_bytes(4) + (200_000).to_bytes(4)
    header[29:33] = zlib.crc32(header[12:29]).to_bytes(4)
    with pytest.raises(preprocessing.ImageError, match="pixels"):
        preprocessing.decode(bytes(header))


def test_fit_keeps_the_aspect_ratio_for_full_photos_only():
    assert preprocessing.fit(picture(size=(200, 100)), "full", 64).size == (64, 32)
    assert preprocessing.fit(picture(size=(200, 100)), "cropped", 64).size == (64, 64)
    assert preprocessing.fit(picture(size=(200, 100)), "detected", 64).size == (64, 64)


def test_square_pads_and_crops():
    pixels = np.full((2, 4, 3), 9, np.uint8)
    padded = preprocessing.square(pixels, 4)
    assert padded[0].tolist() == [[128] * 3] * 4
    assert padded[1].tolist() == [[9] * 3] * 4
    assert preprocessing.square(np.arange(75, dtype=np.uint8).reshape(5, 5, 3), 3)[0, 0].tolist() == [18, 19, 20]


@pytest.mark.parametrize("box", [(-3, -2, 5, 6), (30, 20, 47, 33), (2, 3, 40, 30), (41, 5, 44, 9)])
def test_crops_repeat_the_edge_outside_the_picture(box):
    padded = np.pad(np.asarray(picture()), ((9, 9), (9, 9), (0, 0)), mode="edge")
    left, top, right, bottom = (end + 9 for end in box)
    assert np.array_equal(preprocessing.crop_padded(picture(), box), padded[top:bottom, left:right])


def test_crop_box_widens_and_repeats_the_edge():
    image = Image.fromarray(np.full((10, 10, 3), 7, np.uint8))
    crop = preprocessing.crop_box(image, (0, 0, 10, 10), 0.5)
    assert crop.size == (20, 20)
    assert np.asarray(crop).min() == 7
    with pytest.raises(preprocessing.ImageError, match="not within"):
        preprocessing.crop_box(image, (20, 20, 30, 30), 0.1)


def test_the_hash_survives_saving_and_differs_between_pictures():
    again = Image.open(io.BytesIO(encoded(picture(1, (100, 100)), quality=60)))
    lumas = [preprocessing.luma(p) for p in (picture(1, (100, 100)), again, picture(2, (100, 100)))]
    one, two, other = preprocessing.perceptual_hash(np.stack(lumas)).tolist()
    assert (one ^ two).bit_count() <= 2
    assert (one ^ other).bit_count() > 10
    assert one < 2**63
