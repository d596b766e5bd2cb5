#!/bin/bash
# Islands on a Slurm allocation: one Ray node per machine, the driver on the first. Submit: sbatch docs/recipes/slurm.sh
# Set CONFIG, NAME and RUNS below; islands = nodes x GPUs per node. Submitted again, or requeued, it resumes the run.
#SBATCH --job-name=ratchet
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --no-kill=on
set -euo pipefail

CONFIG=${CONFIG:-configs/islands.yaml}  # with cluster: {address: auto, islands: 32, gpus_per_island: 1}
NAME=${NAME:-islands}                   # the run folder is $RUNS/$NAME
RUNS=${RUNS:-$HOME/runs}                # used on the first machine only; must last from one job to the next
PYTHON=${PYTHON:-.venv/bin/python}      # the same install at the same path on every machine
RAY=${RAY:-.venv/bin/ray}
export RAY_USAGE_STATS_ENABLED=0

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
ip=$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | awk '{print $1}')
port=$((20000 + SLURM_JOB_ID % 20000))  # two jobs on one machine use different ports

# --no-kill and one step per machine: a lost machine takes only its islands along.
srun --nodes=1 --ntasks=1 --nodelist="$head" \
    "$RAY" start --head --block --node-ip-address="$ip" --port="$port" --include-dashboard=false &
sleep 15
for node in "${nodes[@]:1}"; do
    srun --nodes=1 --ntasks=1 --nodelist="$node" "$RAY" start --block --address="$ip:$port" &
done

export RAY_ADDRESS="$ip:$port"
if [ -f "$RUNS/$NAME/run.db" ]; then
    arguments=(resume "$RUNS/$NAME")
else
    arguments=(run "$CONFIG" run.folder="$RUNS" run.name="$NAME")
fi
srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" "$PYTHON" run_arena.py "${arguments[@]}" --quiet
