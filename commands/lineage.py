"""Print the origin of a registered model: commit, uncommitted changes, params, archives, split, machine, versions."""

import json

import yaml

from commands import command_line
from faces.params import loading, renamed
from faces.tracking import candidates, lineage, origin, registry, runs, store

MAIN = ("tensorflow", "keras", "keras-tuner", "numpy", "scipy", "pandas", "scikit-learn", "onnxruntime",
        "dvc", "mlflow")  # fmt: skip


def main() -> None:
    """Print it as Markdown."""
    parser = command_line.parser(__doc__)
    parser.add_argument("model", nargs="?", help="models:/NAME@champion or models:/NAME/VERSION")
    parser.add_argument("--packages", action="store_true", help="list the versions of all packages")
    args = parser.parse_args()
    store.require_server()
    print("\n".join(markdown(args.model or default(), args.packages)))


def default() -> str:
    """The champion of faces-utkface, else of the first registered model."""
    names = sorted(model.name for model in store.open_client().search_registered_models())
    command_line.require(names, "no model is registered yet: type `dvc repro` first")
    return f"models:/{'faces-utkface' if 'faces-utkface' in names else names[0]}@champion"


def markdown(uri: str, every_package: bool = False) -> list[str]:
    """Lines of Markdown on a registered version."""
    client, version, run = registry.find_version(uri)
    tags, folder = run.data.tags, lineage.folder(version.tags.get("onnx_sha256", ""))
    kept = json.loads(runs.artifact(client, run, f"{folder}/lineage.json") or "{}")
    diff = runs.artifact(client, run, f"{folder}/{origin.DIFF}")
    changed = [line.split(" b/")[-1] for line in diff.splitlines() if line.startswith("diff --git")]
    looks = runs.count_test_evaluations(client, run)
    packages = kept.get("packages", {})
    shown = packages if every_package else {name: packages[name] for name in MAIN if name in packages}
    return [
        f"# {version.name}, version {version.version}",
        "",
        f"- model: {tags['model']}, run {run.info.run_id} ({run.info.run_name})",
        f"- commit: {kept.get('commit') or 'not in a git repository'}",
        f"- uncommitted: {', '.join(changed) or 'nothing'}" + (" (patch below)" if changed else ""),
        f"- machine: {tags['machine']}, Python {tags['python']}",
        f"- chosen by: {candidates.chosen_by(version)}",
        *([f"- started from: {tags['start_from']}"] if "start_from" in tags else []),
        f"- its test faces were used by {looks} training{'s' if looks != 1 else ''} that this store has in full (also "
        "by `make seeds` and `make leakage`, which choose nothing)",
        *("", "## Digests (sha256)", ""),
        *(f"- {key}: {value}" for key, value in kept.get("digests", {}).items()),
        *("", "## Versions", ""),
        ", ".join(f"{name} {number}" for name, number in shown.items()),
        *("", "## Promotions", ""),
        *([f"- {line}" for line in registry.promotions(client, version.name)] or ["none"]),
        *("", "## Params", ""),
        *("```yaml", yaml.safe_dump(renamed.translate(nested(run.data.params)), sort_keys=False).strip(), "```"),
        *(["", "## Uncommitted changes", "", "```diff", diff.strip(), "```"] if changed else []),
    ]


def nested(flat: dict[str, str]) -> dict:
    """Undo runs.flatten: {'train.seed': '1'} -> {'train': {'seed': 1}}."""
    values: dict = {}
    for key, value in sorted(flat.items()):
        *parents, last = key.split(".")
        section = values
        for parent in parents:
            section = section.setdefault(parent, {})
        section[last] = None if value == "None" else loading.parse(value)
    return values


if __name__ == "__main__":
    command_line.run(main)
