"""Images are cropped by their box or by the detector, and packed."""

import io
import json
import tarfile

import numpy as np
import pytest
import skimage.data
from PIL import Image

from faces import params
from faces.data import packs, records
from faces.data.datasets import utkface
from faces.images import detection, preprocessing
from faces.inference import photos
from faces.inference.predictor import SHIPPED, Predictor
from stages import clean, download, pack, parse_labels, read_table
from tests.conftest import ROOT, encoded, picture


def test_packs_are_read_by_id(tmp_path):
    rows = pack.pack_images([(f"f{i}", encoded(picture(i)), None) for i in range(5)], "cropped", 32, 90, False, 0.4)
    shards = packs.write(rows, tmp_path, 2)
    assert [shard["faces"] for shard in shards] == [2, 2, 1]
    (tmp_path / "pack.json").write_text(json.dumps({"shards": shards}))
    result = packs.Pack(tmp_path)
    assert result.rows(["f3", "none"]).tolist() == [3, -1]
    assert result.images(np.array([4, 0])) == [rows[4]["image"], rows[0]["image"]]
    assert packs.Pack(tmp_path).column("phash").tolist() == [row["phash"] for row in rows]


def test_a_dataset_without_crops_is_cropped_by_its_boxes():
    content = encoded(picture(size=(100, 80)), "PNG")
    lot = [("f", content, (10, 10, 90, 70)), ("g", content, None), ("h", b"", (0, 0, 1, 1))]
    row, *rejects = pack.pack_images(lot, "cropped", 32, 90, True, 0.0)
    assert (row["width"], row["height"]) == (100, 80)
    assert [r["reject"] for r in rejects] == ["no face box", "is empty"]


ASTRONAUT = "20170116172300001_45_1_0"


def photos_of(project, edit, **photos):
    """Archives of UTKFace's photos by name, as download leaves them for utkface-detected."""
    edit(
        r"^  utkface-full: .*",
        "  utkface-full: {dataset: utkface, variant: full, reader: utkface}\n"
        "  utkface-detected: {dataset: utkface, variant: detected, reader: utkface}",
    )
    folder = project / "data/raw/utkface/detected"
    folder.mkdir(parents=True)
    with tarfile.open(folder / "part1.tar.gz", "w:gz") as archive:
        for name, pixels in photos.items():
            content = encoded(Image.fromarray(pixels), "PNG")
            info = tarfile.TarInfo(f"part1/{name}.jpg")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    (folder / "provenance.json").write_text(json.dumps({"kind": "real", "archives": [{"name": "part1.tar.gz"}]}))
    parse_labels.main("utkface")


def test_found_faces_are_cut_out_of_the_photos_and_others_rejected(project, edit):
    astronaut = skimage.data.astronaut()
    photos_of(
        project, edit, **{"45_1_0_20170116172300001": astronaut, "1_0_0_20170116172300002": skimage.data.rocket()}
    )
    pack.main("utkface", "detected")
    result = packs.Pack("data/packs/utkface/detected")
    assert result.face_ids == [ASTRONAUT]
    assert result.manifest["variant"] == "detected"
    assert result.manifest["framing"] == utkface.FRAMING.tolist()
    (face,) = detection.FaceDetector(threads=1).detect(Image.fromarray(astronaut))
    side = result.manifest["side"]
    cut = preprocessing.fit(
        detection.crop_face(Image.fromarray(astronaut), face, utkface.FRAMING, detection.CROP_SIDE), "detected", side
    )
    packed = np.asarray(preprocessing.decode(result.images(np.array([0]))[0]), float)
    assert packed.shape == (side, side, 3)
    assert np.abs(packed - np.asarray(cut)).mean() < 3  # what JPEG costs
    assert result.column("width").tolist() == [512]
    assert records.read("data/packs/utkface/detected/rejects.csv").to_dict("records") == [
        {"face_id": "20170116172300002_1_0_0", "reject": "no face was found"}
    ]


def test_where_no_face_is_found_at_all_the_stage_says_so(project, edit):
    photos_of(project, edit, **{"1_0_0_20170116172300002": np.zeros((40, 40, 3), np.uint8)})
    with pytest.raises(SystemExit, match=r"no image could be packed: no face was found \(1\); the sample"):
        pack.main("utkface", "detected")


