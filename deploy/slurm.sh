#!/usr/bin/env bash
# Sees to it that `make cluster-test` finds munged, slurmctld and slurmd: those of the machine, or Debian's packages.
set -euo pipefail

PATH=$PATH:/usr/sbin:/sbin
missing=()
for name in munged slurmctld slurmd sbatch; do
  command -v "$name" >/dev/null || missing+=("$name")
done
if [ ${#missing[@]} = 0 ]; then exit 0; fi

as_root=()
if [ "$(id -u)" != 0 ]; then as_root=(sudo -n); fi
if command -v apt-get >/dev/null && "${as_root[@]}" true 2>/dev/null; then
  echo 'installing munge, slurmctld, slurmd and slurm-client with apt-get; they are not configured or started'
  "${as_root[@]}" apt-get update -qq || true
  # Their services would only fail without a configuration; the test starts daemons of its own.
  if "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
    apt-get install -y -qq --no-install-recommends munge slurmctld slurmd slurm-client >/dev/null; then exit 0; fi
fi
echo "error: the cluster test needs ${missing[*]} (Debian: apt-get install munge slurmctld slurmd slurm-client)" >&2
exit 1
