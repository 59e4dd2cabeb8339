"""The checks a backend of one's own has to pass, as a pytest suite.

python -m pytest -p harness.proof.conformance.plugin --pyargs harness.proof.conformance --backend-module numpy32
"""