def test_a_known_box_says_which_face_is_cut_out():
    photo = Image.new("RGB", (900, 512))
    photo.paste(Image.fromarray(skimage.data.astronaut()), (0, 0))
    photo.paste(Image.fromarray(skimage.data.astronaut()[:, ::-1]).resize((256, 256)), (600, 100))
    content = encoded(photo, "PNG")
    boxes = [None, (180, 60, 270, 180), (710, 120, 780, 200), (300, 300, 400, 400)]
    rows = pack.pack_images([(str(box), content, box) for box in boxes], "detected", 64, 92, False, 0, utkface.FRAMING)
    large, same, small, none = rows
    assert large["image"] == same["image"]
    assert none["reject"] == "no face was found"
    pixels = [np.asarray(preprocessing.decode(row["image"]), float) for row in (large, small)]
    assert np.corrcoef(pixels[0].ravel(), pixels[1][:, ::-1].ravel())[0, 1] > 0.9  # the mirrored one
    assert np.corrcoef(pixels[0].ravel(), pixels[1].ravel())[0, 1] < 0.9


def test_a_dataset_may_say_which_face_of_a_photo_is_detected(project, edit):
    two = np.zeros((256, 512, 3), np.uint8)
    woman = Image.fromarray(skimage.data.astronaut()).resize((256, 256))
    two[:, :256], two[:160, 300:460] = woman, woman.resize((160, 160))
    photos_of(project, edit, **{f"45_1_0_2017011617230000{i}": two for i in (1, 2)}, **{"1_0_0_20170116172300003": two})
    faces = ["20170116172300002_45_1_0,356,18,384,56", "20170116172300003_1_0_0,0,200,50,256"]
    (project / "data/boxes/utkface.csv").write_text("\n".join(["face_id,left,top,right,bottom", *faces]))
    pack.main("utkface", "detected")
    result = packs.Pack("data/packs/utkface/detected")
    assert result.face_ids == [ASTRONAUT, "20170116172300002_45_1_0"]
    large, small = (preprocessing.luma(preprocessing.decode(content)) for content in result.images(np.array([0, 1])))
    assert preprocessing.detail(large[None])[0] > preprocessing.detail(small[None])[0]  # the small face is less sharp
    rejects = records.read("data/packs/utkface/detected/rejects.csv").to_dict("records")
    assert rejects == [{"face_id": "20170116172300003_1_0_0", "reject": "no face was found"}]


def test_full_photos_have_no_framing(project, edit):
    photos_of(project, edit, **{"45_1_0_20170116172300001": skimage.data.astronaut()})
    (project / "data/raw/utkface/detected").rename(project / "data/raw/utkface/full")
    pack.main("utkface", "full")
    assert packs.Pack("data/packs/utkface/full").manifest["framing"] is None


@pytest.fixture
def own(project, edit):
    """A function that makes a table of images, each a face or not, and packs them; returns what the stages printed.

    boxes: by an image's name, the four cells of its box.
    """
    edit(
        r"^variants:\n", "variants:\n  mine-cropped: {dataset: mine, variant: cropped, reader: table, images: photos}\n"
    )
    edit(r"^datasets: .*", "datasets: [utkface, wiki, mine]")
    edit(r"^tables: \{\}", "tables:\n  mine: {labels: labels.csv, columns: {image: file, age: years}}")
    (project / "photos").mkdir()

    def packed(capsys, boxes=None, **images):
        for name, image in images.items():
            image.save(project / f"photos/{name}.png")
        if boxes:
            edit(r"years\}", "years, box: [l, t, r, b]}")
        names = sorted(path.stem for path in (project / "photos").iterdir())
        rows = [f"{name}.png,30,{(boxes or {}).get(name, ',,,')}" for name in names]
        (project / "labels.csv").write_text("\n".join(["file,years,l,t,r,b", *rows]))
        download.main("mine", "cropped")
        capsys.readouterr()
        read_table.main("mine")
        pack.main("mine", "cropped")
        return " ".join(capsys.readouterr().err.split())

    return packed


def faces_of(woman, count):
    """Images that a woman's face fills, as chips are."""
    return {f"crop{i}": woman.crop((178 - i, 55, 278, 155 + i)).resize((200, 200)) for i in range(count)}


