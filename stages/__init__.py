"""The stages of dvc.yaml, one file each; nothing imports them."""
