"""Time packing and a search on two Ray nodes of one core each, and here: python -m benchmarks.cluster ARCHIVE.

It takes `make setup CLUSTER=1`, two cores, an archive of pictures, and a folder in which `dvc repro` has run on the
sample. The archive is packed several times over, since who needs a cluster has more: reaching it takes some seconds,
whatever there is to do. The search is that of one model, with trials of so many epochs proposed two at a time. Then,
SIMULATED from what was measured here: how long a search of many trials and the packing of IMDB's faces take by 1 to 64
workers.
"""

import argparse
import hashlib
import heapq
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import pandas as pd
from matplotlib import pyplot as plt

from benchmarks import packing
from faces import params
from faces.runtime import ray_cluster
from tests import clusters

BOUND = 1.1  # times the local engine's time
WORKERS = (1, 2, 4, 8, 16, 32, 64)
FACES = 460_000  # of IMDB
TRIALS = 200
TOGETHER = 2
BEND = 0.8  # of an even share of the work, below which more workers are called past the bend


def main() -> None:
    """Print both engines' times, then the curves, and write these to a table and a plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path, help="UTKFace.tar.gz, or any archive of its pictures")
    parser.add_argument("--model", default="utkface-cropped", help="of params.yaml, packed here")
    parser.add_argument("--trials", type=int, default=7, help="besides the defaults; 7")
    parser.add_argument("--epochs", type=int, default=8, help="of each trial; 8")
    parser.add_argument("--times", type=int, default=8, help="that the archive is packed; 8")
    parser.add_argument("--rounds", type=int, default=3, help="of both engines, in turns; 3")
    parser.add_argument("--out", type=Path, default=Path("cluster"), help="folder for simulated.csv and simulated.png")
    parser.add_argument("--pack", action="store_true", help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.pack:
        return pack_here(words.archive, words.times)
    os.environ.pop(ray_cluster.CLUSTER, None)
    packs, searches = [], []
    with clusters.started(1, 1) as cluster:
        for number in range(words.rounds):
            for address in ("", cluster.address) if number % 2 else (cluster.address, ""):
                packs.append({"where": where(address), **pack(words.archive, words.times, address)})
                print(packs[-1], flush=True)
        for number in range(words.rounds):
            for address in ("", cluster.address) if number % 2 else (cluster.address, ""):
                searches.append({"where": where(address), **search(words.model, words.trials, words.epochs, address)})
                print({key: value for key, value in searches[-1].items() if key != "trial_seconds"}, flush=True)
    assert len({row["digest"] for row in packs}) == 1, "packs differ"
    ratios = {"packing": ratio(packs), "search": ratio(searches)}
    for what, value in ratios.items():
        print(f"{what}: two nodes of one core take {value:.2f} of the local engine's time, bound {BOUND}")
    one = statistics.median(row["driver_seconds"] / row["faces"] for row in packs if row["where"] != "here")
    rate = statistics.median(row["faces"] / row["seconds"] / os.cpu_count() for row in packs if row["where"] == "here")
    lasting = [seconds for row in searches if row["where"] != "here" for seconds in row["trial_seconds"]]
    table = curves(lasting, rate, 1 / one)
    words.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(words.out / "simulated.csv", index=False)
    draw(table, words.out / "simulated.png")
    print(
        f"SIMULATED, of trials that lasted {min(lasting):.0f} to {max(lasting):.0f} s, {rate:.0f} faces/s packed by "
        f"a core, and {1 / one:.0f} faces/s read and written by the one process that gathers them:"
    )
    print(table.to_markdown(index=False))
    for name, workers in bends(table).items():
        print(f"{name}: {f'bends at {workers} workers' if workers else 'does not bend'}")
    sys.exit(any(value > BOUND for value in ratios.values()))


def where(address: str) -> str:
    """The engine in words."""
    return "cluster" if address else "here"


def ratio(rows: list[dict]) -> float:
    """Median seconds on the cluster over those here."""
    seconds = {
        name: statistics.median(row["seconds"] for row in rows if row["where"] == name) for name in ("here", "cluster")
    }
    return seconds["cluster"] / seconds["here"]


def pack(archive: Path, times: int, address: str) -> dict:
    """Pack an archive in a process of its own, as the stage does; with the seconds that it computed itself."""
    command = [sys.executable, "-m", "benchmarks.cluster", str(archive), "--times", str(times), "--pack"]
    environment = os.environ | {ray_cluster.CLUSTER: address}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def pack_here(archive: Path, times: int) -> None:
    """In that process: pack, and print what it took and came to."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        shards = packing.pack_into(Path(folder), archive, params.load().pack, times)
    seconds, used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "faces": sum(shard["faces"] for shard in shards),
                "seconds": round(seconds, 2),
                "driver_seconds": round(used.ru_utime + used.ru_stime, 2),
                "digest": hashlib.sha256(json.dumps(shards).encode()).hexdigest()[:16],
            }
        )
    )


