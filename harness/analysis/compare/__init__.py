"""Several runs -> ratios of their speeds, differences of what they learned and of where they ran."""
