"""Time packing and a search on two Ray nodes of one core each, and here: python -m benchmarks.cluster ARCHIVE.

It needs `make setup CLUSTER=1`, two cores, an archive of images, and a folder in which `dvc repro` has run on the
sample. The archive is packed several times, since connecting to a cluster takes some seconds for any amount of work.
The search is that of one model, with two trials proposed at a time. Then, SIMULATED from these measurements: how long
a search of many trials and the packing of IMDB's faces take with 1 to 64 workers.
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

BOUND = 1.1  # times the local executor's time
WORKERS = (1, 2, 4, 8, 16, 32, 64)
FACES = 460_000  # of IMDB
TRIALS = 200
PARALLEL_TRIALS = 2
EFFICIENCY = 0.8  # parallel efficiency below which more workers are not worth it


def main() -> None:
    """Print both executors' times, then the simulated times, and write these to a table and a plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path, help="UTKFace.tar.gz, or any archive of its images")
    parser.add_argument("--model", default="utkface-cropped", help="of params.yaml, packed here")
    parser.add_argument("--trials", type=int, default=7, help="besides the defaults; 7")
    parser.add_argument("--epochs", type=int, default=8, help="of each trial; 8")
    parser.add_argument("--times", type=int, default=8, help="how often the archive is packed; 8")
    parser.add_argument("--rounds", type=int, default=3, help="of both executors, in turns; 3")
    parser.add_argument("--out", type=Path, default=Path("cluster"), help="folder for simulated.csv and simulated.png")
    parser.add_argument("--pack", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.pack:
        return pack_here(args.archive, args.times)
    os.environ.pop(ray_cluster.CLUSTER, None)
    packs, searches = [], []
    with clusters.started(1, 1) as cluster:
        for number in range(args.rounds):
            for address in ("", cluster.address) if number % 2 else (cluster.address, ""):
                packs.append({"where": where(address), **pack(args.archive, args.times, address)})
                print(packs[-1], flush=True)
        for number in range(args.rounds):
            for address in ("", cluster.address) if number % 2 else (cluster.address, ""):
                searches.append({"where": where(address), **search(args.model, args.trials, args.epochs, address)})
                print({key: value for key, value in searches[-1].items() if key != "trial_seconds"}, flush=True)
    assert len({row["digest"] for row in packs}) == 1, "packs differ"
    ratios = {"packing": ratio(packs), "search": ratio(searches)}
    for what, value in ratios.items():
        print(f"{what}: two nodes of one core take {value:.2f} of the local executor's time, bound {BOUND}")
    one = statistics.median(row["driver_seconds"] / row["faces"] for row in packs if row["where"] != "here")
    rate = statistics.median(row["faces"] / row["seconds"] / os.cpu_count() for row in packs if row["where"] == "here")
    durations = [seconds for row in searches if row["where"] != "here" for seconds in row["trial_seconds"]]
    table = simulate(durations, rate, 1 / one)
    args.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(args.out / "simulated.csv", index=False)
    plot(table, args.out / "simulated.png")
    print(
        f"SIMULATED, from trials of {min(durations):.0f} to {max(durations):.0f} s, {rate:.0f} faces/s packed by a "
        f"core, and {1 / one:.0f} faces/s read and written by the driver:"
    )
    print(table.to_markdown(index=False))
    for name, workers in limits(table).items():
        print(f"{name}: efficiency below {EFFICIENCY} {f'from {workers} workers on' if workers else 'nowhere'}")
    sys.exit(any(value > BOUND for value in ratios.values()))


def where(address: str) -> str:
    """Name of the executor."""
    return "cluster" if address else "here"


def ratio(rows: list[dict]) -> float:
    """Median seconds on the cluster divided by those here."""
    seconds = {
        name: statistics.median(row["seconds"] for row in rows if row["where"] == name) for name in ("here", "cluster")
    }
    return seconds["cluster"] / seconds["here"]


def pack(archive: Path, times: int, address: str) -> dict:
    """Pack an archive in its own process, as the stage does; returns what pack_here prints."""
    command = [sys.executable, "-m", "benchmarks.cluster", str(archive), "--times", str(times), "--pack"]
    environment = os.environ | {ray_cluster.CLUSTER: address}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def pack_here(archive: Path, times: int) -> None:
    """Pack, and print faces, seconds, CPU seconds of this process and a digest of the shards."""
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
    """Run the stage tune in a copy of the project: here all cores for each trial, on a cluster one core."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        for part in ("stages", "faces"):
            (folder / part).symlink_to(Path(part).absolute())
        text = Path("params.yaml").read_text()
        settings = {
            "trials": trials,
            "trial_epochs": epochs,
            "parallel_trials": PARALLEL_TRIALS,
            "threads": 1 if address else os.cpu_count(),
        }
        for key, value in settings.items():
            text, count = re.subn(rf"^( +{key}:) \w+", rf"\1 {value}", text, flags=re.MULTILINE)
            assert count, key
        (folder / "params.yaml").write_text(text)
        (folder / "data").mkdir()
        for part in ("packs", "splits", "soft_targets"):
            (folder / "data" / part).symlink_to(Path("data", part).absolute())
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "stages.tune", model],
            cwd=folder,
            env=os.environ | {ray_cluster.CLUSTER: address},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        ends: dict[int, float] = {}
        lines = []
        for line in process.stderr:
            lines.append(line)
            match = re.search(r"(defaults|trial (\d+) of \d+): score", line)
            if match:
                ends[int(match[2] or 0)] = time.perf_counter() - began
        if process.wait():
            sys.exit("".join(lines))
        return {"seconds": time.perf_counter() - began, "trials": len(ends), "trial_seconds": trial_seconds(ends)}


def trial_seconds(ends: dict[int, float]) -> list[float]:
    """Seconds of each trial, from their ends, in rounds of PARALLEL_TRIALS; without the first round, the start-up."""
    starts = range(0, len(ends), PARALLEL_TRIALS)
    rounds = [range(start, min(start + PARALLEL_TRIALS, len(ends))) for start in starts]
    begins = [max(ends[trial] for trial in trials) for trials in rounds]
    return [ends[trial] - begin for trials, begin in zip(rounds[1:], begins, strict=False) for trial in trials]


def simulate(trials: list[float], rate: float, driver_rate: float) -> pd.DataFrame:
    """Minutes by workers of one core, SIMULATED, for a search of TRIALS trials and for packing FACES faces.

    The trials are proposed all at once, or as many as there are workers at a time. Packing runs at `rate` a worker and
    at most at `driver_rate`, in faces a second.
    """
    replayed = [trials[i % len(trials)] for i in range(TRIALS)]
    rows = []
    for workers in WORKERS:
        rounds = [replayed[at : at + workers] for at in range(0, TRIALS, workers)]
        rows.append(
            {
                "workers": workers,
                "search, random (min)": scheduled(replayed, workers) / 60,
                "search, in rounds (min)": sum(map(max, rounds)) / 60,
                "packing (min)": FACES / min(rate * workers, driver_rate) / 60,
            }
        )
    return pd.DataFrame(rows).round(2)


def limits(table: pd.DataFrame) -> dict[str, int]:
    """Smallest number of workers whose parallel efficiency is below EFFICIENCY, 0 where there is none."""
    workers = {}
    for name in table.columns[1:]:
        efficiency = table[name][0] / table[name] / table["workers"]
        workers[name] = int(next(iter(table["workers"][efficiency < EFFICIENCY]), 0))
    return workers


def scheduled(seconds: list[float], workers: int) -> float:
    """Total seconds of jobs that start in order, each on the first free worker."""
    free = [0.0] * workers
    for duration in seconds:
        heapq.heapreplace(free, free[0] + duration)
    return max(free)


def plot(table: pd.DataFrame, path: Path) -> None:
    """Plot the speedup over one worker by workers."""
    figure, axes = plt.subplots(figsize=(6, 4))
    axes.plot(WORKERS, WORKERS, color="0.8", label="ideal")
    for name in table.columns[1:]:
        axes.plot(table["workers"], table[name][0] / table[name], marker="o", label=name.rsplit(" (", 1)[0])
    axes.set(xscale="log", yscale="log", xlabel="workers of one core", ylabel="speedup", title="SIMULATED")
    axes.set_xticks(WORKERS, WORKERS)
    axes.set_yticks(WORKERS, WORKERS)
    axes.legend()
    figure.savefig(path, dpi=120, bbox_inches="tight")
    plt.close(figure)


if __name__ == "__main__":
    main()
