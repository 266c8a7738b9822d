"""Check params.yaml: says each fault with its line, or nothing."""

from stages.lib import params

if __name__ == "__main__":
    params.load()
