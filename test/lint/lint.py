#!/usr/bin/env python3
"""Checks the house rules that a compiler does not: floors, sizes, banned calls, guards, words, formatting, shell syntax.

    test/lint/lint.py [--root FOLDER] [RULE...]

Prints file:line: rule: what is wrong, then "N passed, N failed", counted in rules. A new rule is a function in RULES and a bad
file in test_lint.py that shows that it fires.
"""
import argparse
import ast
import fnmatch
import os
import re
import shutil
import subprocess
import sys

FUNCTION_LINES = 70
FILE_LINES = 700
HEADER_LINES = 150

# The floors, lowest first: what each folder may include from besides itself. test/ may include from everywhere.
STORE = ['shared/store/record', 'shared/store/live', 'shared/store/ledger', 'shared/store']
SHARED = ['shared/base', 'shared/format', 'shared/model'] + STORE + ['shared/ipc']
FLOORS = {
    'shared/base': [],
    'shared/format': SHARED[:1],
    'shared/model': SHARED[:2],
    'shared/store/record': SHARED[:3],
    'shared/store/live': SHARED[:4],
    'shared/store/ledger': SHARED[:5],
    'shared/store': SHARED[:6],
    'shared/ipc': SHARED[:7],
    'worker/net': SHARED,
    'worker/http': SHARED + ['worker/net'],
    'worker/dialect': SHARED[:3],
    'worker/call': SHARED + ['worker/net', 'worker/http', 'worker/dialect'],
    'worker': SHARED + ['worker/net', 'worker/http', 'worker/dialect', 'worker/call'],
    'master/keeper': SHARED,
    'master': SHARED,
    'admin-cli': ['shared/base', 'shared/format', 'shared/model', 'shared/ipc'],
}
# main.c picks the role of the process.
FLOOR_EXCEPTIONS = {'master/main.c': ['worker.h', 'keeper.h']}

# A library is used behind one file or folder.
LIBRARY_HEADERS = {
    'lmdb.h': ['shared/store/*'],
    'msgpack.h': ['shared/format/mpack.c'],
    'msgpack/*': ['shared/format/mpack.c'],
    'llhttp.h': ['shared/format/http1.c'],
    'yyjson.h': ['shared/format/json.*'],
    'yaml.h': ['shared/format/yaml.c'],
    'mbedtls/*': ['worker/net/tls*.[ch]', 'worker/net/xport_tls.c', 'shared/format/digest.c'],
    'psa/*': ['worker/net/tls*.[ch]', 'worker/net/xport_tls.c', 'shared/format/digest.c'],
    'uv.h': ['worker/*', 'master/*'],
}
UV_NEVER = 'worker/dialect/*'

BANNED = {
    'strcpy': 'copy slices or use a buf', 'strcat': 'use a buf', 'sprintf': 'use buf_printf or snprintf',
    'vsprintf': 'use vsnprintf', 'strtok': 'use slices', 'atoi': 'use the checked parsers of slice.h',
    'atol': 'use the checked parsers of slice.h', 'gets': 'there is no safe use', 'alloca': 'use an arena',
    'assert': 'use require() or check_fails()', 'system': 'no shell has a hand in it', 'popen': 'no shell has a hand in it',
}
MEMORY_CALLS = ['malloc', 'calloc', 'realloc', 'free', 'strdup', 'strndup', 'asprintf']
MEMORY_FILE = 'shared/base/mem.c'

# Bracketed so that this list does not find itself. Addresses come from the machine's own settings.
WORDS = {
    r'd[e]b\.debian\.org|security\.d[e]bian\.org|registr[y]\.npmjs|p[y]pi\.org|pythonh[o]sted\.org|crates\.i[o]|pr[o]xy\.golang':
        'a package registry is named',
    r'/wor[k]/|/tm[p]/(wt|plan|deps)\b|/hom[e]/[a-z]|(?<![\w}"*])/roo[t]/': 'a path of somebody\'s machine',
    r'\b(TO[D]O|FIX[M]E|XX[X]|HAC[K])\b': 'a mark of unfinished work',
}


class File:
    def __init__(self, root, path):
        self.path = path
        self.folder = os.path.dirname(path)
        with open(os.path.join(root, path), 'rb') as f:
            data = f.read()
        self.is_text = b'\0' not in data[:8192]
        self.text = data.decode('utf-8', 'replace') if self.is_text else ''
        self.lines = self.text.splitlines()
        self.is_c = path.endswith(('.c', '.h'))
        self.code = code_only(self.text).splitlines() if self.is_c else []


def code_only(text):
    """C without comments and the insides of strings and character constants; lines stay where they are."""
    pattern = r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''

    def blank(match):
        found = match.group(0)
        if found[0] == '/':
            return ' ' + '\n' * found.count('\n')
        return found[0] + found[0]
    return re.sub(pattern, blank, text, flags=re.DOTALL)


