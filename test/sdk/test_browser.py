"""A page in headless Chromium that calls the gateway from another origin: preflight, streaming, errors, what it may read."""
import http.server
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import kit
import sdk
import node
import tap

FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
         '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage']
SECONDS = 60


class Page:
    """Serves the page and takes what its tests came to."""

    def __init__(self, facts):
        page = self
        self.facts, self.results = facts, queue.Queue()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                if self.path == '/facts':
                    self.answer(json.dumps(page.facts), 'application/json')
                elif self.path == '/':
                    self.answer(kit.read('page.html'), 'text/html')
                else:
                    self.send_error(404)

            def do_POST(self):
                page.results.put(json.loads(self.rfile.read(int(self.headers['content-length']))))
                self.answer('', 'text/plain')

            def answer(self, text, kind):
                self.send_response(200)
                self.send_header('content-type', kind)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def visit(self, browser, host='127.0.0.1', only=None):
        """Results of the tests once the browser has run them."""
        self.facts['only'] = only
        profile = tempfile.mkdtemp(prefix='aigw-browser-')
        with open(os.path.join(profile, 'log'), 'w', encoding='utf-8') as log:
            p = subprocess.Popen([browser, *FLAGS, '--user-data-dir=' + profile, '--remote-debugging-port=0',
                                  'http://%s:%d/' % (host, self.port)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                 start_new_session=True)
        try:
            return self.results.get(timeout=SECONDS)
        except queue.Empty:
            with open(os.path.join(profile, 'log'), encoding='utf-8') as log:
                return [{'name': only or 'the page runs', 'error': 'no result within %d s\n%s' % (SECONDS, log.read()[-2000:])}]
        finally:
            os.killpg(p.pid, signal.SIGKILL)
            p.wait()
            shutil.rmtree(profile, ignore_errors=True)


def main():
    browser = shutil.which('chromium')
    if not browser:
        sdk.skip('chromium is not installed')
    report = tap.Report()
    gateway = sdk.SdkNode(node.on_both('steady', 'tokens=20&rate=25&input=10'))
    page = Page({'url': gateway.url, 'keys': gateway.keys})
    try:
        for result in page.visit(browser):
            report.test(result['name'], result['error'], gateway.tail())
        report.run('what the page aborted was aborted upstream', lambda: check_aborted(gateway), gateway.tail)
        gateway.configure(cors={'origins': ['http://127.0.0.1:%d' % page.port]})
        gateway.ctl('reload')
        for host, only in (('127.0.0.1', 'an origin of the list is served'), ('localhost', 'an origin that is not on the list is not')):
            for result in page.visit(browser, host, only):
                report.test(result['name'], result['error'], gateway.tail())
        report.run('books are right and no secret shows', gateway.check_books, gateway.tail)
    finally:
        gateway.close()
    report.end()


def check_aborted(gateway):
    slow = [r for r in gateway.sim.requests() if 'rate=50' in r['model']]
    if len(slow) != 2 or not all(r['aborted'] and r['output'] < 60 for r in slow):
        raise AssertionError(slow)


if __name__ == '__main__':
    main()
