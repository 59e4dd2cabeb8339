"""JAX with flax.nnx and optax."""
