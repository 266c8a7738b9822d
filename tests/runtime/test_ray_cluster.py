"""The pipeline on a Ray cluster of two nodes on this machine: results as without a cluster, also where parts die."""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time

import pytest
import yaml

from faces.runtime import executor, ray_cluster
from tests import clusters
from tests.stages.test_pipeline import clone, dvc, runs

MODEL = "utkface-cropped"
MINUTES = 5


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A clone with a search of three trials, two at a time, run without a cluster up to the registered model."""
    pytest.importorskip("ray", reason="`make setup CLUSTER=1` installs Ray")
    folder = clone(tmp_path_factory.mktemp("local") / "faces", trials=3)
    path = folder / "params.yaml"
    for old, new in {
        r"  parallel_trials: 1 ": "  parallel_trials: 2 ",
        r"  median_stopping_after: null": "  median_stopping_after: 1",
        r"  threads: 2 ": "  threads: 1 ",
    }.items():
        text, count = re.subn(old, new, path.read_text())
        assert count
        path.write_text(text)
    dvc(folder, "repro")
    return folder


def again(prepared, place, *without):
    """Copy the prepared clone without some of its outputs, and without links to a cache."""
    folder = place / "faces"
    shutil.copytree(prepared, folder, ignore=shutil.ignore_patterns("mlruns", "mlflow.db", ".dvc"))
    for path in without:
        target = folder / path
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    return folder


def begin(folder, stage, *words, address=""):
    """Start a stage as DVC does."""
    return python(folder, "-m", f"stages.{stage}", *words, address=address)


def python(folder, *words, address=""):
    """Start Python in a folder."""
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=folder,
        env=os.environ | {ray_cluster.CLUSTER: address, "PYTHONFAULTHANDLER": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(running):
    """Output of a stage, after it ended without an error."""
    output, _ = running.communicate(timeout=60 * MINUTES)
    assert running.returncode == 0, output
    return output


def digests(folder):
    """Checksums {path: sha256} of files."""
    files = [folder] if folder.is_file() else sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def assert_same(folder, other, path):
    """Two folders hold the same files below a path."""
    assert digests(folder / path) == digests(other / path)


def wait(condition, running):
    """Wait until a condition holds, while a stage runs."""
    end = time.monotonic() + 60 * MINUTES
    while not condition():
        assert running.poll() is None, running.stdout.read()
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.slow
def test_a_cluster_gives_the_results_of_one_machine(prepared, tmp_path, monkeypatch):
    other = clone(tmp_path / "cluster", trials=3)
    shutil.copy(prepared / "params.yaml", other)
    with clusters.started(1, 1) as cluster:
        monkeypatch.setenv(ray_cluster.CLUSTER, cluster.address)
        output = dvc(other, "repro")
    assert "on a Ray cluster of 2 nodes, 2 cores" in output
    assert yaml.safe_load((other / "dvc.lock").read_text()) == yaml.safe_load((prepared / "dvc.lock").read_text())
    assert runs(other) == runs(prepared)
    monkeypatch.delenv(ray_cluster.CLUSTER)
    assert "Running stage" not in dvc(other, "repro")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "made", "kept"),
    [
        ("tune", f"data/tuned/{MODEL}.json", "tune/*/[1-9]/epoch.npz"),
        ("train", f"data/models/{MODEL}", "train/**/epoch.npz"),
    ],
)
def test_work_is_tried_again_where_its_worker_was_killed(prepared, tmp_path, step, made, kept):
    folder = again(prepared, tmp_path, made)
    with clusters.started(1, 1) as cluster:
        running = begin(folder, step, MODEL, address=cluster.address)
        wait(lambda: list((folder / "data/partial").glob(kept)), running)
        for node in cluster.nodes:
            clusters.kill_workers(node, "_run")
        output = ended(running)
    assert re.search("its worker died .* it is tried again", output), output
    assert_same(folder, prepared, made)


@pytest.mark.slow
def test_trials_on_a_lost_node_run_on_another(prepared, tmp_path):
    folder = again(prepared, tmp_path, f"data/tuned/{MODEL}.json")
    with clusters.started(1, 1) as cluster:
        running = begin(folder, "tune", MODEL, address=cluster.address)
        wait(lambda: clusters.workers(cluster.nodes[1], "_run"), running)
        clusters.kill(cluster.nodes[1])
        ended(running)
    assert_same(folder, prepared, f"data/tuned/{MODEL}.json")


@pytest.mark.slow
def test_a_search_resumes_after_its_head_node_died(prepared, tmp_path):
    folder = again(prepared, tmp_path, f"data/tuned/{MODEL}.json")
    with clusters.started(1, 1) as cluster:
        running = begin(folder, "tune", MODEL, address=cluster.address)
        wait(lambda: list((folder / "data/partial").glob("tune/*/2")), running)
        clusters.kill(cluster.nodes[0])
        output, _ = running.communicate(timeout=60 * MINUTES)
        assert running.returncode != 0
    with clusters.started(1, 1) as cluster:
        output = ended(begin(folder, "tune", MODEL, address=cluster.address))
    for trial in ("defaults", "trial 1 of 3"):
        assert re.search(rf"{trial}: score \S+, from an earlier run", output), output
    assert_same(folder, prepared, f"data/tuned/{MODEL}.json")


PACK = ["-m", "benchmarks.cluster", "data/raw/utkface/cropped/UTKFace.tar.gz", "--times", "40", "--pack"]
FIND = """
import hashlib
from benchmarks import duplicates as benchmark
from faces.data import duplicates
pairs = duplicates.near_pairs(benchmark.draw(30_000, 0)[1], 0.82)
assert len(pairs) >= 500
print("digest", hashlib.sha256(pairs.tobytes()).hexdigest())
"""


@pytest.mark.slow
@pytest.mark.parametrize("command", [PACK, ["-c", FIND]], ids=["packing", "duplicates"])
def test_a_node_that_dies_midway_changes_no_result(prepared, command):
    digest = re.compile(r"digest\W+([0-9a-f]+)")
    alone = digest.search(ended(python(prepared, *command)))[1]
    with clusters.started(1, 1) as cluster:
        running = python(prepared, *command, address=cluster.address)
        wait(lambda: clusters.workers(cluster.nodes[1], "_call"), running)
        clusters.kill(cluster.nodes[1])
        assert digest.search(ended(running))[1] == alone


@pytest.mark.slow
def test_a_small_object_store_is_enough(prepared, tmp_path):
    folder = again(prepared, tmp_path, "data/packs/utkface/cropped")
    with clusters.started(1, 1, store=80_000_000) as cluster:
        ended(begin(folder, "pack", "utkface", "cropped", address=cluster.address))
    assert_same(folder, prepared, "data/packs/utkface/cropped")


@pytest.mark.slow
def test_nodes_with_other_packages_are_refused(prepared, tmp_path):
    folder = again(prepared, tmp_path, "data/packs/utkface/cropped")
    other = tmp_path / "other" / "keras-9.9.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: keras\nVersion: 9.9\n")
    with clusters.started(1) as cluster:
        cluster.add(1, env={"PYTHONPATH": str(other.parent)})
        running = begin(folder, "pack", "utkface", "cropped", address=cluster.address)
        output, _ = running.communicate(timeout=60 * MINUTES)
    assert running.returncode == 1
    assert re.search(r"not set up as this one: \S+ has keras 9\.9 instead of 3", output), output
    assert not (folder / "data/packs/utkface/cropped/pack.json").exists()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:1", "no cluster answers at FACES_CLUSTER=127.0.0.1:1"),
        ("ray://head:10001", "is neither auto nor HOST:PORT"),
        ("head", "is neither auto nor HOST:PORT"),
        ("no-such-host.invalid:6379", "no cluster answers"),
        ("127.0.0.1:999999", "no cluster answers"),
    ],
)
def test_an_unreachable_cluster_is_reported(monkeypatch, address, message):
    monkeypatch.setenv(ray_cluster.CLUSTER, address)
    if importlib.util.find_spec("ray") is None:
        message = "Ray is not installed: run `make setup CLUSTER=1`"
    ray_cluster.connect.cache_clear()
    with pytest.raises(SystemExit, match=re.escape(message)):
        list(executor.map_ordered(len, ["a"]))


def test_a_missing_ray_is_reported_with_the_remedy(monkeypatch):
    monkeypatch.setenv(ray_cluster.CLUSTER, "auto")
    monkeypatch.setitem(sys.modules, "ray", None)
    ray_cluster.connect.cache_clear()
    with pytest.raises(SystemExit, match="make setup CLUSTER=1"):
        list(executor.map_ordered(len, ["a"]))


def test_one_machine_needs_no_ray(monkeypatch):
    monkeypatch.delenv(ray_cluster.CLUSTER, raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    assert list(executor.map_ordered(len, ["a", "bb"])) == [1, 2]
    messages = []
    done = executor.run_jobs(lambda item, send: send(item) or item * 2, [1, 2], lambda *m: messages.append(m), 1)
    assert list(done) == [(0, 2), (1, 4)]
    assert messages == [(0, 1), (1, 2)]
