"""A listener that speaks TLS (A7): versions, ALPN, tickets that every worker takes, and that answers end as on a plain one."""
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client import Conn, message
from gateway import free_port
from node import NodeCase, chat_body, model, on_both
import tap

CHAT = '/v1/chat/completions'


def certificate(folder, name):
    """A self-signed one for localhost; (certificate, key)."""
    paths = [os.path.join(folder, name + end) for end in ('.pem', '.key')]
    p = subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', paths[1], '-out', paths[0],
                        '-days', '30', '-subj', '/CN=' + name, '-addext', 'subjectAltName=DNS:localhost'], capture_output=True, text=True)
    assert p.returncode == 0, p.stderr
    return paths


class Listener(NodeCase):
    MODELS = {**on_both('m', 'tokens=5&input=5'), 'cut': model('oai/sim?tokens=5&input=5&fault=cut@3'), 'long': model('oai/sim?tokens=9&size=400000')}

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix='aigw-listener-')
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        os.chmod(cls.folder, 0o755)
        cls.pem, cls.private = certificate(cls.folder, 'first')
        cls.tls_port, cls.plain_port, cls.proxied_port = free_port(), free_port(), free_port()
        cls.CONFIG = {'listen': [{'address': '127.0.0.1:%d' % cls.plain_port},
                                 {'address': '127.0.0.1:%d' % cls.proxied_port, 'trusted_proxies': ['127.0.0.0/8', '10.0.0.0/8']},
                                 {'address': '127.0.0.1:%d' % cls.tls_port, 'tls': {'certificate': cls.pem, 'key': cls.private}}],
                      'limits': {'body': '16MiB'}}
        super().setUpClass()
        cls.node.port = cls.plain_port

    def context(self, version=None, alpn=(), trusted=None):
        t = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        t.load_verify_locations(trusted or self.pem)
        if version:
            t.set_ciphers('DEFAULT:@SECLEVEL=0')
            t.minimum_version = t.maximum_version = version
        if alpn:
            t.set_alpn_protocols(list(alpn))
        return t

    def open(self, **more):
        return Conn(self.tls_port, tls=self.context(**more), name='localhost')

    def test_client_behind_a_proxy(self):
        """Ranges are about the client, however many trusted proxies stand before it, and hold where it is not told."""
        near, far = (self.node.key('main', ip=ip) for ip in ('127.0.0.0/8,10.0.0.0/8', '203.0.113.0/24,2001:db9::/32'))
        for told, client, in_range in (((), '127.0.0.1', near), (('10.1.1.1',), '10.1.1.1', near), (('203.0.113.9, 10.1.1.1',), '203.0.113.9', far),
                                       (('203.0.113.9', '10.2.2.2, 10.1.1.1'), '203.0.113.9', far), (('10.9.9.9, 203.0.113.9:5555',), '203.0.113.9', far),
                                       (('[2001:db9::1]:99',), '2001:db9::1', far), (('203.0.113.9, unknown',), '127.0.0.1', None),
                                       (('_hidden, 10.1.1.1',), '10.1.1.1', None)):
            for key in (near, far):
                with self.subTest(told, key='near' if key == near else 'far'), Conn(self.proxied_port) as c:
                    a = c.request('POST', CHAT, chat_body('m-oai'), [('x-forwarded-for', t) for t in told], key).answer()
                    self.assertEqual(a.status, 200 if key == in_range else 403, a)
                    if key != in_range:
                        self.assertEqual(a.error['code'], 'ip_not_allowed')
                        self.assertEqual('unknown' in a.error['message'], in_range is None, a.error['message'])
                    self.assertEqual(self.node.access(a.get('x-request-id'))[a.get('x-request-id')]['client'], client)

    def test_versions_and_alpn(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            for alpn, want in (((), None), (('http/1.1',), 'http/1.1'), (('h2', 'http/1.1'), 'http/1.1')):
                with self.subTest(version.name, alpn=alpn), self.open(version=version, alpn=alpn) as c:
                    self.assertEqual((c.s.version(), c.s.selected_alpn_protocol()), (version.name.replace('_', '.'), want))
                    for back in ('oai', 'ant'):
                        a = c.request('POST', CHAT, chat_body('m-' + back), key=self.key).answer()
                        self.assertEqual((a.status, a.ended, a.get('keep-alive')), (200, 'length', 'timeout=75'), a)
                        a = c.request('POST', CHAT, chat_body('m-' + back, True), key=self.key).answer()
                        self.assertTrue(a.is_whole and a.is_done, a)
                    self.assertEqual(len(c.request('POST', CHAT, chat_body('long'), key=self.key).answer().text), 400000)

    def test_older_versions_and_other_protocols_are_refused(self):
        for more in ({'version': ssl.TLSVersion.TLSv1_1}, {'alpn': ('h2',)}):
            with self.subTest(str(more)):
                with self.assertRaises((ssl.SSLError, ConnectionError)):
                    self.open(**more).close()

    def test_plain_http_at_the_tls_port(self):
        with Conn(self.tls_port) as c:
            c.send(message('GET', '/v1/models', key=self.key))
            c.s.settimeout(5)
            while c.fill():
                pass
            self.assertNotIn(b'HTTP/1.1 200', c.buffer)

    def test_tickets_are_good_for_every_worker(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version.name):
                t, session, reused = self.context(version=version), None, []
                for _ in range(24):
                    with Conn(self.tls_port, tls=t, name='localhost', session=session) as c:
                        self.assertEqual(c.request('GET', '/v1/models', key=self.key).answer().status, 200)
                        reused.append(c.s.session_reused)
                        session = c.s.session
                self.assertEqual(reused, [False] + [True] * 23)

    def test_a_cut_is_visible(self):
        """A4: the end of the connection without the last chunk."""
        with self.open() as c:
            c.request('POST', CHAT, chat_body('cut', True), key=self.key)
            a = c.answer()
            self.assertEqual((a.status, a.ended, a.error['metadata']['status']), (200, 'cut', 502), a)

    def test_big_upload_sees_the_status(self):
        body = json.dumps(chat_body('m-oai', text='x' * (12 << 20)))
        for key, size, want in ((self.key[:-1] + '!', 1, 401), (self.key, 2, 413), (self.key, 1, 200)):
            for _ in range(3):
                with self.subTest(want), self.open() as c:
                    c.send(message('POST', CHAT, body + ' ' * ((size - 1) << 23), key=key))
                    self.assertEqual(c.answer().status, want)

    def test_zy_a_reload_takes_a_new_certificate(self):
        pem, private = certificate(self.folder, 'second')
        with self.open() as old:
            for a, b in ((pem, self.pem), (private, self.private)):
                shutil.copy(a, b + '.new')
                os.rename(b + '.new', b)
            self.node.ctl('reload')
            with self.open(trusted=pem) as c:
                self.assertEqual(c.request('GET', '/v1/models', key=self.key).answer().status, 200)
            self.assertEqual(old.request('GET', '/v1/models', key=self.key).answer().status, 200)


if __name__ == '__main__':
    tap.main()
