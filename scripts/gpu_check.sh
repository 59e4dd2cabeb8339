#!/usr/bin/env bash
# What PyTorch and JAX do on this machine's GPU: the proof, then `quick`, then `throughput` in every precision, into one
# folder to publish. No network and no TensorFlow are needed. docs/gpu.md says more.
#
#   scripts/gpu_check.sh FOLDER
#
# PYTHON is the interpreter (python3). The others are for trying the script where there is no GPU: DEVICE (cuda),
# PRECISIONS (float32,tf32,bfloat16), REPEATS (4) and TIME_LIMIT_S (530), after which no step but a check goes on.
set -euo pipefail

if [ $# -ne 1 ] || [ -e "$1" ]; then
    echo "usage: scripts/gpu_check.sh FOLDER, which must not exist yet" >&2
    exit 2
fi
folder=$(realpath -m "$1")
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
device=${DEVICE:-cuda}
precisions=${PRECISIONS:-float32,tf32,bfloat16}
repeats=${REPEATS:-4}
limit_s=${TIME_LIMIT_S:-530}
backends=torch,jax
failed=0

if ! missing=$("$python" -c "import harness.cli, torch, jax, flax, optax" 2>&1); then
    echo "$python: ${missing##*$'\n'}; pip install '.[torch,jax]' where there is a network" >&2
    exit 2
fi

# Runs `harness ARGUMENTS...` in the time that is left and keeps what it prints in NAME.log. What fails does not keep
# the rest from running.
step() {
    local name=$1 left_s=$((limit_s - SECONDS)) status=0
    shift
    if [ "$left_s" -le 0 ]; then
        echo "$name: not run, the $limit_s s are over" | tee "$folder/$name.log"
        failed=1
        return
    fi
    echo "$name: python -m harness $*"
    # INT ends a run as Ctrl-C does, so that what it measured is reported.
    timeout --signal=INT --kill-after=30 "$left_s" "$python" -m harness "$@" >"$folder/$name.log" 2>&1 || status=$?
    echo "$name: exit status $status after $SECONDS s in all; see $folder/$name.log"
    [ "$status" -eq 0 ] || failed=1
}

# The digests of what a run measured, as results/published/README.md wants them, and a check of its folder.
publishable() {
    local run=$folder/$1
    [ -f "$run/run.json" ] || return 0
    (cd "$run" && find . \( -name run.json -o -name ceiling.json -o -path './cells/*.json' \) -printf '%P\0' |
        sort -z | xargs -0 sha256sum >SHA256SUMS)
    step "check-$1" check "$run"
}

mkdir -p "$folder"
"$python" -m harness env >"$folder/env.txt" 2>&1 || failed=1
step verify verify --backend "$backends" --device "$device" --precision all
step quick run --backend "$backends" --device "$device" --preset quick --out "$folder/quick"
step throughput run --backend "$backends" --device "$device" --preset throughput --precision "$precisions" \
    --repeats "$repeats" --out "$folder/throughput"
# What was measured is checked even so.
limit_s=$((limit_s + 30))
publishable quick
publishable throughput
echo "done after $SECONDS s: $folder"
exit "$failed"
