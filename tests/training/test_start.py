"""Training starts from another model's weights: what is loaded, learns, is refused, and is said of it."""

import shutil
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from commands import copy_model
from faces import params
from faces.data import labelled_faces, packs, records
from faces.data.sample import drawing
from faces.inference.predictor import SHIPPED
from faces.params import overrides
from faces.reporting import cards, model_card
from faces.tracking import lineage, models, registry, runs, store
from faces.training import export, fingerprint, loop, reproducibility, soft_targets, start
from stages import pack, train
from tests.conftest import ROOT, encoded

OPTIONS = {"widths": [4, 8], "blocks": [1, 1]}
ALL, TWO = ["age", "sex", "ethnicity"], ["age", "sex"]


@pytest.fixture
def place(project, monkeypatch):
    """A project with a pack and a split of 48 synthetic faces, said to be photos, and a model of age and sex."""
    monkeypatch.setattr(reproducibility, "prepare", lambda *_: None)  # TensorFlow has computed in this process already
    people = drawing.people(48, 3)
    lot = [(f"f{i:02d}", encoded(image), None) for i, image in enumerate(drawing.squares(48, 3, 60))]
    folder = project / "data/packs/utkface/cropped"
    shards = packs.write(pack.pack_images(lot, "cropped", 36, 92, False, 0.4), folder, 100)
    records.write_json({"kind": "real", "variant": "cropped", "side": 36, "shards": shards}, folder / "pack.json")
    columns = {name: [getattr(person, name) for person in people] for name in ALL}
    part = ["train"] * 32 + ["val"] * 16
    split = pd.DataFrame({"face_id": [face for face, *_ in lot], "part": part, "group": [face for face, *_ in lot]})
    records.write(split.assign(**columns), "data/splits/utkface.csv")
    write(project, TWO, "real", labelled_faces.split_file("utkface"))
    return project


def settings(**changes):
    p = params.load(ROOT / "params.yaml")
    values = p.train.model_dump() | {"image_size": 32, "batch_size": 8, "learning_rate": 0.002, "ema_epochs": 0.0}
    return params.Settings(**{"seed": p.seed} | values | changes)


def row(names=ALL, **changes):
    model = params.load(ROOT / "params.yaml").models["utkface-cropped"]
    changes = {"options": OPTIONS, "targets": names, "start_from": "data/models/one", **changes}
    return model.model_copy(update=changes)


def write(project, names, kind, split, name="one", **kept):
    """Write the folder of a model with weights of another seed."""
    chosen, p = row(names, start_from=params.NO_START), params.load(ROOT / "params.yaml")
    recipe = overrides.recipe(settings(), p.budgets["sample"], chosen)
    metadata = {
        "name": name, "fingerprint": "ab", "dataset": "utkface", "variant": "cropped", "kind": kind, "targets": names,
        "network": "residual", "split": start.digest(Path(split)), "pack_size": 36, "crop": 32, "image_size": 32,
        "zoom": settings().zoom, "recipe": recipe, "start": None, **kept,
    }  # fmt: skip
    model = loop.build_network(chosen, settings(seed=5))
    images = np.stack([np.asarray(image) for image in drawing.squares(3, 3, 32)])
    export.write(model, [{"epoch": 0}], metadata, project / "data/models" / name, images, tta_flip=False)


def manifest(kind="real"):
    return {"kind": kind, "side": 36}


def layers(model):
    return {layer.name: layer.get_weights() for layer in start.weighted(model)}


def changed(one, two):
    """Mean change of each layer's first weights."""
    return {name: float(np.abs(one[name][0] - two[name][0]).mean()) for name in one if name in two}


def trained(chosen, given, place, **changes):
    packed, split = labelled_faces.open_pack(chosen)
    faces = [labelled_faces.select_part(split, packed, part, chosen.targets)[0] for part in ("train", "val")]
    model, _ = loop.fit(chosen, *faces, settings(**changes), 36, 2, start=given)
    return layers(model)


