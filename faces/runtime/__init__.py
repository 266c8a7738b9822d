"""How work runs: stages, progress, this machine's cores, a Ray cluster, DVC experiments."""
