"""Records -> numbers: speeds, intervals, time to target, quality, comparisons. No words, no files.

May import `proof` and below. In: a `Run`. Out: its `Analysis`, made once a command by `analysis.analyse(run)`, which
has every number that a report shows.
"""
