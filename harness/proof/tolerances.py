"""How far an implementation may be from the oracle: relative errors ||a - b|| / ||b|| of one tensor, with reasons."""

from __future__ import annotations

# Errors named below were measured with all cases and the three frameworks on a CPU (`python -m harness verify`).

# A float32 keeps 6e-8. Probabilities and the loss pass through about a hundred roundings, most of which cancel: 5e-7.
FLOAT32_FORWARD = 1e-5
# A backward pass adds as many, 3e-7. Divisions by small numbers add more: 1 - beta2^t of Adam, where it is taken in
# float32, makes it 2e-6 after ten steps.
FLOAT32_BACKWARD = 1e-4
# Training then amplifies what rounding began, to 8e-6. The cases are tame enough for a tolerance no wider than after
# ten steps: with a third of their epsilon and half again their learning rates it was 4e-5 already.
FLOAT32_HUNDRED_STEPS = 1e-4
# The oracle is float64 itself, and only the order of sums differs: 2e-15.
FLOAT64 = 1e-10

# A bfloat16 keeps 4e-3, and every factor of every product is rounded to it. The errors of many factors cancel in a
# sum: probabilities 8e-4, losses 6e-4. A gradient is a difference of such sums: 9e-3. Parameters move little: 1.2e-3.
# A fault shows as 1e-1 and more.
BFLOAT16_FORWARD = 4e-3
BFLOAT16_GRADIENT = 3e-2
BFLOAT16_PARAMETERS = 5e-3
# At a run's own size rounding errors are more, and still cancel: the momentum of a call came to 5e-6 in float32 (quick
# 5e-7, the original 1e-6, full and 1000 x 42 5e-6), 6e-3 in bfloat16 and 1e-14 in float64. So it may be as far off as a
# gradient, and so may parameters: those that start at 0 are nothing but gradients. Figures: docs/exceptions.md.
# TF32 keeps 5e-4, an eighth of that. Not measured: no GPU was at hand.
TF32_SHARE = 1 / 8

QUANTITIES = (
    "probabilities",
    "loss",
    "gradient",
    "after 1 step",
    "after 10 steps",
    "after 100 steps",
    # Of a call of train at a run's own size.
    "momentum",
    "parameters",
    "losses",
)

TOLERANCES: dict[str, dict[str, float]] = {
    "float32": {
        "probabilities": FLOAT32_FORWARD,
        "loss": FLOAT32_FORWARD,
        "gradient": FLOAT32_BACKWARD,
        "after 1 step": FLOAT32_BACKWARD,
        "after 10 steps": FLOAT32_BACKWARD,
        "after 100 steps": FLOAT32_HUNDRED_STEPS,
        "momentum": FLOAT32_BACKWARD,
        "parameters": FLOAT32_BACKWARD,
        # The losses of all steps belong to parameters that have moved.
        "losses": FLOAT32_HUNDRED_STEPS,
    },
    "float64": dict.fromkeys(QUANTITIES, FLOAT64),
    "bfloat16": {
        "probabilities": BFLOAT16_FORWARD,
        "loss": BFLOAT16_FORWARD,
        "gradient": BFLOAT16_GRADIENT,
        "after 1 step": BFLOAT16_PARAMETERS,
        "after 10 steps": BFLOAT16_PARAMETERS,
        "after 100 steps": BFLOAT16_PARAMETERS,
        "momentum": BFLOAT16_GRADIENT,
        "parameters": BFLOAT16_GRADIENT,
        "losses": BFLOAT16_FORWARD,
    },
}
TOLERANCES["tf32"] = {quantity: TF32_SHARE * value for quantity, value in TOLERANCES["bfloat16"].items()}

PRECISIONS = tuple(TOLERANCES)

REASON_AFTER_100_STEPS = "After 100 steps: rounding grows in training, but no wider tolerance is needed."
