"""Runs the tests of one JavaScript file against an SdkNode, and last of all looks at the books. The file gets what it needs to know as
JSON in AIGW_TEST; what its tests came to it writes to descriptor 3, one JSON line each (harness.mjs)."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import kit
import sdk
import node
import tap

SECONDS = 240


def needs_newer_node(program, folder, packages):
    """Missing when a package says that it does not run with this Node.js."""
    have = int(subprocess.run([program, '-p', 'process.versions.node'], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              check=True).stdout.split('.')[0])
    for name in packages:
        with open(os.path.join(folder, 'node_modules', name, 'package.json'), encoding='utf-8') as f:
            wanted = json.load(f).get('engines', {}).get('node', '')
        least = wanted.replace('>=', '').strip().split('.')[0]
        if wanted.startswith('>=') and int(least) > have:
            raise kit.Missing('%s needs Node.js %s, this is %d' % (name, least, have))


def folder_for(folder, name):
    """A folder from which the file finds the libraries as any program does."""
    made = tempfile.mkdtemp(prefix='aigw-sdk-')
    for file in ('harness.mjs', name + '.mjs'):
        shutil.copy(os.path.join(kit.HERE, 'js', file), made)
    os.symlink(os.path.join(folder, 'node_modules'), os.path.join(made, 'node_modules'))
    return made


def run_tests(program, made, name, gateway, report):
    facts = {'url': gateway.url, 'keys': gateway.keys, 'sim': 'http://127.0.0.1:%d' % gateway.sim.port, 'backs': list(node.BACKS),
             'ctl': os.environ['AIGWCTL'], 'socket': gateway.socket, 'log': gateway.log_path}
    out, into = os.pipe()
    env = {k: v for k, v in os.environ.items() if not k.lower().endswith('_proxy')}
    env['AIGW_TEST'] = json.dumps(facts)
    env['AIGW_TEST_FD'] = str(into)
    p = subprocess.Popen(['timeout', str(SECONDS), program, os.path.join(made, name + '.mjs')], stdin=subprocess.DEVNULL,
                         stdout=sys.stderr, env=env, pass_fds=(into,))
    os.close(into)
    with open(out, encoding='utf-8') as f:
        for line in f:
            result = json.loads(line)
            report.test(result['name'], result['error'], gateway.tail())
    if p.wait():
        report.test('%s.mjs runs to its end' % name, 'exit status %d' % p.returncode, gateway.tail())


def main(name, packages):
    try:
        program, folder = kit.node()
        needs_newer_node(program, folder, packages)
    except kit.Missing as e:
        sdk.skip(e)
    report = tap.Report()
    made = folder_for(folder, name)
    gateway = sdk.SdkNode()
    try:
        run_tests(program, made, name, gateway, report)
        report.run('books are right and no secret shows', gateway.check_books, gateway.tail)
    finally:
        gateway.close()
        shutil.rmtree(made)
    report.end()


if __name__ == '__main__':
    main(sys.argv[1], sys.argv[2:])
