"""The client libraries that the SDK suites test: fetched by name and exact version through npm and pip, with the registries that these
are set up for, into .deps/sdk, once. Where that is not possible, Missing says why and the suites skip."""
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CACHE = os.path.join(ROOT, '.deps', 'sdk')
FETCH_SECONDS = 240
# A registry that did not answer is not asked again for so long, so that one run waits for it once.
FAILED_SECONDS = 600


class Missing(Exception):
    """A part cannot be tested on this machine; the text says why."""


def digest(*parts):
    h = hashlib.sha256()
    for part in parts:
        h.update(part.encode() + b'\0')
    return h.hexdigest()[:12]


def read(name):
    with open(os.path.join(HERE, name), encoding='utf-8') as f:
        return f.read()


def run(what, command, folder):
    """Runs a command of a package manager; Missing with what it complained of when it fails."""
    try:
        p = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=FETCH_SECONDS)
    except subprocess.TimeoutExpired:
        raise Missing('%s took longer than %d s' % (what, FETCH_SECONDS)) from None
    if p.returncode:
        said = (p.stderr or p.stdout).splitlines()
        wrong = [match.group(1) for match in (re.match(r'(?:ERROR|npm (?:error|ERR!)):?\s+(.*)', line) for line in said) if match]
        raise Missing('%s failed: %s' % (what, ' '.join(wrong or said[-1:])[:300]))


def cached(name, fill):
    """The folder .deps/sdk/NAME, made by fill(folder) if it is not there."""
    final = os.path.join(CACHE, name)
    if os.path.isdir(final):
        return final
    os.makedirs(CACHE, exist_ok=True)
    with open(final + '.lock', 'w', encoding='utf-8') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.isdir(final):
            return final
        failed = final + '.failed'
        if os.path.exists(failed) and time.time() - os.path.getmtime(failed) < FAILED_SECONDS:
            with open(failed, encoding='utf-8') as f:
                raise Missing(f.read())
        new = final + '.new'
        shutil.rmtree(new, ignore_errors=True)
        os.mkdir(new)
        try:
            fill(new)
        except Missing as e:
            shutil.rmtree(new, ignore_errors=True)
            with open(failed, 'w', encoding='utf-8') as f:
                f.write(str(e))
            raise
        os.rename(new, final)
    return final


def fill_node(folder):
    for name in ('package.json', 'package-lock.json'):
        shutil.copy(os.path.join(HERE, name), folder)
    run('npm ci', ['npm', 'ci', '--ignore-scripts', '--no-audit', '--no-fund', '--fetch-retries=1', '--fetch-timeout=20000'], folder)


def node():
    """(the node program, the folder whose node_modules has the libraries)."""
    for program in ('node', 'npm'):
        if not shutil.which(program):
            raise Missing('%s is not installed' % program)
    return shutil.which('node'), cached('node-' + digest(read('package.json'), read('package-lock.json')), fill_node)


def has_pip():
    return subprocess.run([sys.executable, '-m', 'pip', '--version'], stdin=subprocess.DEVNULL, capture_output=True).returncode == 0


def fill_python(folder):
    if has_pip():
        python = sys.executable
    else:
        venv = os.path.join(folder, '.venv')
        run('python3 -m venv (neither pip nor venv is installed?)', [sys.executable, '-m', 'venv', venv], folder)
        python = os.path.join(venv, 'bin', 'python3')
    run('pip install', [python, '-m', 'pip', 'install', '--quiet', '--no-deps', '--only-binary', ':all:', '--retries', '1',
                        '--timeout', '20', '--target', folder, '-r', os.path.join(HERE, 'requirements.txt')], folder)


def python():
    """The folder to put in front of sys.path."""
    version = 'python%d.%d-' % sys.version_info[:2]
    return cached(version + digest(read('requirements.txt')), fill_python)