def includes(file, form):
    for n, line in enumerate(file.lines, 1):
        match = re.match(r'\s*#\s*include\s*' + form, line)
        if match:
            yield n, match.group(1)


def floor_of(folder):
    return folder if folder in FLOORS else None


def rule_floors(tree):
    """A file includes only from the floors below its own."""
    owners = {}
    for file in tree.c_files():
        if file.path.endswith('.h') and floor_of(file.folder):
            owners.setdefault(os.path.basename(file.path), []).append(file.folder)
    for file in tree.c_files():
        for n, name in includes(file, '"([^"]+)"'):
            if '/' in name:
                yield file, n, 'include by the name alone, not by "%s"' % name
                continue
            floor = floor_of(file.folder)
            if floor is None or name in FLOOR_EXCEPTIONS.get(file.path, []):
                continue
            from_folders = owners.get(name, [])
            if from_folders and not set(from_folders) & set(FLOORS[floor] + [floor]):
                yield file, n, '%s stands in %s, which %s may not include from' % (name, from_folders[0], floor)


def rule_libraries(tree):
    """A library's header is included only behind its one file or folder."""
    for file in tree.c_files():
        if file.path.startswith('test/'):
            continue
        for n, name in includes(file, '[<"]([^>"]+)[>"]'):
            for header, places in LIBRARY_HEADERS.items():
                if not fnmatch.fnmatchcase(name, header):
                    continue
                if not any(fnmatch.fnmatchcase(file.path, place) for place in places) or \
                        (name == 'uv.h' and fnmatch.fnmatchcase(file.path, UV_NEVER)):
                    yield file, n, '<%s> belongs into %s alone' % (name, ', '.join(places))


def rule_sizes(tree):
    """Functions, files and headers have limits; tables of rows are data."""
    for file in tree.c_files():
        if file.path.endswith('.h') and not file.path.endswith('_tbl.h') and len(file.lines) > HEADER_LINES:
            yield file, HEADER_LINES + 1, 'the header has %d lines, the limit is %d' % (len(file.lines), HEADER_LINES)
        if len(file.lines) > FILE_LINES:
            yield file, FILE_LINES + 1, 'the file has %d lines, the limit is %d' % (len(file.lines), FILE_LINES)
        start = None
        for n, line in enumerate(file.lines, 1):
            if line.startswith('{'):
                start = n
            elif line.startswith('}') and start:
                if n - start > FUNCTION_LINES:
                    yield file, start, 'the function has %d lines, the limit is %d' % (n - start, FUNCTION_LINES)
                start = None


def rule_banned(tree):
    """Calls that have no safe use here, memory outside of mem.c, typedefs that hide structs."""
    calls = re.compile(r'(?<![\w.>])(%s)\s*\(' % '|'.join(list(BANNED) + MEMORY_CALLS))
    for file in tree.c_files():
        for n, line in enumerate(file.code, 1):
            for name in calls.findall(line):
                if name in BANNED:
                    yield file, n, '%s(): %s' % (name, BANNED[name])
                elif file.path != MEMORY_FILE:
                    yield file, n, '%s(): memory is taken and given back by mem.h' % name
            if re.match(r'\s*typedef\s+(struct|union)\b', line):
                yield file, n, 'no typedef for structs'


def rule_guards(tree):
    """A header, but for tables that are meant to be included often, has an include guard."""
    for file in tree.c_files():
        if file.path.endswith('.h') and not file.path.endswith('_tbl.h'):
            guard = re.search(r'^\s*#\s*ifndef\s+(\w+)\s*\n\s*#\s*define\s+(\w+)\s*$', '\n'.join(file.code), re.MULTILINE)
            if not guard or guard.group(1) != guard.group(2):
                yield file, 1, 'no include guard'


def rule_built(tree):
    """A source file is named by the meson.build of its folder, tests perhaps without their prefix."""
    for file in tree.c_files():
        build = tree.get(os.path.join(file.folder, 'meson.build'))
        stem = os.path.basename(file.path)[:-2]
        names = '|'.join(re.escape(name) for name in {stem, re.sub('^(test|fuzz)_', '', stem)})
        if file.path.endswith('.c') and build and not re.search(r"['/](%s)(\.c)?'" % names, build.text):
            yield file, 1, 'no meson.build names it'


def rule_run(tree):
    """A flow test is registered in test/flow/meson.build, among those that run alone where it has tests that must."""
    build = tree.get('test/flow/meson.build')
    names = {name: set(re.findall(r"'(\w+)'", found)) for name, found in re.findall(r'^(flow_\w+) = [\[{]\n(.*?)^[\]}]', build.text, re.DOTALL | re.MULTILINE)} if build else {}
    for file in tree.files:
        match = re.fullmatch(r'test/flow/test_(\w+)\.py', file.path)
        if not match or not build:
            continue
        marks = [n for n, line in enumerate(file.lines, 1) if line.strip() == '@tap.alone']
        if marks and match.group(1) not in names['flow_alone']:
            yield file, marks[0], 'flow_alone does not name it'
        if match.group(1) not in names['flow_tests'] | names['flow_alone']:
            yield file, 1, 'flow_tests does not name it'


