"""What /proc says of processes."""
import os


def anonymous_kib(pids):
    """Private memory of processes, without the stores and other mapped files. Of processes that are not dumpable only root is told."""
    total = 0
    for pid in pids:
        with open('/proc/%d/smaps_rollup' % pid) as f:
            total += next(int(line.split()[1]) for line in f if line.startswith('Anonymous:'))
    return total


def cpu_seconds(*pids):
    """User and system time of all threads that there are, as the scheduler counts it. The ticks in /proc/PID/stat, for kernels that do not tell,
    are coarse: 10 ms."""
    if os.path.exists('/proc/self/schedstat'):
        return sum(thread_ns(pid, tid) for pid in pids for tid in os.listdir('/proc/%d/task' % pid)) / 1e9
    return sum(map(ticks, pids)) / os.sysconf('SC_CLK_TCK')


def thread_ns(pid, tid):
    try:
        with open('/proc/%d/task/%s/schedstat' % (pid, tid)) as f:
            return int(f.read().split()[0])
    except FileNotFoundError:
        return 0  # it has ended


def ticks(pid):
    with open('/proc/%d/stat' % pid) as f:
        fields = f.read().rpartition(')')[2].split()
    return int(fields[11]) + int(fields[12])