def test_the_same_layers_are_loaded_and_a_head_that_is_missing_is_new(place, capfd):
    chosen = row()
    given = start.read(chosen, settings(), manifest())
    assert "starting from one of data/models/one, trained on utkface; new heads: ethnicity" in capfd.readouterr().err
    assert given.about["new_heads"] == ["ethnicity"]
    model = loop.build_network(chosen, settings())
    new = layers(model)
    loaded = [layer.name for layer in start.put(model, given)]
    now = layers(model)
    assert loaded == [name for name in now if name != "ethnicity"]
    assert all(np.array_equal(a, b) for name in loaded for a, b in zip(now[name], given.layers[name], strict=True))
    assert np.array_equal(now["ethnicity"][0], new["ethnicity"][0])
    assert start.read(row(start_from=params.NO_START), settings(), manifest()) is None


def test_loaded_weights_learn_more_slowly_or_not_at_all(place):
    chosen = row()
    given = start.read(chosen, settings(), manifest())
    fast, slow, frozen = (
        changed(trained(chosen, given, place, **changes), given.layers)
        for changes in ({"loaded_learning_rate": 1.0}, {"loaded_learning_rate": 0.1}, {"freeze": True})
    )
    kernels = [name for name in fast if name.startswith("conv2d")]
    assert len(kernels) >= 5
    for name in [*kernels, "age"]:
        assert 0.03 * fast[name] < slow[name] < 0.3 * fast[name], name
    assert {name: frozen[name] for name in frozen if name not in TWO} == dict.fromkeys(
        [name for name in frozen if name not in TWO], 0.0
    )
    assert frozen["age"] > 0


def test_muon_slows_down_what_was_loaded_too(place):
    chosen = row()
    given = start.read(chosen, settings(), manifest())
    fast, slow = (
        changed(trained(chosen, given, place, optimizer="muon", loaded_learning_rate=rate), given.layers)
        for rate in (1.0, 0.1)
    )
    assert 0.03 * fast["conv2d_1"] < slow["conv2d_1"] < 0.3 * fast["conv2d_1"]


def test_the_shipped_folder_can_be_started_from(place):
    folder = ROOT / SHIPPED.parent
    theirs = start.metadata(folder)["recipe"]["model"]["options"]
    chosen = row(options=theirs, start_from=str(folder), dataset="mine", targets=["sex"])
    shutil.copy("data/splits/utkface.csv", "data/splits/mine.csv")
    given = start.read(chosen, settings(image_size=96, crop=104), {"kind": "own", "side": 104})
    assert (given.about["name"], given.about["new_heads"]) == ("utkface", [])
    model = loop.build_network(chosen, settings(image_size=96))
    assert len(start.put(model, given)) == len([*start.weighted(model)]) == 37
    images = np.stack([np.asarray(image) for image in drawing.squares(4, 3, 96)])
    shipped = keras.models.load_model(start.weights_file(folder), compile=False)
    plain = next(layer for layer in shipped.layers if isinstance(layer, keras.Model))
    mine = keras.ops.softmax(model.predict(images, verbose=0)["sex"])
    assert np.abs(plain.predict(images, verbose=0)["sex"] - np.asarray(mine)).max() < 1e-4


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"options": {"widths": [4], "blocks": [1]}}, r'is another network: give this row .*"widths": \[4, 8\]'),
        ({"network": "joshi", "options": {}}, r"is another network: give this row `network: residual`"),
        ({"start_from": "data/models/none"}, r"data/models/none holds no weights: name data/models/NAME"),
        ({"start_from": "data/models/sample"}, r"was trained on synthetic faces: .* or set train.check_start"),
        ({"start_from": "data/models/before"}, r"was trained on utkface with another split: it may have seen"),
        ({"start_from": "data/models/after"}, r"was trained on utkface with another split"),
    ],
)
def test_what_must_not_be_started_from_is_refused(place, changes, fault):
    write(place, TWO, "sample", "params.yaml", "sample")
    write(place, TWO, "real", "params.yaml", "before")
    before = {"dataset": "utkface", "kind": "real", "split": "another", "start": None}
    write(place, TWO, "real", "data/splits/utkface.csv", "after", dataset="wiki", start=before)
    with pytest.raises(SystemExit, match=fault):
        start.read(row(**changes), settings(), manifest())
    if "check_start" in fault or "split" in fault:
        assert start.read(row(**changes), settings(check_start=False), manifest()) is not None


def test_the_sample_may_start_from_the_sample_and_from_photos(place):
    write(place, TWO, "sample", "data/splits/utkface.csv", "sample")
    for name in ("sample", "one"):
        assert start.read(row(start_from=f"data/models/{name}"), settings(), manifest("sample")) is not None


