"""Records -> numbers: speeds, intervals, time to target, quality, comparisons. No words, no files.

May import `proof` and below. In: a `Run`. Out: typed numbers, each computed in one place.
"""
