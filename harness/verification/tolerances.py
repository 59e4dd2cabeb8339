"""How far an implementation may be from the oracle: relative errors ||a - b|| / ||b|| of one tensor, with reasons."""

from __future__ import annotations

# A float32 keeps 6e-8. Probabilities and the loss pass through about a hundred roundings each, most of which cancel:
# at most 5e-7 was measured.
FLOAT32_FORWARD = 1e-5
# Gradients, and parameters moved by them, add a backward pass and divisions by small numbers: at most 4e-6.
FLOAT32_BACKWARD = 1e-4
# Training amplifies what rounding began, RMSProp from v = 0 without clipping most. At these rates a hundred steps
# bring it to at most 2e-5, so that ten steps' tolerance still holds and no wider one is needed.
FLOAT32_HUNDRED_STEPS = 1e-4
# The oracle computes in float64 itself; the order of sums remains, at most 3e-14 after a hundred steps.
FLOAT64 = 1e-10

QUANTITIES = ("probabilities", "loss", "gradient", "after 1 step", "after 10 steps", "after 100 steps", "losses")

TOLERANCES: dict[str, dict[str, float]] = {
    "float32": {
        "probabilities": FLOAT32_FORWARD,
        "loss": FLOAT32_FORWARD,
        "gradient": FLOAT32_BACKWARD,
        "after 1 step": FLOAT32_BACKWARD,
        "after 10 steps": FLOAT32_BACKWARD,
        "after 100 steps": FLOAT32_HUNDRED_STEPS,
        # The losses of all steps belong to parameters that have moved.
        "losses": FLOAT32_HUNDRED_STEPS,
    },
    "float64": dict.fromkeys(QUANTITIES, FLOAT64),
}

PRECISIONS = tuple(TOLERANCES)

REASON_AFTER_100_STEPS = "float32 after 100 steps: rounding grows in training, to 2e-5 measured; 1e-4 as after 10."
