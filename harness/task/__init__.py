"""The copy task, its measures, recipes and presets: pure functions, and all randomness.

May import `machine`. In: a preset's name or a recipe's keys. Out: batches, measures and a checked `RunConfig`.
"""