def search(model: str, trials: int, epochs: int, address: str) -> dict:
    """The stage tune in a copy of the project: on all cores one trial after the other here, else one core a trial."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "stages").symlink_to(Path("stages").absolute())
        text = Path("params.yaml").read_text()
        settings = {
            "trials": trials,
            "trial_epochs": epochs,
            "together": TOGETHER,
            "threads": 1 if address else os.cpu_count(),
        }
        for key, value in settings.items():
            text, count = re.subn(rf"^( +{key}:) \w+", rf"\1 {value}", text, flags=re.MULTILINE)
            assert count, key
        (folder / "params.yaml").write_text(text)
        (folder / "data").mkdir()
        for part in ("packs", "splits", "lessons"):
            (folder / "data" / part).symlink_to(Path("data", part).absolute())
        began = time.perf_counter()
        running = subprocess.Popen(
            [sys.executable, "-m", "stages.tune", model],
            cwd=folder,
            env=os.environ | {ray_cluster.CLUSTER: address},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        ends: dict[int, float] = {}
        said = []
        for line in running.stderr:
            said.append(line)
            found = re.search(r"(defaults|trial (\d+) of \d+): score", line)
            if found:
                ends[int(found[2] or 0)] = time.perf_counter() - began
        if running.wait():
            sys.exit("".join(said))
        return {"seconds": time.perf_counter() - began, "trials": len(ends), "trial_seconds": lasted(ends)}


def lasted(ends: dict[int, float]) -> list[float]:
    """Seconds of each trial of rounds of TOGETHER, by when each ended, but for the first one, which starts up."""
    rounds = [range(at, min(at + TOGETHER, len(ends))) for at in range(0, len(ends), TOGETHER)]
    begins = [max(ends[trial] for trial in each) for each in rounds]
    return [ends[trial] - begin for each, begin in zip(rounds[1:], begins, strict=False) for trial in each]


def curves(trials: list[float], rate: float, gathered: float) -> pd.DataFrame:
    """Seconds by workers of one core, SIMULATED: of TRIALS trials proposed at once, or as many as there are workers at
    a time, and of packing FACES faces, at `rate` a worker and at most `gathered`, in faces a second."""
    replayed = [trials[i % len(trials)] for i in range(TRIALS)]
    rows = []
    for workers in WORKERS:
        rounds = [replayed[at : at + workers] for at in range(0, TRIALS, workers)]
        rows.append(
            {
                "workers": workers,
                "search, random (min)": scheduled(replayed, workers) / 60,
                "search, in rounds (min)": sum(map(max, rounds)) / 60,
                "packing (min)": FACES / min(rate * workers, gathered) / 60,
            }
        )
    return pd.DataFrame(rows).round(2)


def bends(table: pd.DataFrame) -> dict[str, int]:
    """Workers from which on each does less than BEND of an even share, 0 where all do more."""
    found = {}
    for name in table.columns[1:]:
        share = table[name][0] / table[name] / table["workers"]
        found[name] = int(next(iter(table["workers"][share < BEND]), 0))
    return found


def scheduled(seconds: list[float], workers: int) -> float:
    """When the last of works ends that are begun in order, each by the first worker that is free."""
    free = [0.0] * workers
    for each in seconds:
        heapq.heapreplace(free, free[0] + each)
    return max(free)


def draw(table: pd.DataFrame, path: Path) -> None:
    """How many times faster than one worker, by workers."""
    figure, axes = plt.subplots(figsize=(6, 4))
    axes.plot(WORKERS, WORKERS, color="0.8", label="even shares")
    for name in table.columns[1:]:
        axes.plot(table["workers"], table[name][0] / table[name], marker="o", label=name.rsplit(" (", 1)[0])
    axes.set(
        xscale="log", yscale="log", xlabel="workers of one core", ylabel="times faster than one", title="SIMULATED"
    )
    axes.set_xticks(WORKERS, WORKERS)
    axes.set_yticks(WORKERS, WORKERS)
    axes.legend()
    figure.savefig(path, dpi=120, bbox_inches="tight")
    plt.close(figure)


if __name__ == "__main__":
    main()
