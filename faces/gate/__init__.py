"""Is a change worse than the baseline, and for whom?"""
