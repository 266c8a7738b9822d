"""Images of all kinds give rows, unusable ones with a reason, by the model that is chosen."""

import base64
import contextlib
import csv
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import psutil
import pytest
import requests
import skimage.data
from PIL import Image

from commands import predict
from faces.images import preprocessing
from faces.inference.predictor import SHIPPED, ModelError
from faces.tracking import model_choice, models, registry, runs, store
from tests import servers
from tests.conftest import ROOT, encoded, picture

SHIPPED_FILE = ROOT / SHIPPED


@pytest.fixture(scope="module")
def face():
    """A photo of one face."""
    return Image.fromarray(skimage.data.astronaut())


@pytest.fixture
def folder(tmp_path, face):
    """Images with one face, two, none, and two that are no images; one in a folder below."""
    (tmp_path / "below").mkdir()
    face.save(tmp_path / "a.jpg")
    face.save(tmp_path / "below/b.webp")
    two = Image.new("RGB", (1000, 512), "gray")
    two.paste(face, (0, 0))
    two.paste(face.resize((400, 400)), (550, 50))
    two.save(tmp_path / "c two.png")
    (tmp_path / "d.jpg").write_bytes(b"text")
    (tmp_path / "e.jpg").write_bytes(b"")
    picture(3, (200, 300)).save(tmp_path / "f.bmp")
    (tmp_path / "notes.txt").write_text("not looked at")
    return tmp_path


