#!/usr/bin/env bash
# A sweep on a real SLURM of this machine alone, started here and taken down again.
#
#   apt-get install slurmctld slurmd slurm-client munge    # Debian's own packages
#   pip install -e '.[training,cluster]'
#   tests/cluster/slurm.sh                                 # as root, a few minutes
set -euo pipefail
cd "$(dirname "$0")/../.."

place=$(mktemp -d)
mkdir "$place/state" "$place/spool" "$place/munge"
chmod 755 "$place" "$place/munge"
finish() {
    for daemon in slurmd slurmctld munged; do
        [ -f "$place/$daemon.pid" ] && kill "$(cat "$place/$daemon.pid")" || true
    done
    sleep 1
    rm -rf "$place"
}
trap finish EXIT

head -c 1024 /dev/urandom > "$place/munge.key"
chmod 400 "$place/munge.key"
munged --force --key-file="$place/munge.key" --socket="$place/munge/socket" \
    --pid-file="$place/munged.pid" --log-file="$place/munged.log" \
    --seed-file="$place/munge.seed"

host=$(hostname -s)
# A job that is queued again waits until its credentials expire, or for two minutes.
cat > "$place/slurm.conf" <<CONF
ClusterName=sweep
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthInfo=socket=$place/munge/socket,cred_expire=10
SlurmctldPort=26817
SlurmdPort=26818
StateSaveLocation=$place/state
SlurmdSpoolDir=$place/spool
SlurmctldPidFile=$place/slurmctld.pid
SlurmdPidFile=$place/slurmd.pid
SlurmctldLogFile=$place/slurmctld.log
SlurmdLogFile=$place/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=10
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=1
MessageTimeout=30
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=60 State=UP PriorityTier=1
PartitionName=urgent Nodes=$host MaxTime=60 State=UP PriorityTier=2
CONF
export SLURM_CONF="$place/slurm.conf"
slurmctld
slurmd
for _ in $(seq 60); do
    sinfo --noheader 2> /dev/null | grep -q idle && break
    sleep 0.5
done
sinfo
python -m pytest -n 0 -p no:cacheprovider tests/cluster/slurm_sweep.py || {
    tail -n 20 "$place"/slurm*.log
    exit 1
}