def rule_words(tree):
    """Names of registries and machines, and marks of unfinished work, stay out."""
    for file in tree.files:
        for n, line in enumerate(file.lines, 1):
            for pattern, what in WORDS.items():
                match = re.search(pattern, line)
                if match:
                    yield file, n, '%s: "%s"' % (what, match.group(0))


def rule_scripts(tree):
    """Shell and Python files parse."""
    for file in tree.files:
        first = file.lines[0] if file.lines else ''
        shell = re.match(r'#!.*\b(bash|sh)$', first)
        if shell or file.path.endswith('.sh'):
            run = subprocess.run([shell.group(1) if shell else 'sh', '-n', os.path.join(tree.root, file.path)],
                                 capture_output=True, text=True)
            if run.returncode:
                yield file, 1, run.stderr.strip()
        if file.path.endswith('.py') or first.endswith('python3'):
            try:
                ast.parse(file.text)
            except SyntaxError as error:
                yield file, error.lineno or 1, error.msg


def rule_format(tree):
    """clang-format 14 would change nothing (other versions differ in small things, so they do not count)."""
    program = shutil.which('clang-format-14') or shutil.which('clang-format')
    if not program or ' 14.' not in subprocess.run([program, '--version'], capture_output=True, text=True).stdout:
        raise Skipped('there is no clang-format 14')
    files = {file.path: file for file in tree.c_files() if not file.path.endswith('_tbl.h')}
    if not files:
        return
    paths = sorted(files)
    runs = [subprocess.Popen([program, '--dry-run', '-style=file'] + paths[start::2], cwd=tree.root, stderr=subprocess.PIPE,
                             text=True) for start in (0, 1) if paths[start::2]]
    told = set()
    for run in runs:
        for path, n in re.findall(r'^(\S+?):(\d+):\d+: (?:warning|error): code should be clang-formatted',
                                  run.communicate()[1], re.MULTILINE):
            if path not in told:
                told.add(path)
                yield files[path], int(n), 'not as clang-format writes it (first of several places)'


class Skipped(Exception):
    """The rule cannot be checked here; the text says why."""


class Tree:
    def __init__(self, root, paths):
        self.root = root
        self.files = [File(root, path) for path in sorted(paths) if os.path.isfile(os.path.join(root, path))]
        self.by_path = {file.path: file for file in self.files}

    def get(self, path):
        return self.by_path.get(path)

    def c_files(self):
        return [file for file in self.files if file.is_c and not file.path.startswith('subprojects/')]


def tracked(root):
    """Every file of the project: what git knows or would add; of an unpacked archive all."""
    if shutil.which('git'):
        out = subprocess.run(['git', '-C', root, 'ls-files', '-co', '--exclude-standard', '-z'], capture_output=True, text=True)
        if out.returncode == 0:
            return [path for path in out.stdout.split('\0') if path]
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name != '.git' and not re.match(r'(build.*|\.deps|\.dev)$', name)]
        found += [os.path.relpath(os.path.join(folder, name), root) for name in names]
    return found


RULES = {
    'floors': rule_floors, 'libraries': rule_libraries, 'sizes': rule_sizes, 'banned': rule_banned, 'guards': rule_guards,
    'built': rule_built, 'run': rule_run, 'words': rule_words, 'scripts': rule_scripts, 'format': rule_format,
}


def check(root, names, out=sys.stdout):
    """Runs the rules; returns (passed, failed, skipped)."""
    tree = Tree(root, tracked(root))
    passed = failed = skipped = 0
    for name in names:
        try:
            found = list(RULES[name](tree))
        except Skipped as reason:
            print('lint: %s skipped: %s' % (name, reason), file=out)
            skipped += 1
            continue
        for file, n, what in found:
            print('%s:%d: %s: %s' % (file.path, n, name, what), file=out)
        failed += bool(found)
        passed += not found
    return passed, failed, skipped


def main():
    parser = argparse.ArgumentParser(description='Checks the house rules: ' + ', '.join(RULES) + '.')
    parser.add_argument('--root', default=os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
    parser.add_argument('rule', nargs='*', help='all unless named')
    args = parser.parse_args()
    for name in args.rule:
        if name not in RULES:
            parser.error('no rule named %s; there are %s' % (name, ', '.join(RULES)))
    passed, failed, skipped = check(args.root, args.rule or RULES)
    print('%d passed, %d failed%s' % (passed, failed, ', %d skipped' % skipped if skipped else ''))
    sys.exit(1 if failed else 0)


if __name__ == '__main__':
    main()
