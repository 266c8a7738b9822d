"""Images of every kind are decoded to upright RGB, or rejected with a reason."""

import io
import struct
import time
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from faces.data import duplicates
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


def test_sixteen_bits_with_a_transparent_grey_are_no_white_image():
    values = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    png = encoded(Image.fromarray(values), "PNG")
    transparent = b"tRNS" + (5).to_bytes(2)
    chunk = (2).to_bytes(4) + transparent + zlib.crc32(transparent).to_bytes(4)
    at = png.index(b"IDAT") - 4
    pixels = np.asarray(preprocessing.decode(png[:at] + chunk + png[at:]))
    assert pixels[..., 0].ravel().tolist() == list(range(256))


@pytest.mark.parametrize("place", [0.3, 0.6, 0.9])
def test_a_png_whose_pixels_are_damaged_is_no_image(place):
    png = encoded(picture(3, (200, 200)), "PNG")
    start = int(len(png) * place)
    for hurt in (b"\0" * (len(png) - start), png[start : start + 1].translate(bytes(range(255, -1, -1)))):
        with pytest.raises(preprocessing.ImageError, match="cannot be decoded: "):
            preprocessing.decode(png[:start] + hurt + png[start + len(hurt) :])


def test_exif_orientation_is_followed():
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(picture().rotate(90, expand=True), quality=95, exif=exif)
    assert preprocessing.decode(turned).size == (40, 30)
    difference = np.abs(np.asarray(preprocessing.decode(turned), int) - np.asarray(picture(), int))
    assert difference.mean() < 8


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


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "PNG"])
def test_several_frames_are_noticed(kind):
    assert preprocessing.has_frames(encoded(picture(1), kind, save_all=True, append_images=[picture(2), picture(3)]))
    assert not preprocessing.has_frames(encoded(picture(1), kind))


def tiff(count, size, tags=1):
    """A TIFF of 8 x 8 pixels with `tags` more tags that each claim the same bytes, and `count` further frames."""
    content = bytearray(encoded(Image.new("L", (8, 8)), "TIFF"))
    start = int.from_bytes(content[4:8], "little")
    number = int.from_bytes(content[start : start + 2], "little")
    known = content[start + 2 : start + 2 + 12 * number]
    more = b"".join(struct.pack("<HHII", 40_000 + i, 7, size, 8) for i in range(tags))
    directory = struct.pack("<H", number + tags) + known + more
    content[4:8] = len(content).to_bytes(4, "little")
    for i in range(count + 1):
        following = len(content) + len(directory) + 4 if i < count else 0
        content += directory + following.to_bytes(4, "little")
    return bytes(content + bytes(size))


def segments(head, count, size):
    """A JPEG with many segments before its pixels."""
    content = encoded(picture())
    return content[:2] + (head[:2] + struct.pack(">H", len(head) + size) + head[2:] + bytes(size)) * count + content[2:]


def chunks(count):
    """A PNG with many chunks before its pixels."""
    content = encoded(picture(), "PNG")
    return content[:33] + (struct.pack(">I", 0) + b"aaAa" + zlib.crc32(b"aaAa").to_bytes(4)) * count + content[33:]


def scans(count):
    """A progressive JPEG that repeats its last scan."""
    content = encoded(picture(), progressive=True)
    last = content.rfind(b"\xff\xda")
    return content[:last] + content[last:-2] * count + content[-2:]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (segments(b"\xff\xe1Exif\0\0", 600, 60_000), "has more than 500 segments"),
        (segments(b"\xff\xe5", 1_000_000, 0), "has more than 500 segments"),
        (scans(100), "has more than 500 segments, or 30 scans"),
        (chunks(200_000), "has more than 100,000 chunks"),
    ],
    ids=["exif", "segments", "scans", "chunks"],
)
def test_metadata_without_end_is_refused_at_once(content, reason):
    start = time.process_time()
    with pytest.raises(preprocessing.ImageError, match=reason):
        preprocessing.decode(content)
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    "content", [segments(b"\xff\xe2", 100, 60_000), scans(5), chunks(1000), tiff(1, 1000, tags=20)]
)
def test_metadata_of_usual_size_is_no_obstacle(content):
    assert preprocessing.decode(content).mode == "RGB"


