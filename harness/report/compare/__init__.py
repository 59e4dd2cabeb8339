"""A comparison of runs in a terminal, as Markdown, CSV and a plot."""
