"""Promote a model by hand: register it where it is not yet, and make it champion, with a reason.

The gate does not decide here. A model that is no better than the dummy baseline on a target is never promoted.
"""

from pathlib import Path

from commands import command_line
from faces import params
from faces.inference.predictor import SHIPPED
from faces.tracking import candidates, registry, store


def main() -> None:
    """Register and promote."""
    parser = command_line.parser(__doc__)
    parser.add_argument("model", help=f"model of params.yaml, models:/NAME/VERSION, or {SHIPPED.parent}")
    parser.add_argument("why", help="reason; `make lineage` shows it")
    args = parser.parse_args()
    if not args.why.strip():
        parser.error("a reason is needed")
    p = params.load()
    store.require_server()
    if args.model.startswith("models:/"):
        client, version, _ = registry.find_version(args.model)
    elif Path(args.model).resolve() in (SHIPPED.resolve(), SHIPPED.parent.resolve()):
        client, version = candidates.register_shipped()
    elif args.model in p.models:
        trained = Path("reports/models", args.model, "summary.json")
        command_line.require(trained.exists(), f"{args.model} has no results yet: type `dvc repro` first")
        client, version = candidates.register(args.model, p.models[args.model], p.register_.metric)
    else:
        known = f"model of params.yaml ({', '.join(p.models)}), models:/NAME/VERSION or {SHIPPED.parent}"
        parser.error(f"{args.model}: is no {known}")
    champion = registry.version_by_alias(client, version.name, "champion")
    uri = f"models:/{version.name}/{version.version}"
    if champion is not None and str(champion.version) == str(version.version):
        print(f"{uri} is the champion already")
        return
    objection = candidates.objection(version)
    command_line.require(not objection, f"{uri} is not promoted: {objection}")
    with store.lock():
        registry.promote(client, version.name, str(version.version), champion, f"by hand: {args.why.strip()}")
    before = f"; before, it was version {champion.version}" if champion is not None else ""
    print(f"{uri} is the champion now{before}")


if __name__ == "__main__":
    command_line.run(main)
