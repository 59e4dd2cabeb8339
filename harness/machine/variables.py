"""Environment variables that change what is computed or how fast: what workers are not handed, and what is recorded."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from harness.machine.privacy import shorten

# What workers are not handed, by the reason.
WITHHELD_FOR = {
    "frameworks would wait for the other processes of torchrun or of a TFJob": (
        r"TF_CONFIG|(GROUP_|LOCAL_|ROLE_)?(RANK|WORLD_SIZE)|ROLE_NAME|MASTER_(ADDR|PORT)|TORCHELASTIC_\w+"
    ),
    "the recipe and the precision choose the mathematics": (
        r"JAX_(ENABLE_X64|DEFAULT_\w+|NUMPY_\w+|DEBUG_\w+|THREEFRY_\w+|RANDOM_\w+)"
        r"|(NVIDIA|TORCH)_(TF32|ALLOW_TF32_CUBLAS)_OVERRIDE|(ONEDNN|DNNL)_DEFAULT_FPMATH_MODE|TF_ENABLE_TF32\w*"
    ),
    "the implementation chooses the engine": (
        r"JAX_DISABLE_JIT|TF_XLA_FLAGS|TF_USE_LEGACY_KERAS|PYTORCH_JIT\w*|TORCH(DYNAMO|_COMPILE)_DISABLE"
    ),
    "the first step of every cell compiles anew": r"JAX_(ENABLE_)?COMPILATION_CACHE\w*|JAX_PERSISTENT_CACHE_\w+",
    "the suite pins every worker, and chooses how many threads it has": (
        r"OMP_(PROC_BIND|PLACES|THREAD_LIMIT|DYNAMIC)|(GOMP_CPU|KMP)_AFFINITY|KMP_HW_SUBSET|MKL_(DYNAMIC|DOMAIN_NUM_THREADS)"
    ),
}
WITHHELD = re.compile("|".join(WITHHELD_FOR.values()))
# The others are handed on: who sets XLA_FLAGS or TF_ENABLE_ONEDNN_OPTS measures with them, and the run says so.
RELEVANT = re.compile(
    r"(OMP|GOMP|KMP|MKL|OPENBLAS|BLIS|VECLIB|NUMEXPR|DNNL|ONEDNN|XLA|JAX|JAXLIB|KERAS|TORCH|TORCHINDUCTOR|PYTORCH|ATEN"
    r"|CUDA|CUDNN|CUBLAS|NCCL|NVIDIA|TRITON|MALLOC)_\w+"
    # Terraform has the same prefix as TensorFlow, and values that are nobody's business; TF_CONFIG has addresses.
    r"|TF_(?!CONFIG$|VAR_|CLI_|TOKEN_|LOG|DATA_DIR|WORKSPACE|INPUT|IN_AUTOMATION|PLUGIN|REGISTRY|STATE)\w+"
    r"|GLIBC_TUNABLES|LD_PRELOAD|PYTHONHASHSEED|PYTHONOPTIMIZE|PYTHONMALLOC"
)
SECRET = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|AUTH|API_?KEY|ACCESS_?KEY|PRIVATE|ADDRESS")


def describe_variables(variables: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Those that change how libraries compute and that workers are handed; never one whose name tells of a secret or
    of an address."""
    relevant = (name for name in sorted(variables) if RELEVANT.fullmatch(name) and not WITHHELD.fullmatch(name))
    return {name: shorten(variables[name]) for name in relevant if not SECRET.search(name)}


def withheld_variables(variables: Mapping[str, str] = os.environ) -> list[str]:
    """The names of those that are set here and that workers are not handed."""
    return [name for name in sorted(variables) if WITHHELD.fullmatch(name)]
