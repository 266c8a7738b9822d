"""Search and train many models at a time, each as a DVC experiment of its own, whose outputs stay in DVC's cache.

All models of params.yaml, once as they stand, or by each of several seeds, or on each fold of split; `dvc repro`,
`make seeds` or `make folds` then train nothing. On a cluster, which FACES_CLUSTER names, as many at a time as have room
there; on one machine one after the other, unless --at-once says more.
"""

import argparse

from commands.experiments import folds, seeds
from faces import params
from faces.runtime import dvc_experiments, progress, ray_cluster


def main() -> None:
    """Bring what all need up to date, then train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", help="models of params.yaml; all unless given")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--seeds", type=int, default=0, help="train each by so many seeds, those of `make seeds`")
    what.add_argument("--folds", action="store_true", help="train each on every fold of split")
    parser.add_argument("--at-once", type=int, help="trainings at a time; as many as the cluster has room for, or 1")
    words = parser.parse_args()
    p = params.load()
    unknown = sorted(set(words.models or ()) - set(p.models))
    if unknown:
        parser.error(f"params.yaml has no models {', '.join(unknown)}; it has {', '.join(p.models)}")
    if words.at_once is not None and words.at_once < 1:
        parser.error(f"--at-once {words.at_once}: one at least")
    if words.seeds < 0:
        parser.error(f"--seeds {words.seeds}: one at least")
    models = words.models or list(p.models)
    chosen = variations(p, models, words.seeds, words.folds)
    starts, searches, runs = plan(chosen, models)
    at_once = min(words.at_once or room(p.train.threads, p.train.replicas), len(runs))
    progress.say(f"{len(runs)} trainings, {at_once} at a time")
    dvc_experiments.run("sweep-start", {}, ["split"])
    for each in (starts, searches, runs):
        dvc_experiments.run_all(each, at_once)
    for name in ("sweep-start", *starts, *searches, *runs):
        dvc_experiments.remove(name)
    progress.say(f"{len(runs)} trainings are in DVC's cache")


Runs = dict[str, tuple[dict, list[str]]]  # as side_runs.run_all takes them


def variations(p: params.Params, models: list[str], count: int, all_folds: bool) -> dict[str, dict]:
    """Settings to train models by, {label: keys of params.yaml}: of `count` seeds, of each fold, or as they stand."""
    if count:
        return {f"seed-{seed}": seeds.settings(p, models, seed) for seed in seeds.after(p, count)}
    if all_folds:
        total = folds.count(p)
        return {folds.name(fold, total): {"split.fold": fold} for fold in range(total)}
    return {"once": {}}


def plan(chosen: dict[str, dict], models: list[str]) -> tuple[Runs, Runs, Runs]:
    """What is run before, so that no two trainings do it both: splits and teachers of each variation, and searches.

    And the trainings. Seeds share the search of a model that has no teachers: it runs with the first of them.
    """
    starts = {f"sweep-{label}-start": (settings, ["split", "teach"]) for label, settings in chosen.items()}
    first, settings = next(iter(chosen.items()))
    searches = {f"sweep-{model}-{first}-search": (settings, [f"tune@{model}"]) for model in models}
    runs = {
        f"sweep-{model}-{label}": (settings, [f"train@{model}"])
        for label, settings in chosen.items()
        for model in models
    }
    return starts, searches if len(chosen) > 1 else {}, runs


def room(threads: int, replicas: int) -> int:
    """How many trainings of so many threads, and GPUs where there are some, run side by side."""
    if not ray_cluster.address():
        return 1
    cluster = ray_cluster.connect().cluster_resources()
    gpus = int(cluster.get("GPU", 0))
    return max(1, gpus // replicas or int(cluster.get("CPU", 0)) // min(threads, ray_cluster.largest_node("CPU")))


if __name__ == "__main__":
    main()
