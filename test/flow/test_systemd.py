"""The unit as it is installed, under a real systemd: booted over a copy-on-write view of this machine in namespaces of its own. Skipped
where that is not to be had: not root, no systemd, no overlay, no cgroups of one's own."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import tap

SYSTEMD = '/lib/systemd/systemd'
CONFIG = '''admin: {socket: /run/aigw/ctl.sock}
listen: [{address: "127.0.0.1:8080"}]
providers:
  mock: {dialect: openai, base_url: "http://127.0.0.1:9900/v1", keys: ["file:/run/credentials/aigwd.service/openai.key"]}
models:
  m1: {context: 128000, max_output: 100, price: {input: 1, output: 2}, offers: {mock/up-m1: {priority: 1}}}
'''
BOOT = r'''
set -e
mount -t tmpfs tmpfs "$W"
mkdir -p "$W/up" "$W/work" "$W/root"
R="$W/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$W/up,workdir=$W/work" "$R"
rm -rf "$R/etc/systemd/system" "$R/var/lib/aigw"
mkdir -p "$R/etc/systemd/system" "$R$(dirname "$EXE")" "$R$(dirname "$CTL")" "$R$(dirname "$CONF")" "$R/mnt"
sed 's/^#LoadCredential=/LoadCredential=/' "$UNIT" > "$R/etc/systemd/system/aigwd.service"
cp "$D"/probe.service "$D"/probe.target "$R/etc/systemd/system/"
cp "$AIGWD" "$R$EXE"; cp "$AIGWCTL" "$R$CTL"; cp "$AIGWSIM" "$R/usr/bin/aigwsim"; cp "$D/aigw.yaml" "$R$CONF"
for lib in $LIBS; do cp -L "$lib" "$R/usr/lib/"; done
chroot "$R" ldconfig
mkdir -p "$R/etc/aigw/keys"
printf sk-mock-1 > "$R/etc/aigw/keys/openai.key"; chmod 600 "$R/etc/aigw/keys/openai.key"
grep -q '^aigw:' "$R/etc/passwd" || echo 'aigw:x:990:990::/:/usr/sbin/nologin' >> "$R/etc/passwd"
grep -q '^aigw:' "$R/etc/group" || echo 'aigw:x:990:' >> "$R/etc/group"
: > "$R/etc/machine-id"
mount -t proc proc "$R/proc"
mount -t tmpfs -o mode=755 tmpfs "$R/run"
mount -t tmpfs -o mode=755 tmpfs "$R/dev"
mknod -m 666 "$R/dev/null" c 1 3; mknod -m 666 "$R/dev/zero" c 1 5; mknod -m 666 "$R/dev/full" c 1 7
mknod -m 666 "$R/dev/random" c 1 8; mknod -m 666 "$R/dev/urandom" c 1 9; mknod -m 666 "$R/dev/tty" c 5 0
mkdir "$R/dev/shm" "$R/dev/pts" "$R/dev/mqueue" "$R/dev/hugepages"
mount -t tmpfs tmpfs "$R/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$R/dev/pts"
ln -s pts/ptmx "$R/dev/ptmx"
ln -s /proc/self/fd "$R/dev/fd"
mount --rbind /sys "$R/sys"
umount -R "$R/sys/fs/cgroup"
mount -t cgroup2 cgroup2 "$R/sys/fs/cgroup"
mkdir -p "$R$D"; mount --bind "$D" "$R$D"
ip link set lo up
cd "$R"
pivot_root . mnt
cd /
umount -l /mnt
mount --make-rshared /
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin ''' + SYSTEMD + ''' --system --unit=probe.target --show-status=no
'''
TARGET = '[Unit]\nRequires=basic.target probe.service\nAfter=basic.target\nAllowIsolate=yes\n'
SERVICE = '''[Unit]
After=basic.target
[Service]
Type=oneshot
ExecStart=/bin/bash %(d)s/probe.sh
ExecStopPost=/bin/systemctl --force --force poweroff
TimeoutStartSec=60
StandardOutput=append:%(d)s/told
StandardError=append:%(d)s/told
'''
# Each line that starts with = is looked at by the test.
PROBE = r'''
chat() {
	curl -s -o /dev/null -w "= $1 %%{http_code}\n" http://127.0.0.1:8080/v1/chat/completions -H "authorization: Bearer $K" \
		-d '{"model":"m1","messages":[{"role":"user","content":"hi"}]}'
}
users() { echo "= $1" $(ps -eo user,args | sed -n 's/^\([a-z]*\) .*\(aigwd\): \([a-z]*\).*/\1:\3/p' | sort -u); }
echo '= booted'
export PATH=%(bin)s:$PATH AIGW_CONFIG=%(conf)s
(aigwsim --listen 127.0.0.1:9900 >/dev/null 2>&1 &)
systemctl start aigwd; echo "= start $?"
echo "= status $(systemctl show aigwd -p StatusText --value)"
users users
aigwctl account create acme --credit 5 >/dev/null
# Once a second, as conservation.py does it where it can reach the node.
(while sleep 1; do aigwctl status --json | sed -n 's/.*"imbalance_usd": *\([^,}]*\).*/\1/p'; done >> %(d)s/imbalances 2>/dev/null) &
looking=$!
K=$(aigwctl key create --account acme --json | sed 's/.*"key":"\([^"]*\)".*/\1/')
chat first
systemctl reload aigwd; echo "= reload $?"
echo "= owners" $(stat -c %%U /var/lib/aigw /var/lib/aigw/ledger /var/lib/aigw/ledger/data.mdb | sort -u)
aigwctl pepper rotate > /dev/null; echo "= rotated $?"
pkill -KILL -f 'aigwd: keeper'; sleep 0.5
chat next-keeper
aigwctl account show acme > /dev/null; echo "= shown $?"
echo 'nonsense: 1' >> %(conf)s
systemctl reload aigwd; echo "= bad-reload $?"
sed -i '$d' %(conf)s
systemctl kill -s KILL --kill-who=main aigwd
chat orphans
for i in $(seq 100); do sleep 0.1; systemctl is-active -q aigwd && break; done
echo "= restarts $(systemctl show aigwd -p NRestarts --value)"
chat next-master
users next-users
systemctl restart aigwd; echo "= restart $?"
chat restarted
sleep 1.5
kill $looking; echo "= imbalances" $(sort -u %(d)s/imbalances)
systemctl stop aigwd; echo "= stop $?"
echo "= result $(systemctl show aigwd -p Result --value)"
echo "= left $(ls /run/aigw/live | wc -l) $(pgrep -c aigwd)"
systemctl start aigwd
aigwctl ledger verify --charges > /dev/null; echo "= verify $?"
echo "= charges $(aigwctl ledger verify --json | sed 's/.*"charges":\([0-9]*\).*/\1/')"
systemctl status aigwd --no-pager -l
'''


def remove_cgroup(path):
    """With all below it, once the last process in them is gone."""
    end = time.monotonic() + 5
    while os.path.exists(path):
        for folder, _, _ in os.walk(path, topdown=False):
            try:
                os.rmdir(folder)
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)


class Unit(unittest.TestCase):
    def setUp(self):
        self.unit = os.environ['UNIT']
        with open(self.unit) as f:
            self.text = f.read()
        self.dir = tempfile.mkdtemp(prefix='aigw-systemd-', dir='/var/tmp')
        self.addCleanup(shutil.rmtree, self.dir, True)
        self.exe = re.search(r'(?m)^ExecStart=(\S+)$', self.text).group(1)
        self.conf = re.search(r'(?m)^Environment=AIGW_CONFIG=(\S+)$', self.text).group(1)
        self.ctl = re.search(r'(?m)^ExecReload=(\S+) reload$', self.text).group(1)

    def explain(self):
        return self.told.split('\n')

    told = ''

    def test_is_as_the_contract_says(self):
        for line in ('Type=notify', 'KillMode=process', 'Restart=always', 'LimitNOFILE=262144', 'RuntimeDirectory=aigw',
                     'RuntimeDirectoryPreserve=yes', 'StateDirectory=aigw', 'TimeoutStopSec=630'):
            self.assertIn('\n%s\n' % line, self.text)
        self.assertRegex(self.text, r'(?m)^#LoadCredential=')

    def test_no_complaint(self):
        if not shutil.which('systemd-analyze'):
            self.skipTest('no systemd-analyze')
        path = os.path.join(self.dir, 'aigwd.service')
        with open(path, 'w') as f:
            f.write(self.text.replace(self.exe, os.environ['AIGWD']).replace(self.ctl, os.environ['AIGWCTL']))
        p = subprocess.run(['systemd-analyze', 'verify', '--man=no', path], capture_output=True, text=True)
        self.assertEqual((p.returncode, p.stdout + p.stderr), (0, ''))

    def cgroup(self):
        """A group of our own in the unified hierarchy; None where there is none to be had."""
        for root in ('/sys/fs/cgroup', '/sys/fs/cgroup/unified'):
            if os.path.exists(root + '/cgroup.procs') and os.path.exists(root + '/cgroup.subtree_control'):
                path = '%s/aigw-test-%d' % (root, os.getpid())
                try:
                    os.mkdir(path)
                    self.addCleanup(remove_cgroup, path)
                    return path
                except OSError:
                    pass

    def write(self, name, text):
        with open(os.path.join(self.dir, name), 'w') as f:
            f.write(text)

    def boot(self, cgroup):
        self.write('probe.target', TARGET)
        self.write('probe.service', SERVICE % {'d': self.dir})
        self.write('probe.sh', PROBE % {'d': self.dir, 'bin': os.path.dirname(self.ctl), 'conf': self.conf})
        self.write('aigw.yaml', CONFIG)
        self.write('boot.sh', BOOT)
        os.mkdir(self.dir + '/w')
        ldd = subprocess.run(['ldd', os.environ['AIGWD'], os.environ['AIGWCTL'], os.environ['AIGWSIM']], capture_output=True, text=True)
        libs = {p for p in re.findall(r'=> (/\S+)', ldd.stdout) if not p.startswith(('/lib', '/usr/lib'))}
        env = dict(os.environ, W=self.dir + '/w', D=self.dir, UNIT=self.unit, EXE=self.exe, CTL=self.ctl, CONF=self.conf, LIBS=' '.join(libs))
        command = ['unshare', '--net', '--mount', '--pid', '--ipc', '--uts', '--cgroup', '--fork', '--kill-child', '--propagation', 'private',
                   'bash', self.dir + '/boot.sh']
        p = subprocess.run(['sh', '-c', 'echo $$ > %s/cgroup.procs && exec "$@"' % cgroup, 'sh', *command], env=env, capture_output=True,
                           text=True, timeout=90, stdin=subprocess.DEVNULL)
        try:
            with open(os.path.join(self.dir, 'told')) as f:
                self.told = f.read()
        except FileNotFoundError:
            self.told = p.stdout + p.stderr

    def test_life_under_systemd(self):
        """Start, reload, a master killed, restart, stop: with the rights, folders and filters of the unit, and the key from systemd's
        credentials as its sample says."""
        if os.geteuid() != 0 or not os.path.exists(SYSTEMD) or not all(map(shutil.which, ('unshare', 'curl', 'ip', 'ps'))):
            self.skipTest('needs root, systemd, unshare, ip, ps and curl')
        with open('/proc/filesystems') as f:
            if '\toverlay\n' not in f.read():
                self.skipTest('no overlay file system')
        with open(os.environ['AIGWD'], 'rb') as f:
            if b'__asan_init' in f.read():
                self.skipTest('sanitizers do not run behind the filters of the unit')
        cgroup = self.cgroup()
        if not cgroup:
            self.skipTest('no cgroup to be had')
        self.boot(cgroup)
        said = dict((line[2:] + ' ').split(' ', 1) for line in self.told.split('\n') if line.startswith('= '))
        if 'booted' not in said:
            self.skipTest('systemd did not boot here')
        said = {name: text.strip() for name, text in said.items()}
        wanted = {'booted': '', 'start': '0', 'first': '200', 'reload': '0', 'owners': 'aigw', 'rotated': '0',
                  'next-keeper': '200', 'shown': '0', 'bad-reload': '1', 'orphans': '200', 'restarts': '1',
                  'next-master': '200', 'restart': '0', 'restarted': '200', 'imbalances': '0.0', 'stop': '0', 'result': 'success', 'left': '1 0', 'verify': '0',
                  'charges': '5', 'users': 'aigw:keeper aigw:worker', 'next-users': 'aigw:keeper aigw:worker'}
        self.assertEqual({name: said.get(name) for name in wanted}, wanted)
        self.assertRegex(said['status'], r'^Serving; workers: \d+, models: 1$')


if __name__ == '__main__':
    tap.main()
