"""What the benchmark finds under the name numpy32. It imports nothing heavy: that waits until a cell trains."""

from backends import Backend, Support

BACKEND = Backend(
    name="numpy32",
    implementations={"idiomatic": "numpy_backend.backend"},
    packages=("numpy_backend", "numpy"),
    support={"idiomatic": Support(precisions=("float32",), wirings=(), devices=("cpu",))},
    thread_variables=("OPENBLAS_NUM_THREADS",),
)
