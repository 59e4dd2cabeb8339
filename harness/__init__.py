"""The harness: the task, the plan, the processes, the measuring and the report. It imports no framework."""

__version__ = "0.2.0"
