"""Prediction from one file; a file that is no model or no image gives an error of one line."""

import json

import onnx
import pytest

from faces import networks
from faces.data.sample import drawing
from faces.inference import predictor
from faces.inference.predictor import ModelError, Predictor
from faces.training import export
from tests.conftest import encoded

HEADS = {"age": 125, "sex": 2, "ethnicity": 5}
METADATA = {"targets": list(HEADS), "pack_size": 36, "image_size": 32, "variant": "cropped"}


@pytest.fixture
def model(tmp_path):
    """The file of a small model."""
    built = networks.build("residual", 32, HEADS, 0.0, {"widths": [4], "blocks": [1]})
    export.export_onnx(built, tmp_path / "model.onnx", {"faces": json.dumps(METADATA)})
    return tmp_path / "model.onnx"


def test_the_command_line_predicts(model, tmp_path, capsys, monkeypatch):
    (tmp_path / "a.jpg").write_bytes(encoded(drawing.squares(1, 0, 50)[0]))
    (tmp_path / "b.txt").write_text("no image")

    def predict(*words):
        monkeypatch.setattr("sys.argv", ["predictor", *map(str, words)])
        predictor.main()
        return capsys.readouterr().out

    lines = predict("--model", model, tmp_path / "a.jpg", tmp_path / "a.jpg").splitlines()
    assert lines[0].split()[:4] == ["image", "age", "age_bin", "sex"]
    assert lines[1] == lines[2]
    for words, message in (
        (("--model", tmp_path / "none.onnx", tmp_path / "a.jpg"), "none.onnx is not a file"),
        (("--model", model, tmp_path / "b.txt"), "b.txt: is no image"),
    ):
        with pytest.raises(SystemExit):
            predict(*words)
        assert message in capsys.readouterr().err


def change(path, metadata=METADATA, **fields):
    """Write other fields and metadata into the file."""
    graph = onnx.load(path)
    onnx.helper.set_model_props(graph, {"faces": json.dumps(metadata)} if metadata else {})
    for name, value in fields.items():
        setattr(graph, name, value)
    path.write_bytes(graph.SerializeToString())


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:5000]), "cannot open it: it is broken, no ONNX file"),
        (lambda path: path.write_text("weights of another kind"), "cannot open it: it is broken, no ONNX file"),
        (lambda path: change(path, ir_version=99), r"made by newer libraries \(.+IR version"),
        (lambda path: change(path, metadata=None), "not one that this project exported"),
        (
            lambda path: change(path, METADATA | {"targets": ["age", "smile"]}),
            "predicts smile in None units, none",
        ),
    ],
)
def test_an_unusable_file_is_named_with_the_reason(model, broken, message):
    broken(model)
    with pytest.raises(ModelError, match=rf"model.onnx: .*{message}"):
        Predictor(model)


@pytest.mark.parametrize("location", ["../weights.bin", "{folder}/weights.bin", "link.bin"])
def test_weights_outside_of_the_models_folder_are_not_read(model, tmp_path, location):
    folder = tmp_path / "shared"
    folder.mkdir()
    moved = folder / "model.onnx"
    graph = onnx.load(model)
    weights = max(graph.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    (tmp_path / "weights.bin").write_bytes(weights.raw_data)
    (folder / "weights.bin").write_bytes(weights.raw_data)
    (folder / "link.bin").symlink_to(tmp_path / "weights.bin")
    weights.ClearField("raw_data")
    weights.data_location = onnx.TensorProto.EXTERNAL
    place = weights.external_data.add()
    place.key, place.value = "location", "weights.bin"
    moved.write_bytes(graph.SerializeToString())
    Predictor(moved)
    place.value = location.format(folder=tmp_path)
    moved.write_bytes(graph.SerializeToString())
    with pytest.raises(
        ModelError, match=r"cannot open it.*(escapes model directory|Absolute path not allowed)"
    ) as error:
        Predictor(moved)
    assert "\n" not in str(error.value)


def test_an_operator_of_another_library_is_refused_in_one_line(model):
    graph = onnx.load(model)
    graph.graph.node[0].op_type, graph.graph.node[0].domain = "Run", "other.library"
    graph.opset_import.append(onnx.helper.make_opsetid("other.library", 1))
    model.write_bytes(graph.SerializeToString())
    with pytest.raises(ModelError, match=r"other\.library:Run.* is not a registered function/op") as error:
        Predictor(model)
    assert "\n" not in str(error.value)


def test_a_file_of_absurd_size_is_refused_before_it_is_read(model):
    with model.open("r+b") as file:
        file.truncate(predictor.MAX_BYTES + 1)  # a sparse file
    with pytest.raises(ModelError, match=r"model\.onnx: is larger than 1024 MiB"):
        Predictor(model)


def test_a_model_of_other_classes_is_refused(tmp_path):
    built = networks.build("residual", 32, HEADS | {"ethnicity": 7}, 0.0, {"widths": [4], "blocks": [1]})
    export.export_onnx(built, tmp_path / "m.onnx", {"faces": json.dumps(METADATA)})
    with pytest.raises(ModelError, match="predicts ethnicity in 7 units, 5 are known here: another version"):
        Predictor(tmp_path / "m.onnx")


def test_the_command_line_prints_the_reason_in_one_line(model, tmp_path, capsys, monkeypatch):
    model.write_text("no model")
    (tmp_path / "a.jpg").write_bytes(encoded(drawing.squares(1, 0, 50)[0]))
    monkeypatch.setattr("sys.argv", ["predictor", "--model", str(model), str(tmp_path / "a.jpg")])
    with pytest.raises(SystemExit):
        predictor.main()
    assert "cannot open it" in capsys.readouterr().err.splitlines()[-1]
