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
    """User and system time; the kernel's ticks are coarse."""
    total = 0
    for pid in pids:
        with open('/proc/%d/stat' % pid) as f:
            fields = f.read().rpartition(')')[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf('SC_CLK_TCK')
