"""The one description of every file of a run and of every message: structs, reading, writing, what is wrong.

May import `task` and `machine`. In: what a worker measured, or a folder. Out: a folder, or typed records.
"""
