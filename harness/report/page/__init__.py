"""What only the HTML page has: its figures as SVG, and marked tables, as plain values that its templates draw."""
