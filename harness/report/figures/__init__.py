"""Figures: each a function to a matplotlib Figure, drawn once, saved as PNG for the folder and as SVG for the page."""