def test_photos_of_a_table_are_framed_and_crops_stay(own, project, capsys):
    woman = Image.fromarray(skimage.data.astronaut())
    two = Image.new("RGB", (1024, 512))
    two.paste(woman, (0, 0))
    two.paste(woman.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (512, 0))
    output = own(capsys, whole=woman, two=two, none=picture(1, (300, 300)), **faces_of(woman, 2))
    assert "of 5 images looked at, the face fills less than 70% of the shorter side in 2 and more in 2" in output
    assert "no face was found in 1. So faces are detected and framed; variants.mine-cropped.crop" in output
    assert "mine cropped: packed: as it is, a crop: 2; framed: 1" in output
    folder = project / "data/packs/mine/cropped"
    result = packs.Pack(folder)
    assert result.face_ids == ["crop0.png", "crop1.png", "whole.png"]
    whole, crop = (np.asarray(preprocessing.decode(content), float) for content in result.images(np.array([2, 0])))
    assert np.corrcoef(whole.ravel(), crop.ravel())[0, 1] > 0.4  # the same face, of about the same size
    notes = records.read(folder / "notes.csv").set_index("face_id")["note"].to_dict()
    assert notes == {"crop0.png": "as it is, a crop", "crop1.png": "as it is, a crop", "whole.png": "framed"}
    rejects = records.read(folder / "rejects.csv").set_index("face_id")["reject"].to_dict()
    assert rejects == {"none.png": "no face was found", "two.png": "shows several faces that are as near to the middle"}
    assert Image.open(folder / "contact_sheet.jpg").width == 10 * pack.THUMBNAIL


def test_crops_of_a_table_are_not_detected(own, project, capsys):
    output = own(capsys, **faces_of(Image.fromarray(skimage.data.astronaut()), 3), blurred=picture(1, (200, 200)))
    assert "no face was found in 1. So each image is taken as one face, as it is" in output
    assert "a face was found in 3 of 4 images looked at. Fewer than 12 do not show its place, so" in output
    assert packs.Pack(project / "data/packs/mine/cropped").manifest["framing"] == utkface.FRAMING.tolist()
    assert len(packs.Pack(project / "data/packs/mine/cropped").face_ids) == 4
    assert not (project / "data/packs/mine/cropped/notes.csv").exists()


def test_params_say_whether_faces_are_detected(own, project, edit, capsys):
    edit(r"images: photos", "images: photos, crop: none")
    output = own(capsys, whole=Image.fromarray(skimage.data.astronaut()))
    assert "the face fills" not in output
    whole = packs.Pack(project / "data/packs/mine/cropped").images(np.array([0]))
    edit(r"crop: none", "crop: detect")
    assert "packed: framed: 1" in own(capsys, none=picture(1, (300, 300)))
    assert packs.Pack(project / "data/packs/mine/cropped").images(np.array([0])) != whole
    edit(r"reader: utkface\}", "reader: utkface, crop: none}")
    with pytest.raises(params.ParamsError, match="crop: is of the images of a table alone"):
        params.load()


def test_looks_are_at_images_from_all_over_the_archive():
    chosen = pack.some((bytes([i]) for i in range(200)), 48)
    assert len(set(chosen)) == 48
    assert 60 < np.mean([content[0] for content in chosen]) < 140
    assert pack.some(iter([b"a", b"b"]), 48) == [b"a", b"b"]


def columns(folder, name):
    """A column of a CSV file of a folder, by face id."""
    rows = records.read(folder / f"{'notes' if name == 'note' else 'rejects'}.csv")
    return rows.set_index("face_id")[name].to_dict()


def test_crops_and_photos_in_one_table(own, project, capsys):
    woman = Image.fromarray(skimage.data.astronaut())
    photos = {f"photo{i}": woman.crop((0, 0, 400 + 10 * i, 512)) for i in range(4)}
    output = own(capsys, **faces_of(woman, 8), **photos)
    assert "in 4 and more in 8; no face was found in 0. So faces are detected and framed" in output
    assert "mine cropped: 12 images packed, 0 rejected" in output
    assert "mine cropped: packed: as it is, a crop: 8; framed: 4" in output
    result = packs.Pack(project / "data/packs/mine/cropped")
    assert result.manifest["framing"] == utkface.FRAMING.tolist()
    crop = np.asarray(preprocessing.fit(faces_of(woman, 1)["crop0"], "cropped", result.manifest["side"]), float)
    packed = np.asarray(preprocessing.decode(result.images(result.rows(["crop0.png"]))[0]), float)
    assert np.abs(packed - crop).mean() < 3  # what JPEG costs