def run(*words, stdin=b"", cwd=ROOT):
    """Exit status, standard output and error of the command, in this process."""
    out, error = (io.TextIOWrapper(io.BytesIO(), write_through=True) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT"):
            patch.delenv(name, raising=False)
        patch.setattr(sys, "argv", ["predict", *map(str, words)])
        for name, stream in (
            ("stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(stdin)))),
            ("stdout", out),
            ("stderr", error),
        ):
            patch.setattr(sys, name, stream)
        with pytest.raises(SystemExit) as ended:
            predict.main()
    return ended.value.code, out.buffer.getvalue().decode(), error.buffer.getvalue().decode()


def process(*words, stdin=b"", cwd=ROOT):
    """Exit status, standard output and error of the command, as it is typed."""
    environment = {key: value for key, value in os.environ.items() if key not in ("MLFLOW_TRACKING_URI", "DVC_ROOT")}
    environment["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, "-m", "commands.predict", *map(str, words)]
    done = subprocess.run(command, input=stdin, capture_output=True, cwd=cwd, env=environment, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_a_folder_gives_a_row_a_face(folder):
    status, out, _ = process(folder, "--model", SHIPPED_FILE)
    assert status == 1
    rows = list(csv.DictReader(io.StringIO(out)))
    faces = [(row["file"].removeprefix(f"{folder}/"), row["face"], row["error"]) for row in rows]
    assert faces == [
        ("a.jpg", "1", ""),
        ("below/b.webp", "1", ""),
        ("c two.png", "1", ""),
        ("c two.png", "2", ""),
        ("d.jpg", "", "is no image"),
        ("e.jpg", "", "is empty"),
        ("f.bmp", "", "no face was found"),
    ]
    first = rows[0]
    assert first["sex"] == "female"
    assert float(first["age_low"]) < float(first["age"]) < float(first["age_high"])
    assert first["age_bin"] == "25-49"
    assert sum(float(first[f"sex_p_{name}"]) for name in ("male", "female")) == pytest.approx(1, abs=1e-3)
    assert first["model"].startswith("utkface.onnx ")
    assert int(first["left"]) < 225 < int(first["right"])


def test_hidden_files_of_a_folder_are_no_images(tmp_path, monkeypatch):
    folder = tmp_path / ".cache"
    for name in ("a.jpg", "._a.jpg", ".thumbs/a.jpg", "__MACOSX/a.jpg", "set/b.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"1")
    assert list(predict.expand(str(folder))) == [str(folder / "a.jpg"), str(folder / "set/b.jpg")]
    monkeypatch.chdir(folder)
    assert list(predict.expand(".")) == ["a.jpg", "set/b.jpg"]


def test_json_lines_of_a_glob_and_of_a_cropped_face(folder, face):
    status, out, _ = run(f"{folder}/**/*.webp", "--format", "jsonl", "--model", SHIPPED_FILE)
    (row,) = map(json.loads, out.splitlines())
    assert status == 0
    assert isinstance(row["age"], float)
    assert isinstance(row["left"], int)
    face.crop((170, 55, 280, 165)).save(folder / "cropped.jpg")
    status, out, _ = run(folder / "cropped.jpg", "--cropped", "--format", "jsonl", "--model", SHIPPED_FILE)
    assert status == 0
    assert "left" not in json.loads(out)


def test_standard_input_is_a_picture_or_names(folder):
    status, out, _ = run("-", "--format", "table", "--model", SHIPPED_FILE, stdin=(folder / "a.jpg").read_bytes())
    assert status == 0
    assert out.splitlines()[1].split()[:2] == ["-", "1"]
    names = f"{folder}/a.jpg\n\n{folder}/c two.png\n{folder}/none.jpg\n"
    status, out, _ = run("-", "--format", "jsonl", "--model", SHIPPED_FILE, stdin=names.encode())
    rows = [json.loads(line) for line in out.splitlines()]
    assert status == 1
    assert [row.get("face") for row in rows] == [1, 1, 2, None]
    assert rows[-1]["error"] == "No such file or directory"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.onnx"], "none.onnx is not a file"),
        (["faces-none"], "faces-none: no model is registered here: run `dvc repro`"),
    ],
)
def test_a_missing_model_is_named(folder, words, message):
    status, out, error = run(folder, "--model", *words, cwd=folder)
    assert (status, out) == (2, "")
    assert message in error
    assert not (folder / "mlflow.db").exists()


def test_nothing_to_predict_is_an_error(tmp_path):
    status, _, error = run(tmp_path, "--model", SHIPPED_FILE)
    assert status == 2
    assert f"no image in {tmp_path}" in error
    assert run(tmp_path, "--least", "0")[0] == 2


def test_an_argument_without_an_image_is_named(folder):
    """Also an empty one, which as a path would be the present folder."""
    status, _, error = run("", "--model", SHIPPED_FILE, cwd=folder)
    assert status == 2
    assert "no image in ''" in error
    (folder / "empty").mkdir()
    words = (folder / "empty", "none/*.jpg", folder / "a.jpg", folder / "a.jpg")
    status, out, error = run(*words, "--format", "csv", "--model", SHIPPED_FILE)
    assert status == 1
    assert len(out.splitlines()) == 3
    assert f"no image in {folder}/empty none/*.jpg: their names end in" in " ".join(error.split())


def test_names_that_a_terminal_cannot_show(folder, monkeypatch):
    """Bytes of another encoding, where Python is strict, as in most locales but C; and control characters."""
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8:strict")
    name = os.fsdecode(bytes(folder) + b"/\xe9\n.jpg")
    Path(name).write_bytes((folder / "a.jpg").read_bytes())
    for form, shown in (("csv", "\\udce9\n.jpg"), ("table", "/??.jpg  1 ")):
        status, out, error = process(name, "--model", SHIPPED_FILE, "--format", form)
        assert (status, error) == (0, "")
        assert shown in out
    listed = os.fsencode(name.replace("\n", ""))
    Path(name).rename(os.fsdecode(listed))
    status, out, _ = process("-", "--model", SHIPPED_FILE, "--format", "jsonl", stdin=listed)
    assert status == 0
    assert json.loads(out)["file"] == os.fsdecode(listed)


def test_pictures_that_are_too_large_are_not_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(preprocessing, "MAX_BYTES", 100)
    (tmp_path / "a.jpg").write_bytes(bytes(101))
    assert predict.prepare(str(tmp_path / "a.jpg"), None, object(), 0.5).error == "is larger than 0 MiB"
    monkeypatch.undo()
    bomb = encoded(Image.new("1", (20_000, 12_000)), "PNG")
    (tmp_path / "b.png").write_bytes(bomb)
    assert "too many pixels" in predict.prepare(str(tmp_path / "b.png"), None, object(), 0.5).error


@pytest.fixture
def registered(tracked, tmp_path, monkeypatch):
    """A store with the shipped file registered under two names, as log and register leave one."""
    monkeypatch.chdir(tmp_path)
    for name in ("stages", "pretrained"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "data").mkdir()
    shutil.copy(SHIPPED_FILE, tmp_path / "data/model.onnx")
    for name in (model_choice.REGISTERED, "faces-utkface-sample"):
        client, experiment = store.open_experiment(name)
        run_ = runs.find_or_create(client, experiment, "m", name)
        model = models.add_model(client, run_, tmp_path / "data/model.onnx", encoded(picture()), "ab" * 32)
        version = registry.register(client, name, run_, model, {}).version
        client.set_registered_model_alias(name, "champion", version)
    return client


def test_the_champion_speaks_unless_another_is_named(registered):
    served = model_choice.find()
    assert served.version == "faces-utkface/1"
    assert served.path.read_bytes() == SHIPPED_FILE.read_bytes()
    for named in ("faces-utkface-sample/1", "faces-utkface-sample@champion"):
        assert model_choice.find(named).version == "faces-utkface-sample/1"
    for named in ("faces-utkface-sample", "models:/faces-utkface-sample/1", "models:/faces-utkface-sample@champion"):
        assert model_choice.find(named).version == "faces-utkface-sample/1"
    assert model_choice.find(str(SHIPPED)).version.startswith("utkface.onnx ")
    with pytest.raises(ModelError, match=r"models:/faces-none@champion: is not registered .* there are: faces-utkface"):
        model_choice.find("faces-none")
    registered.delete_registered_model_alias(model_choice.REGISTERED, "champion")
    assert model_choice.find().version.startswith("utkface.onnx ")  # the sample's never speaks unnamed


def test_a_folder_is_a_model_by_its_one_onnx_file(registered, tmp_path):
    logged = mlflow.artifacts.download_artifacts(f"models:/{model_choice.REGISTERED}/1")
    for folder, name in ((SHIPPED_FILE.parent, SHIPPED.name), (logged, "model.onnx")):
        assert model_choice.find(str(folder)).path.name == name
    (tmp_path / "none").mkdir()
    with pytest.raises(ModelError, match=r"none: has 0 ONNX files of models, where one is needed"):
        model_choice.find(str(tmp_path / "none"))
    for name in ("a.onnx", "a.int8.onnx", "b.onnx"):
        (tmp_path / "none" / name).touch()
    with pytest.raises(ModelError, match=r"none: has 2 ONNX files of models, where one is needed"):
        model_choice.find(str(tmp_path / "none"))


@pytest.mark.parametrize("name", [str(SHIPPED), "stages"])
def test_a_path_that_cannot_be_served_is_told(name):
    command = [sys.executable, "-m", "commands.serve", "--model", name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "only registered models, and folders with" in done.stderr.splitlines()[-1]


def test_a_registered_model_finds_faces_in_pictures(registered, face):
    model = mlflow.pyfunc.load_model(f"models:/{model_choice.REGISTERED}@champion")
    contents = [encoded(face), b"text", encoded(picture())]
    rows = model.predict(pd.DataFrame({"image": contents}))
    assert rows["image"].tolist() == [0, 1, 2]
    assert rows["error"].tolist() == ["", "is no image", "no face was found"]
    assert rows["sex"][0] == "female"
    wrapped = {"b64": base64.b64encode(contents[0]).decode()}  # as TensorFlow Serving has it
    for form in (wrapped, str(wrapped), json.dumps(wrapped)):
        assert model.predict(pd.DataFrame({"image": [form]}))["age"].tolist() == rows["age"].tolist()[:1]
    cropped = model.predict(pd.DataFrame({"image": contents[:1]}), params={"cropped": True})
    assert list(cropped) == list(rows)
    assert cropped["left"][0] is None


@pytest.fixture(scope="module")
def port():
    """Where the shipped model, or this folder's champion, is served."""
    with servers.served_model(ROOT) as port:
        yield port


def ask(port, **options):
    return requests.post(f"http://127.0.0.1:{port}/invocations", timeout=60, **options)


def server_memory(port):
    """Most bytes of memory that the process which listens at a port has had."""
    pid = next(c.pid for c in psutil.net_connections("tcp4") if c.laddr.port == port and c.status == "LISTEN")
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1]) * 1024


def test_a_request_of_a_gigabyte_is_refused_while_it_arrives(port):
    before = server_memory(port)
    for length in (f"Content-Length: {10**9}", "Transfer-Encoding: chunked"):
        head = f"POST /invocations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{length}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", port), 60) as client:
            client.sendall(head.encode())
            with contextlib.suppress(OSError):
                for _ in range(1000 if "chunked" in length else 0):
                    client.sendall(b"100000\r\n" + bytes(1 << 20) + b"\r\n")
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(12) == b"HTTP/1.1 413"
    assert server_memory(port) - before < 400 << 20
    assert requests.get(f"http://127.0.0.1:{port}/ping", timeout=60).ok


