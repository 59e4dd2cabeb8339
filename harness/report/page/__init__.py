"""What only the HTML page has: bars and marked tables, as plain values that its templates draw."""