def test_photos_of_which_a_third_shows_nobody(own, project, edit, capsys):
    edit(r"images: photos", "images: photos, crop: detect")
    woman = Image.fromarray(skimage.data.astronaut()).crop((80, 0, 380, 300))
    there = {f"some{i:02}": woman.crop((0, 0, 300 - i // 8, 300 - i % 8)) for i in range(40)}
    output = own(capsys, **there, **{f"none{i:02}": picture(i, (200, 200)) for i in range(20)})
    assert "mine cropped: 40 images packed, 20 rejected mine cropped: rejected: no face was found: 20" in output
    assert "crops" not in output
    folder = project / "data/packs/mine/cropped"
    assert columns(folder, "reject") == {f"none{i:02}.png": "no face was found" for i in range(20)}
    assert packs.Pack(folder).face_ids == [f"some{i:02}.png" for i in range(40)]
    clean.main("mine")
    left_out = records.read_json("data/clean/mine/summary.json")["left_out"]
    assert left_out == {"image no face was found": 20}


def test_crops_that_are_to_be_detected_lead_to_a_hint(own, edit, capsys):
    edit(r"images: photos", "images: photos, crop: detect")
    output = own(capsys, **faces_of(Image.fromarray(skimage.data.astronaut()), 3), none=picture(1, (200, 200)))
    assert "packed: as it is, a crop: 3" in output
    assert "variants.mine-cropped.crop: none in params.yaml also keeps those in which no face was found" in output


def test_where_a_table_shows_nobody_the_remedy_is_named(own, edit, capsys):
    edit(r"images: photos", "images: photos, crop: detect")
    with pytest.raises(SystemExit, match=r"found \(2\); variants.mine-cropped.crop: none in params.yaml takes"):
        own(capsys, a=picture(1, (200, 200)), b=picture(2, (200, 200)))


FACE = np.array((182, 58, 270, 178))  # of the astronaut


def cells(box):
    return ",".join(map(str, box))


def test_a_box_names_the_face_of_a_photo(own, project, capsys):
    woman = Image.fromarray(skimage.data.astronaut()).resize((256, 256))
    two = Image.new("RGB", (512, 256))
    two.paste(woman, (0, 0))
    two.paste(woman.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (256, 0))
    blurred = Image.fromarray(skimage.data.coffee()).resize((320, 240))
    face = FACE // 2
    mirrored = face[[2, 1, 0, 3]] * (-1, 1, -1, 1) + (512, 0, 512, 0)
    boxes = {
        **{"left": cells(face), "right": cells(mirrored), "hidden": "100,50,150,110", "outside": "450,20,490,90"},
        **{"elsewhere": "400,150,450,200", "text": "10,20,x,40", "empty": "270,58,182,178", "part": "10,,30,40"},
        "shares": "0.1,0.1,0.3,0.4",
    }
    images = dict.fromkeys(["left", "right", "elsewhere", "text", "empty", "part", "shares", "two"], two)
    output = own(capsys, boxes, **images, whole=woman, hidden=blurred, outside=blurred)
    assert "7 of 11 rows are usable; 2 x box is not a pixel wide and high; 2 x box is not four numbers" in output
    assert "boxes are left, top, right, bottom in pixels: tables.mine.box_is in params.yaml may say otherwise" in output
    folder = project / "data/packs/mine/cropped"
    faces = records.read(project / "data/records/mine.csv").set_index("face_id")
    assert faces.loc["empty.png", "reject"] == "box is not a pixel wide and high: 270,58,182,178"
    assert faces.loc["part.png", "reject"] == "box is not four numbers: 10,,30,40"
    several = "shows several faces that are as near to the middle"
    assert columns(folder, "reject") == {
        "elsewhere.png": "no detected face is in its box",
        "outside.png": "has its box outside the image: 450,20,490,90 of 320 x 240",
        **dict.fromkeys(["two.png", "text.png", "empty.png", "part.png", "shares.png"], several),
    }
    assert columns(folder, "note") == {
        **dict.fromkeys(["left.png", "right.png"], "framed, one of several faces"),
        **{"whole.png": "framed", "hidden.png": "framed by its box, since no face was found in it"},
    }
    result = packs.Pack(folder)
    images = result.images(result.rows(["left.png", "right.png", "whole.png"]))
    left, right, whole = (np.asarray(preprocessing.decode(content), float).ravel() for content in images)
    assert np.corrcoef(left, whole)[0, 1] > 0.98
    assert np.corrcoef(right, whole)[0, 1] < 0.9
    assert "rejected: " in output
    assert "has its box outside the image: 1" in output
    clean.main("mine")
    left_out = records.read_json("data/clean/mine/summary.json")["left_out"]
    assert left_out["image has its box outside the image"] == left_out["image no detected face is in its box"] == 1
    assert left_out["box is not four numbers"] == left_out["box is not a pixel wide and high"] == 2


def test_boxes_of_crops_are_not_used(own, project, edit, capsys):
    crops = faces_of(Image.fromarray(skimage.data.astronaut()), 2)
    output = own(capsys, {"crop0": "9,9,99,99"}, **crops)
    assert "mine cropped: 1 boxes are not used, since each image is taken as it is" in output
    edit(r"images: photos", "images: photos, crop: none")
    edit(r"years, box", "years, box")
    (project / "labels.csv").write_text((project / "labels.csv").read_text().replace("9,9,99,99", "9,9,x,99"))
    read_table.main("mine")
    output = " ".join(capsys.readouterr().err.split())
    assert "boxes are not read, since variants.mine-cropped.crop is none mine: 2 of 2 rows are usable" in output
    assert (project / "data/boxes/mine.csv").read_text() == "face_id,left,top,right,bottom\n"


def test_labels_alone_do_not_change_the_boxes(own, project, capsys):
    woman = Image.fromarray(skimage.data.astronaut())
    own(capsys, {"whole": cells(FACE)}, whole=woman)
    before = (project / "data/boxes/mine.csv").read_bytes()
    assert before == b"face_id,left,top,right,bottom\nwhole.png,182.0,58.0,270.0,178.0\n"
    other = woman.crop((0, 0, 500, 500))
    other.save(project / "photos/other.png")
    download.main("mine", "cropped")
    (project / "labels.csv").write_text(f"file,years,l,t,r,b\nwhole.png,who,{cells(FACE)}\nother.png,40,,,,\n")
    read_table.main("mine")
    assert (project / "data/boxes/mine.csv").read_bytes() == before


def test_boxes_given_by_their_size(own, project, edit, capsys):
    edit(r"\{labels: labels.csv", "{labels: labels.csv, box_is: size")
    own(capsys, {"whole": "182,58,88,120"}, whole=Image.fromarray(skimage.data.astronaut()))
    assert records.as_boxes(records.read("data/boxes/mine.csv")) == {"whole.png": tuple(FACE)}


def wide_crops(count):
    """Crops of the astronaut with half as much around the face as chips have, and where the landmarks are in one."""
    (face,) = detection.FaceDetector(threads=1).detect(woman := Image.fromarray(skimage.data.astronaut()))
    left, top, side = 135, 25, 180
    crops = {
        f"c{i:02}": woman.crop((left, top, left + side, top + side)).resize((200 - i, 200 - i)) for i in range(count)
    }
    return crops, (face.landmarks - (left, top)) / side


def test_the_framing_of_crops_is_measured_and_prediction_follows_it(own, project, edit, capsys):
    edit(r"images: photos", "images: photos, crop: none")
    crops, places = wide_crops(13)
    output = own(capsys, **crops, none=picture(1, (200, 200)))
    assert "a face was found in 13 of 14 images looked at. Its place there, in the median, is how prediction" in output
    result = packs.Pack(project / "data/packs/mine/cropped")
    measured = np.array(result.manifest["framing"])
    np.testing.assert_allclose(measured, places, atol=0.02)
    assert (measured.round(4) == measured).all()
    assert np.abs(places - utkface.FRAMING).max() > 0.08
    predictor = Predictor(ROOT / SHIPPED, threads=1)
    predictor.metadata["framing"] = result.manifest["framing"]
    woman = Image.fromarray(skimage.data.astronaut())
    (face,) = detection.FaceDetector(threads=1).detect(woman)
    cut = detection.crop_face(woman, face, photos.framing(predictor), 200)
    (again,) = detection.FaceDetector(threads=1).detect(cut)
    np.testing.assert_allclose(again.landmarks, places * 200, atol=6)  # pixels
    difference = np.abs(np.asarray(cut, float) - np.asarray(crops["c00"], float)).mean()
    other = np.abs(np.asarray(detection.crop_face(woman, face, utkface.FRAMING, 200), float) - crops["c00"]).mean()
    assert difference < other / 3


def test_an_image_that_is_no_square_is_measured_in_the_square_that_is_packed():
    woman = Image.fromarray(skimage.data.astronaut())
    for box in ((100, 0, 340, 300), (60, 20, 400, 220)):
        crop = woman.crop(box)
        square = preprocessing.fit(crop, "cropped", min(crop.size))
        kind, places = pack.look(detection.FaceDetector(threads=1), encoded(crop, "PNG"))
        (seen,) = detection.FaceDetector(threads=1).detect(square)
        assert kind == "photo"
        np.testing.assert_allclose(places, seen.landmarks / min(crop.size), atol=0.03)
    assert pack.look(detection.FaceDetector(threads=1), b"") == ("none", None)
