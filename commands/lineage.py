"""Print the origin of a registered model: commit, uncommitted changes, params, archives, split, machine, versions."""

import argparse
import json

import yaml

from faces.params import renamed
from faces.tracking import lineage, origin, registry, runs, store

MAIN = ("tensorflow", "keras", "keras-tuner", "numpy", "scipy", "pandas", "scikit-learn", "onnxruntime", "crepes",
        "dvc", "mlflow")  # fmt: skip


def main() -> None:
    """Print it as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", help="models:/NAME@champion or models:/NAME/VERSION")
    parser.add_argument("--packages", action="store_true", help="list the versions of all packages")
    args = parser.parse_args()
    print("\n".join(markdown(args.model or default(), args.packages)))


def default() -> str:
    """The champion of faces-utkface, else of the first registered model."""
    names = sorted(model.name for model in store.open_client().search_registered_models())
    if not names:
        raise SystemExit("no model is registered yet: type `dvc repro` first")
    return f"models:/{'faces-utkface' if 'faces-utkface' in names else names[0]}@champion"


def markdown(uri: str, every_package: bool = False) -> list[str]:
    """Lines of Markdown on a registered version."""
    client, version, run = registry.find_version(uri)
    tags = run.data.tags
    folder = lineage.folder(version.tags.get("onnx_sha256", ""))
    kept = json.loads(runs.artifact(client, run, f"{folder}/lineage.json") or "{}")
    diff = runs.artifact(client, run, f"{folder}/{origin.DIFF}")
    lines = [f"# {version.name}, version {version.version}", ""]
    lines += [f"- model: {tags['model']}, run {run.info.run_id} ({run.info.run_name})"]
    lines += [f"- commit: {kept.get('commit') or 'not in a git repository'}"]
    changed = [line.split(" b/")[-1] for line in diff.splitlines() if line.startswith("diff --git")]
    lines += [f"- uncommitted: {', '.join(changed) or 'nothing'}" + (" (patch below)" if changed else "")]
    lines += [f"- machine: {tags['machine']}, Python {tags['python']}"]
    lines += [f"- chosen by: {version.tags['score']} {float(version.tags['val']):.4f} on validation"]
    looks = runs.count_test_evaluations(client, run)
    lines += [
        f"- its test faces were used by {looks} training{'s' if looks != 1 else ''} that this store has in full (also "
        "by `make seeds` and `make leakage`, which choose nothing)"
    ]
    lines += ["", "## Digests (sha256)", ""]
    lines += [f"- {key}: {value}" for key, value in kept.get("digests", {}).items()]
    lines += ["", "## Versions", ""]
    packages = kept.get("packages", {})
    shown = packages if every_package else {name: packages[name] for name in MAIN if name in packages}
    lines += [", ".join(f"{name} {number}" for name, number in shown.items())]
    lines += ["", "## Promotions", ""]
    lines += [f"- {line}" for line in registry.promotions(client, version.name)] or ["none"]
    values = renamed.translate(nested(run.data.params))
    lines += ["", "## Params", "", "```yaml", yaml.safe_dump(values, sort_keys=False).strip(), "```"]
    if changed:
        lines += ["", "## Uncommitted changes", "", "```diff", diff.strip(), "```"]
    return lines


def nested(flat: dict[str, str]) -> dict:
    """Undo runs.flatten: {'train.seed': '1'} -> {'train': {'seed': 1}}."""
    values: dict = {}
    for key, value in sorted(flat.items()):
        *parents, last = key.split(".")
        section = values
        for parent in parents:
            section = section.setdefault(parent, {})
        section[last] = None if value == "None" else yaml.safe_load(value)
    return values


if __name__ == "__main__":
    main()
