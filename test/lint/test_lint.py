#!/usr/bin/env python3
"""Every rule of the lint fires on a file made for it, and says nothing about a good tree."""
import io
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, '..', 'lib')]
import lint  # noqa: E402
import tap  # noqa: E402

GOOD = {
    'shared/base/slice.h': '#ifndef AIGW_SLICE_H\n#define AIGW_SLICE_H\nint slice_len(void);\n#endif\n',
    'shared/base/mem.c': '#include "slice.h"\n\nvoid *mem_new(void)\n{\n\treturn malloc(1);\n}\n',
    'shared/base/errc_tbl.h': '/* no guard: included often */\nERRC(OK, "no error")\n',
    'shared/base/meson.build': "base_src = files('mem.c', 'text.c')\n",
    # a banned name in a comment or a string is none
    'shared/base/text.c': '#include "slice.h"\n\n/* strcpy(a, b) */\nconst char *text_hint(void)\n{\n\treturn "free(";\n}\n',
    'master/main.c': '#include "worker.h"\n',
    'worker/worker.h': '#ifndef W\n#define W\n#endif\n',
    'tools/x.sh': '#!/bin/sh\necho yes\n',
    'tools/x.py': 'print(1)\n',
}


class Lint(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp(prefix='lint-')
        self.addCleanup(shutil.rmtree, self.root)
        for path, text in GOOD.items():
            self.write(path, text)

    def write(self, path, text):
        path = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8') as f:
            f.write(text)

    def run_rule(self, rule):
        out = io.StringIO()
        passed, failed, skipped = lint.check(self.root, [rule], out)
        if skipped:
            self.skipTest(out.getvalue().strip())
        self.assertEqual(passed + failed, 1)
        return out.getvalue()

    def fires(self, rule, path, text, expect, line=None):
        """The one message is about this file, at this line, and says this."""
        self.write(path, text)
        said = self.run_rule(rule)
        self.assertEqual(said.count('\n'), 1, said)
        self.assertTrue(said.startswith('%s:%s' % (path, '%d: ' % line if line else '')), said)
        self.assertIn(expect, said)
        os.remove(os.path.join(self.root, path))
        self.assertEqual(self.run_rule(rule), '')

    def test_good_tree_passes(self):
        for rule in lint.RULES:
            if rule != 'format':
                self.assertEqual(self.run_rule(rule), '', rule)

    def test_floors(self):
        self.write('worker/net/dial.h', '#ifndef D\n#define D\n#endif\n')
        self.write('master/keeper/keeper.h', '#ifndef K\n#define K\n#endif\n')
        self.fires('floors', 'shared/base/up.c', '#include <stdio.h>\n#include "dial.h"\n', 'worker/net', 2)
        self.fires('floors', 'worker/side.c', '#include "keeper.h"\n', 'master/keeper', 1)
        self.fires('floors', 'worker/dialect/net.c', '#include "dial.h"\n', 'worker/net', 1)
        self.fires('floors', 'master/other.c', '#include "worker.h"\n', 'worker', 1)
        self.fires('floors', 'worker/path.c', '#include "../shared/base/slice.h"\n', 'by the name alone', 1)

    def test_libraries(self):
        for header in ('lmdb.h', 'msgpack.h', 'llhttp.h', 'yyjson.h', 'yaml.h', 'mbedtls/ssl.h', 'psa/crypto.h'):
            self.fires('libraries', 'worker/call/x.c', '#include <%s>\n' % header, header.split('/')[0], 1)
        for path in ('shared/base/loop.c', 'worker/dialect/loop.c', 'admin-cli/loop.c'):
            self.fires('libraries', path, '#include <uv.h>\n', 'uv.h', 1)
        self.write('worker/net/dial.c', '#include <uv.h>\n')
        self.write('test/unit/store/t.c', '#include <lmdb.h>\n')
        self.assertEqual(self.run_rule('libraries'), '')

    def test_sizes(self):
        body = 'int f(void)\n{\n%s}\n'
        self.fires('sizes', 'worker/f.c', body % ('\tg();\n' * 70), 'the function has 71 lines', 2)
        self.write('worker/fits.c', body % ('\tg();\n' * 69))
        self.fires('sizes', 'worker/long.c', '\n' * 701, 'the file has 701 lines')
        self.fires('sizes', 'worker/long.h', '\n' * 151, 'the header has 151 lines')
        self.write('worker/rows_tbl.h', '\n' * 600)
        self.assertEqual(self.run_rule('sizes'), '')

    def test_banned(self):
        for name in lint.BANNED:
            self.fires('banned', 'worker/b.c', 'int f(void)\n{\n\treturn %s(x);\n}\n' % name, name + '()', 3)
        for name in lint.MEMORY_CALLS:
            self.fires('banned', 'worker/m.c', 'void *p = %s (x);\n' % name, 'mem.h', 1)
        self.fires('banned', 'worker/t.h', 'typedef struct call call_t;\n', 'typedef', 1)
        self.write('worker/ok.c', 'void f(void)\n{\n\tbuf_free(b);\n\tops->free(p);\n\tstatic_assert(1, "x");\n}\n')
        self.assertEqual(self.run_rule('banned'), '')

    def test_guards(self):
        self.fires('guards', 'worker/g.h', 'int g(void);\n', 'no include guard', 1)
        self.fires('guards', 'worker/g.h', '#ifndef A\n#define B\n#endif\n', 'no include guard', 1)

    def test_built(self):
        self.fires('built', 'shared/base/orphan.c', 'int x;\n', 'no meson.build names it', 1)
        self.write('test/unit/base/meson.build', "foreach t : ['slice']\nendforeach\n")
        self.write('test/unit/base/test_slice.c', 'int x;\n')
        self.assertEqual(self.run_rule('built'), '')

    def test_run(self):
        self.write('test/flow/meson.build', "flow_tests = {\n  'a': 5,\n  'b': 5,\n}\nflow_alone = [\n  'b',\n]\n")
        self.write('test/flow/test_b.py', 'import tap\n@tap.alone\nclass B: pass\n')
        self.assertEqual(self.run_rule('run'), '')
        self.fires('run', 'test/flow/test_a.py', 'import tap\n@tap.alone\nclass A: pass\n', 'flow_alone does not name it', 2)
        self.fires('run', 'test/flow/test_c.py', 'import tap\n', 'flow_tests does not name it', 1)

    def test_words(self):
        self.fires('words', 'tools/a.sh', 'fetch http://d' + 'eb.debian.org/x\n', 'registry', 1)
        self.fires('words', 'README.md', '\nsee /wo' + 'rk/main\n', 'somebody\'s machine', 2)
        self.fires('words', 'worker/w.c', '/* TO' + 'DO: later */\n', 'unfinished', 1)

    def test_scripts(self):
        self.fires('scripts', 'tools/bad.sh', '#!/bin/sh\nif then\n', 'bad.sh')
        self.fires('scripts', 'tools/noext', '#!/bin/bash\nfor x in ; do (\n', 'noext')
        self.fires('scripts', 'tools/bad.py', 'def f(:\n', 'syntax', 1)

    def test_format(self):
        with open(os.path.join(HERE, '..', '..', '.clang-format'), encoding='utf-8') as f:
            self.write('.clang-format', f.read())
        self.fires('format', 'worker/odd.c', 'int f( void ) { return 1 ; }\n', 'clang-format', 1)

    def test_command(self):
        self.write('worker/b.c', 'char *p = gets(q);\n')
        run = subprocess.run([sys.executable, os.path.join(HERE, 'lint.py'), '--root', self.root, 'banned', 'guards'],
                             capture_output=True, text=True)
        self.assertEqual(run.returncode, 1)
        self.assertEqual(run.stdout.splitlines()[-1], '1 passed, 1 failed')


if __name__ == '__main__':
    tap.main()
