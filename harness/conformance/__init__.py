"""The checks a backend of one's own has to pass, as a pytest suite.

python -m pytest -p harness.conformance.plugin --pyargs harness.conformance --backend-module numpy32
"""
