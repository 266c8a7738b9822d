"""The gate: is a change worse than the baseline, and for which groups of faces?"""
