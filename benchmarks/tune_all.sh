#!/usr/bin/env bash
# Tune every method on one data set with the same budget, and store what was found with the package.
#   benchmarks/tune_all.sh digits 15
#   benchmarks/tune_all.sh fashion-mnist 15 --limit 5000 --recipe.epochs 15
# Seed 100: not one of those that benchmarks/behaviour.py measures with. Goes on where it stopped.
set -euo pipefail
data=$1 budget=$2
shift 2
folder=runs/tune/$data
seeds=(--seed 100 --forget_seed 100 --data_seed 100)
[ -d "$folder/original" ] || lotus train --data "$data" "$@" --seed 100 --data_seed 100 --out "$folder/original"
for method in lotus finetune neg-grad-plus random-labels bad-teacher scrub ssd salun l1-sparse gradient-ascent; do
  lotus tune "$method" --model "$folder/original" "${seeds[@]}" --forget 0.1 --budget "$budget" --out "$folder/$method"
done
mkdir -p src/lotus_unlearning/methods/tuned
cat "$folder"/*/tuned.yaml > "src/lotus_unlearning/methods/tuned/$data.yaml"