def test_another_size_of_faces_is_said(place, capfd):
    start.read(row(), settings(crop=36), manifest())
    assert "warning: start_from: its crop was 32 and is 36 here" in capfd.readouterr().err


def test_a_network_with_a_branch_for_each_target_needs_the_same_targets(place):
    given = start.read(row(), settings(), manifest())
    image = keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D()(image)
    model = keras.Model(image, {name: keras.layers.Dense(2, name=name)(x) for name in ("sex", "age")})
    with pytest.raises(SystemExit, match=r"has a branch for each target: give this row `targets: \['age', 'sex'\]`"):
        start.put(model, given)


def test_the_stage_trains_from_it_and_the_card_and_the_lineage_name_it(place, tracked, edit, monkeypatch):
    monkeypatch.setattr(fingerprint, "PACKAGES", ())
    edit(
        r"^    targets: \[age, sex, ethnicity\]",
        "    targets: [age, sex, ethnicity]\n    options: {widths: [4, 8], blocks: [1, 1]}",
    )
    edit(r"^    start_from: pretrained/none", "    start_from: data/models/wiki-cropped")
    edit(r"^  image_size: 96 ", "  image_size: 32 ")
    edit(r"image_size: 48, crop: 96, learning_rate: 0.008", "image_size: 32, crop: 32, learning_rate: 0.008")
    edit(r"^  side: 104 ", "  side: 36 ")
    edit(r"^    epochs: 12 ", "    epochs: 2 ")
    write(place, TWO, "real", "data/splits/utkface.csv", "wiki-cropped", dataset="wiki")
    source = {"kind": "real", "simulated": False, "archives": []}
    records.write_json(source, "data/raw/utkface/cropped/provenance.json")
    records.write_json({"values": {}}, "data/tuned/utkface-cropped.json")
    (place / "data/soft_targets").mkdir()
    soft_targets.write(Path("data/soft_targets/none"), np.array([], str), {})
    train.main("utkface-cropped")
    about = records.read_json("data/models/utkface-cropped/model.json")
    kept = about["start"]
    assert (kept["name"], kept["dataset"], kept["new_heads"]) == ("wiki-cropped", "wiki", ["ethnicity"])
    assert kept["sha256"] == lineage.digest("data/models/wiki-cropped/model.weights.h5")
    digests = lineage.digests("utkface-cropped", params.load().models["utkface-cropped"])
    assert digests["start"] == kept["sha256"]
    assert list(digests)[-3:] == ["start", "hyperparameters", "weights"]
    text = " ".join(model_card.started(about))
    assert (
        "It started from `wiki-cropped` (`data/models/wiki-cropped`), trained on wiki. The heads of ethnicity are"
        in text
    )
    assert "learned with 0.1 of the learning rate" in text
    assert cards.licence_name(model_card.licences("your own", about)) == "research-only"
    assert model_card.licences("mine", about).startswith("mine; of wiki, on which its start was trained: for academic")


def test_a_registered_version_is_copied_to_a_folder_to_start_from(place, tracked, monkeypatch, capsys):
    client, experiment = store.open_experiment("faces-utkface")
    run = runs.find_or_create(client, experiment, "one", "ab")
    folder = Path("data/models/one")
    client.log_artifacts(run.info.run_id, str(folder), "training")
    picture = encoded(drawing.squares(1, 3, 60)[0])
    model = models.add_model(client, run, folder / "model.onnx", picture, "ab" * 32)
    registry.register(client, "faces-utkface", run, model, {"onnx_sha256": "ab" * 32})
    monkeypatch.setattr(sys, "argv", ["copy_model", "faces-utkface/1"])
    copy_model.main()
    assert "data/copied/faces-utkface-1 has faces-utkface/1" in capsys.readouterr().out
    given = start.read(row(start_from="data/copied/faces-utkface-1"), settings(), manifest())
    assert given.about["sha256"] == start.digest(folder / "model.weights.h5")
    with pytest.raises(SystemExit, match="data/copied/faces-utkface-1 is there"):
        copy_model.main()


def test_the_heads_of_targets_are_told_by_their_names():
    assert start.has_head({"sex": [np.zeros((4, 2))]}, "sex")
    assert not start.has_head({"sex": [np.zeros((4, 3))]}, "sex")
    assert start.has_head({"age_scalar": [np.zeros((4, 1))]}, "age")
