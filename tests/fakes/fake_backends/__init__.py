"""What the last backends in a module of their own are made of, until they are named faults too (faults.py)."""
