#!/usr/bin/env bash
# What a graphics card is measured by, in one go of at most 8 minutes: bash benchmarks/gpu.sh
#
# Tests that need one; a step of 1, 32 and 128 targets, wider, of ResNet18, by bfloat16 products, and
# captured by torch.compile; pictures of 1, 32 and 128 targets. Rows go to results/. Without a card:
# DEVICE=cpu bash benchmarks/gpu.sh, small, into a folder of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python}
device=${DEVICE:-cuda}
out=${OUT:-results}
sizes=1,32,128 wide=64 targets=32 many=128 data=photos iterations=300
if [ "$device" = cpu ]; then
  sizes=1 wide=8 targets=2 many=2 data=digits iterations=5
  out=${OUT:-$(mktemp -d)}
fi
step() {
  echo "== step $*"
  "$python" benchmarks/attack.py step --device "$device" --dataset $data --epochs 2 \
    --out "$out/benchmark_step.jsonl" "$@"
}
pictures() {
  echo "== pictures $*"
  "$python" benchmarks/attack.py targets --device "$device" --dataset $data --presets fast \
    --iterations $iterations --out "$out/benchmark_attack.jsonl" "$@"
}
status=0  # one that fails costs no other
tried() { "$@" || { status=1; echo "failed: $*"; }; }
tried "$python" -m pytest -q -p no:cacheprovider tests/contracts/test_devices.py
tried step --sizes $sizes
tried step --sizes $sizes --precision bfloat16
tried step --sizes $sizes --width $wide
tried step --sizes ${sizes%,*} --model resnet18
tried pictures --targets 1 --batch 1
tried pictures --first 1 --targets $targets --batch $targets
tried pictures --first 100 --targets $many --batch $many
tried step --sizes $sizes --compiled  # last, for compiling takes as long as all others
echo "rows: $out"
exit $status
