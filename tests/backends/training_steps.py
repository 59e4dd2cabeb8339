"""What each framework would have a GPU do in a training step, as far as a machine without one can tell.

Run in a process of its own: `python -m tests.backends.training_steps FRAMEWORK IMPLEMENTATION` prints it as JSON.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np

from backends import find_backend
from backends.contract import Chunk, ModelSpec, OptimizerSpec

MODEL = ModelSpec(inputs=3, outputs=2, hidden=4, layers=3)
K, ROWS, TIME_STEPS = 2, 5, 6


def build(framework: str, implementation: str) -> Any:
    module = importlib.import_module(find_backend(framework).implementations[implementation])
    parameters = {name: np.zeros(shape, np.float32) for name, shape in MODEL.shapes().items()}
    return module.build(MODEL, OptimizerSpec(clip="norm"), parameters, device="cpu", precision="float32")


def build_by_cudnn() -> Any:
    """What TensorFlow's tuned implementation builds on a GPU, where Keras believes in one: to be traced, not run."""
    from backends.tensorflow.tuned import CudnnTensorFlowTrainer

    parameters = {name: np.zeros(shape, np.float32) for name, shape in MODEL.shapes().items()}
    mock.patch("tensorflow.config.list_logical_devices", return_value=[object()]).start()
    return CudnnTensorFlowTrainer(MODEL, OptimizerSpec(clip="norm"), parameters, "cpu", "float32", None)


def chunk() -> Chunk:
    inputs, targets = (np.zeros((K, ROWS, TIME_STEPS, n), np.float32) for n in (MODEL.inputs, MODEL.outputs))
    return Chunk(inputs, targets, np.full(K, 1e-3, np.float32))


def jax_step(trainer: Any, implementation: str) -> dict[str, Any]:
    """From the step's StableHLO, lowered for CUDA."""
    module, batches = sys.modules[type(trainer).__module__], chunk()
    arrays = (batches.inputs, batches.targets, batches.learning_rates)
    if implementation == "tuned":
        state = trainer.arrays, trainer.averages
        settings = trainer._mesh(ROWS), trainer.network, trainer.optimizer
        traced = module.train_steps.trace(*settings, *state, *arrays)
    else:
        traced = module.train_step.trace(None, trainer.network, trainer.optimizer, *(array[0] for array in arrays))
    text = traced.lower(lowering_platforms=("cuda",)).as_text()
    products = [line for line in text.splitlines() if "stablehlo.dot_general" in line]
    return {
        "precisions": sorted({found for line in products for found in re.findall(r"precision = \[(.*?)\]", line)}),
        "products": len(products),
        "without": sum("precision = [" not in line for line in products),
        "float64": [line for line in text.splitlines() if re.search(r"\bf64|xf64", line)],
        "loops": text.count("stablehlo.while"),
    }


def tensorflow_step(trainer: Any, implementation: str) -> dict[str, Any]:
    """From the graph of the step's concrete function, before XLA or a device takes it."""
    import tensorflow as tf

    shapes = [(ROWS, TIME_STEPS, MODEL.inputs), (ROWS, TIME_STEPS, MODEL.outputs), ()]
    step = trainer._train_step if implementation == "idiomatic" else trainer._train_steps
    leading = () if implementation == "idiomatic" else (K,)
    graph = step.get_concrete_function(*(tf.TensorSpec(leading + shape, tf.float32) for shape in shapes)).graph
    definition = graph.as_graph_def()
    functions = definition.library.function
    nodes = [*definition.node, *(node for function in functions for node in function.node_def)]

    def types(node: Any) -> Iterator[int]:
        for value in node.attr.values():
            yield from (value.type, *value.list.type)

    return {
        "products": sum(node.op == "MatMul" for node in nodes),
        "cudnn": [sum(node.op == name for node in nodes) for name in ("CudnnRNNV3", "CudnnRNNBackpropV3")],
        "float64": [node.name for node in nodes if tf.float64.as_datatype_enum in types(node)],
        "loops": sum(node.op in ("While", "StatelessWhile") for node in nodes),
        "XLA": any("_XlaMustCompile" in function.attr for function in functions),
        "tf32": tf.config.experimental.tensor_float_32_execution_enabled(),
    }


def torch_step(trainer: Any, implementation: str) -> dict[str, Any]:
    """From every operation that PyTorch dispatches while it trains."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    operations: list[tuple[str, set[torch.dtype]]] = []

    class Recorder(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, torch.Tensor)]
            operations.append((str(func), {tensor.dtype for tensor in tensors}))
            return result

    with Recorder():
        trainer.train(chunk())
    return {
        "operations": len(operations),
        "float64": sorted({name for name, dtypes in operations if torch.float64 in dtypes}),
        "fused updates": sum("_fused_adam_" in name for name, _ in operations),
        "tf32": torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32,
    }


if __name__ == "__main__":
    framework, implementation = sys.argv[1:]
    observe = {"jax": jax_step, "tensorflow": tensorflow_step, "torch": torch_step}[framework]
    trainer = build_by_cudnn() if implementation == "cudnn" else build(framework, implementation)
    print(json.dumps(observe(trainer, implementation)))
