"""What only the HTML page has: charts, bars and pictures, as plain values that its templates draw."""