@pytest.mark.filterwarnings("ignore:Tag data larger", "ignore:Corrupt EXIF")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_whose_tags_claim_the_same_bytes_many_times_is_not_read(kind):
    """Pillow leaves out what claims more than there is."""
    header = b"II*\0\x08\0\0\0" + struct.pack("<H", 5000)
    tags = b"".join(struct.pack("<HHII", 0x0113 + i, 7, 50_000, 8) for i in range(5000))
    content = encoded(picture(), kind, exif=b"Exif\0\0" + header + tags)
    tracemalloc.start()
    assert preprocessing.decode(content).size == (40, 30)
    assert tracemalloc.get_traced_memory()[1] < 50 << 20
    tracemalloc.stop()


def test_many_frames_take_no_time():
    content = tiff(50_000, 8)
    start = time.process_time()
    assert preprocessing.decode(content).size == (8, 8)
    assert preprocessing.has_frames(content)
    assert time.process_time() - start < 2


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "CMYK", "L", "I;16"])
def test_an_image_that_is_converted_in_bands_is_the_same(monkeypatch, mode):
    image = picture(1, (41, 37))
    if mode == "I;16":
        image = Image.fromarray(np.maximum(np.arange(41 * 37) * 40 - 20000, 0).astype(np.uint16).reshape(37, 41))
    elif mode in ("RGBA", "LA"):
        image.putalpha(picture(2, (41, 37)).convert("L"))
    options = {"transparency": 3} if mode == "P" else {}
    content = encoded(image if mode == "I;16" else image.convert(mode), "TIFF" if mode == "CMYK" else "PNG", **options)
    whole = np.asarray(preprocessing.decode(content))
    monkeypatch.setattr(preprocessing, "BAND", 200)
    assert np.array_equal(np.asarray(preprocessing.decode(content)), whole)


def test_two_large_images_are_not_decoded_at_the_same_time(monkeypatch):
    monkeypatch.setattr(preprocessing, "LARGE", 100)
    running, most = [], []

    def to_rgb(image):
        running.append(image)
        most.append(len(running))
        time.sleep(0.02)
        running.pop()
        return image

    monkeypatch.setattr(preprocessing, "_to_rgb", to_rgb)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(preprocessing.decode, [encoded(picture(1))] * 20))
    assert max(most) == 1


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


def exif(*entries, data=b""):
    """EXIF of a JPEG from (tag, type, count, value) and the data that values point to."""
    packed = struct.pack("<H", len(entries))
    for tag, kind, count, value in entries:
        packed += struct.pack("<HHI", tag, kind, count) + value
    return b"Exif\0\0II*\0\x08\0\0\0" + packed + struct.pack("<I", 0) + data


TURNED = (0x0112, 3, 1, struct.pack("<HH", 6, 0))
NAN = struct.pack("<d", float("nan"))


@pytest.mark.parametrize(
    "broken",
    [
        exif(TURNED, (0x011A, 2, 3, b"72\0\0")),  # a resolution in words
        exif(TURNED, (0x0100, 8, 1, struct.pack("<hh", -1, 0))),  # a negative width
        exif(TURNED, (0x011A, 12, 1, struct.pack("<I", 38)), data=NAN),
    ],
)
def test_of_exif_the_orientation_alone_is_read(broken):
    assert preprocessing.decode(encoded(picture(), exif=broken)).size == (30, 40)


@pytest.mark.parametrize("value", [(2, 3, b"6\0\0\0"), (3, 1, struct.pack("<HH", 9, 0)), (12, 1, bytes(4))])
def test_an_orientation_that_is_none_turns_nothing(value):
    assert preprocessing.decode(encoded(picture(), exif=exif((0x0112, *value)))).size == (40, 30)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_as_in_pillow(orientation):
    tag = Image.Exif()
    tag[0x0112] = orientation
    content = encoded(picture(), quality=95, exif=tag)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    assert np.array_equal(preprocessing.decode(content), expected)