def test_a_request_of_too_many_images_is_refused(port):
    data = {"columns": ["image"], "data": [["AAAA"]] * 257}
    response = ask(port, json={"dataframe_split": data})
    assert (response.status_code, "at most 256 are taken" in response.text) == (400, True)


@pytest.mark.parametrize("type_", ["application/octet-stream", "application/vnd.apache.parquet", "", "text/plain"])
def test_a_request_of_another_type_is_refused(port, type_):
    assert ask(port, data=b"PAR1", headers={"Content-Type": type_}).status_code == 415


def test_a_param_that_the_model_does_not_have_is_refused(port):
    body = {"dataframe_split": {"columns": ["image"], "data": [["x"]]}, "params": {"croped": True}}
    response = ask(port, json=body)
    assert response.status_code == 400
    assert "'croped' is not a param of this model; it has: cropped" in response.json()["message"]


def test_a_request_that_is_nested_too_deeply_is_refused(port):
    response = ask(port, data="[" * 100_000, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.text) == (400, "The JSON is nested too deeply\n")


def test_many_requests_wait_for_each_other(port):
    body = {"dataframe_split": {"columns": ["image"], "data": [["x"]]}}
    with ThreadPoolExecutor(50) as pool:
        statuses = [*pool.map(lambda _: ask(port, json=body).status_code, range(50))]
    assert statuses == [200] * 50


def test_a_page_of_another_host_cannot_ask_the_server(port):
    """A browser that is led here by DNS rebinding sends the name of the page's host."""
    assert ask(port, json={}, headers={"Host": "elsewhere.example"}).status_code == 400
    assert "dataframe_split" in ask(port, json={}, headers={"Host": f"localhost:{port}"}).text


def test_the_server_listens_only_to_this_machine(port):
    listening = [c.laddr.ip for c in psutil.net_connections("tcp") if c.laddr.port == port and c.status == "LISTEN"]
    assert listening == ["127.0.0.1"]


def test_a_server_answers_as_the_docs_say(folder, port):
    shutil.copy(folder / "c two.png", folder / "photo.jpg")
    rows = servers.ask_as_documented(folder, port)
    assert [(row["face"], row["sex"], row["error"]) for row in rows] == [(1, "female", ""), (2, "female", "")]


def test_numbers_are_written_as_pythons_own():
    assert json.dumps({"a": np.float32(0.5), "b": np.int64(3)}, default=predict.plain) == '{"a": 0.5, "b": 3}'
