"""The worker's side, a fresh process for each cell: the jobs, training, evaluation, products, the clock on every part.

May import `proof` and below, and one framework. In: one request. Out: messages, the last with the record.
"""