def test_a_jpeg_that_lacks_its_end_alone_is_read_and_one_that_lacks_pixels_is_not():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    for options in ({}, {"progressive": True}):
        content = encoded(noise, **options)
        assert np.array_equal(preprocessing.decode(content[:-2]), preprocessing.decode(content))
        for cut in (20, 200, len(content) // 2):
            with pytest.raises(preprocessing.ImageError, match="truncated"):
                preprocessing.decode(content[:-cut])


def test_large_texts_and_profiles_of_a_png_are_passed_over():
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", "<photoshop:DocumentAncestors/>" * 60_000, zip=True)
    content = encoded(picture(), "PNG", pnginfo=texts, icc_profile=bytes(3_000_000))
    assert np.array_equal(preprocessing.decode(content), picture())


def test_a_photo_of_200_megapixels_is_read_and_a_bomb_is_not():
    phone = encoded(Image.new("L", (16320, 12240), 128), quality=20)
    assert preprocessing.decode(phone, near=104).size == (2040, 1530)
    with pytest.raises(preprocessing.ImageError, match="too many pixels: 20000 x 20000"):
        preprocessing.decode(encoded(Image.new("1", (20000, 20000)), "PNG"))


def test_what_takes_several_copies_in_memory_has_a_lower_limit():
    """An animated WebP of a few bytes claims any canvas, and Pillow's decoder keeps it several times."""
    frames = [picture(seed).convert("RGBA") for seed in (1, 2)]
    content = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:])
    at = content.index(b"VP8X") + 12
    canvas = (9999).to_bytes(3, "little") * 2
    with pytest.raises(preprocessing.ImageError, match="too many pixels: 10000 x 10000"):
        preprocessing.decode(content[:at] + canvas + content[at + 6 :])


@pytest.mark.parametrize("kind", ["AVIF", "HEIF", "WEBP", "BMP", "TIFF"])
def test_kinds_of_phones_and_programs_are_read(kind):
    pillow_heif.register_heif_opener()
    decoded = preprocessing.decode(encoded(picture(size=(64, 48)), kind))
    assert np.abs(np.asarray(decoded, int) - np.asarray(picture(size=(64, 48)), int)).mean() < 12


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\0\0\0\x18ftypmp42" + bytes(40), "is a video"),
        (b"\0\0\0\x14ftypqt  " + bytes(40), "is a video"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a pointer of Git LFS, .*`git lfs pull`"),
        (b"%PDF-1.7", "is a PDF"),
        (b"https://example.org/a.jpg", "is an address, not the image"),
        (
            encoded(Image.fromarray(np.array([[0, 255]], np.uint16)), "PNG"),
            "is black: its values have 16 bits, and all",
        ),
        (encoded(Image.fromarray(np.array([[0, 255]], np.int32)), "TIFF"), "is black: .* save it with 8 bits"),
        (b"\xff\x0a\0\0", "is a JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n", "is a JPEG 2000"),
        (b'<?xml version="1.0"?><svg/>', "is a web page or drawing"),
        (encoded(Image.fromarray(np.array([[0.0, 1.0]], np.float32)), "TIFF"), "has fractions as values"),
        (encoded(Image.fromarray(np.array([[0, 70000]], np.int32)), "TIFF"), "has values that are not 0 to 65535"),
    ],
)
def test_what_is_no_photo_is_called_what_it_is(content, reason):
    with pytest.raises(preprocessing.ImageError, match=reason):
        preprocessing.decode(content)


def test_blank_images_have_less_detail_than_any_that_shows_something():
    rng = np.random.default_rng(1)
    y, x = np.mgrid[0:104, 0:104] / 104
    blank = []
    for _ in range(40):
        shade = (x * rng.uniform(-80, 80) + y * rng.uniform(-80, 80))[..., None] + rng.uniform(60, 200, 3)
        noise = rng.normal(0, 4, shade.shape)
        blank.append(encoded(Image.fromarray((shade + noise).clip(0, 255).astype(np.uint8)), quality=60))
    assert preprocessing.detail(duplicates.decode_thumbnails(blank)).max() < preprocessing.MIN_DETAIL
    shown = duplicates.decode_thumbnails([encoded(picture(seed, (104, 104))) for seed in range(40)])
    assert preprocessing.detail(shown).min() > preprocessing.MIN_DETAIL
    assert preprocessing.detail(np.zeros((1, 24, 24), np.uint8))[0] == 0
