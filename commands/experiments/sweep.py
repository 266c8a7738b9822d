"""Search and train many models in parallel, each as a DVC experiment whose outputs stay in DVC's cache.

It trains all models of params.yaml: once as they are, with each of several seeds, or on each fold of split. Then
`dvc repro`, `make seeds` or `make folds` train nothing. On a cluster, named by FACES_CLUSTER, as many trainings run at
a time as it has resources for; on one machine they run one after the other, unless --at-once is given.
"""

from collections.abc import Iterable

from commands import command_line
from commands.experiments import variations
from faces import params
from faces.runtime import dvc_experiments, progress, ray_cluster

Runs = dict[str, tuple[dict, list[str]]]  # as dvc_experiments.run_all takes them


def main() -> None:
    """Run the stages that all models need, then train."""
    parser = command_line.parser(__doc__)
    parser.add_argument("--models", nargs="+", help="models of params.yaml (default: all)")
    variation = parser.add_mutually_exclusive_group()
    variation.add_argument("--seeds", type=int, default=0, help="train each with this number of seeds, as `make seeds`")
    variation.add_argument("--folds", action="store_true", help="train each on every fold of split")
    parser.add_argument(
        "--at-once", type=int, help="trainings at a time (default: as many as the cluster has resources for, or 1)"
    )
    args = parser.parse_args()
    p = params.load()
    models = variations.chosen_models(parser, p, args.models)
    if args.at_once is not None and args.at_once < 1:
        parser.error(f"--at-once {args.at_once}: must be at least 1")
    if args.seeds < 0:
        parser.error(f"--seeds {args.seeds}: must be at least 1")
    starts, searches, runs = plan(settings(p, models, args.seeds, args.folds), models, p.teachers)
    at_once = min(args.at_once or capacity(p.train.threads, p.train.replicas), len(runs))
    progress.say(f"{len(runs)} trainings, {at_once} at a time")
    dvc_experiments.run("sweep-start", {}, ["split"])
    for group in (starts, searches, runs):
        dvc_experiments.run_all(group, at_once)
    for name in ("sweep-start", *starts, *searches, *runs):
        dvc_experiments.remove(name)
    progress.say(f"{len(runs)} trainings are in DVC's cache")


def settings(p: params.Params, models: list[str], seeds: int, folds: bool) -> dict[str, dict]:
    """Settings to train models with, {label: keys of params.yaml}: with `seeds` seeds, on each fold, or as they are."""
    if seeds:
        return {f"seed-{seed}": keys for seed, keys in variations.seed_settings(p, models, seeds).items()}
    return variations.fold_settings(p) if folds else {"once": {}}


def plan(by_label: dict[str, dict], models: list[str], teachers: Iterable[str]) -> tuple[Runs, Runs, Runs]:
    """Runs in three steps, so that trainings share work: splits and teachers of each label, searches, trainings.

    Seeds share the search of a model that has no teachers: it runs with the first of them.
    """
    targets = ["split", "no_teachers", *(f"teachers@{name}" for name in teachers)]
    starts = {f"sweep-{label}-start": (keys, targets) for label, keys in by_label.items()}
    first, keys = next(iter(by_label.items()))
    searches = {f"sweep-{model}-{first}-search": (keys, [f"tune@{model}"]) for model in models}
    runs = {
        f"sweep-{model}-{label}": (keys, [f"train@{model}"]) for label, keys in by_label.items() for model in models
    }
    return starts, searches if len(by_label) > 1 else {}, runs


def capacity(threads: int, replicas: int) -> int:
    """Number of trainings that the cluster can run at a time.

    threads: of each training on processors; replicas: GPUs of each training where the cluster has GPUs.
    """
    if not ray_cluster.address():
        return 1
    resources = ray_cluster.connect().cluster_resources()
    gpus = int(resources.get("GPU", 0))
    return max(1, gpus // replicas or int(resources.get("CPU", 0)) // min(threads, ray_cluster.largest_node("CPU")))


if __name__ == "__main__":
    command_line.run(main)
