"""The parent's side: the plan, the processors, one process a job, ranks, and the nodes of a Ray cluster.

May import `cells`, `analysis` and below, and not `report`. In: a typed request. Out: outcomes and records.
"""
