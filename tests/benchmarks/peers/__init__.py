"""What a user would write without this suite: one module a framework, library defaults throughout.

Each module's prepare(config, n_steps) reads n_steps batches from the task and returns a function that takes a number of
training steps, at most that many, and returns a loss in nats once the device has finished.
"""
