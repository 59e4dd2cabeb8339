"""A run's folder in the formats of other tools: pytest-benchmark, pyperf and TensorBoard."""
