"""Row 33: what a provider's TLS must be like. Certificates made by openssl, servers by Python's ssl; every case that is not in order is refused
before a byte of a request, with its cause in the log and in `aigwctl provider test`."""
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import unittest
import warnings

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gateway import wait_for
from node import Node, model
from provider import Server, whole
import tap

NOW = ('20200101000000Z', '20991231235959Z')
NUL_NAME = b'localhost\0.evil.example'
CA_CONF = '''[ca]
default_ca = d
[d]
database = %(dir)s/index
new_certs_dir = %(dir)s
serial = %(dir)s/serial
rand_serial = yes
default_md = sha256
policy = p
unique_subject = no
[p]
commonName = supplied
'''


def der(tag, data):
    return bytes([tag, len(data)]) + data


# Of a server that chose TLS 1.0 because it knows no supported_versions: cipher AES128-SHA, no extension.
OLD_HELLO = b'\x16\3\1\0\x2a\2\0\0\x26\3\1' + bytes(range(32)) + b'\0\0\x2f\0'


# Name: (host in base_url, what certificate() is told, the cause in words). No cause: it must work.
CASES = {
    'valid': ('localhost', {}, None),
    'valid-ip': ('127.0.0.1', {'san': 'IP:127.0.0.1'}, None),
    'valid-chain': ('localhost', {'issuer': 'middle'}, None),
    'valid-rsa': ('localhost', {'issuer': 'rsa'}, None),
    'expired': ('localhost', {'time': ('20200101000000Z', '20200201000000Z')}, 'expired'),
    'not-yet': ('localhost', {'time': ('20900101000000Z', '20991231235959Z')}, 'future'),
    'other-name': ('localhost', {'san': 'DNS:example.com'}, 'does not match'),
    'longer-name': ('localhost', {'san': 'DNS:localhost.evil.example,DNS:xlocalhost,DNS:localhos'}, 'does not match'),
    'star': ('localhost', {'san': 'DNS:*'}, 'does not match'),
    'self-signed': ('localhost', {'issuer': None}, 'not correctly signed by the trusted CA'),
    'other-ca': ('localhost', {'issuer': 'other'}, 'not correctly signed by the trusted CA'),
    'signed-by-a-leaf': ('localhost', {'issuer': 'leaf'}, 'not correctly signed by the trusted CA'),
    'nul-in-san': ('localhost', {'san': 'DER:' + der(0x30, der(0x82, NUL_NAME)).hex(':')}, 'does not match'),
    'other-ip': ('127.0.0.1', {'san': 'IP:127.0.0.2'}, 'does not match'),
    'ip-as-name': ('127.0.0.1', {'san': 'DNS:localhost'}, 'does not match'),
    'for-clients': ('localhost', {'usage': 'clientAuth'}, 'extendedKeyUsage'),
    'sha1': ('localhost', {'md': 'sha1'}, 'unacceptable hash'),
    'sha1-rsa': ('localhost', {'md': 'sha1', 'issuer': 'rsa'}, 'unacceptable hash'),
    'md5': ('localhost', {'md': 'md5', 'issuer': 'rsa'}, 'unacceptable hash'),
    'short-key': ('localhost', {'key': 'short'}, 'bad key|unacceptable key'),
    'tls1.0': ('localhost', {'version': ssl.TLSVersion.TLSv1}, 'protocol version'),
    'tls1.1': ('localhost', {'version': ssl.TLSVersion.TLSv1_1}, 'protocol version'),
    'tls1.2': ('localhost', {'version': ssl.TLSVersion.TLSv1_2}, None),
    'tls1.3': ('localhost', {'version': ssl.TLSVersion.TLSv1_3}, None),
    'wants-a-name': ('localhost', {'wants_name': True}, None),
    'no-extensions': ('localhost', {'says': OLD_HELLO}, 'not within min/max boundaries'),
    'plain-text': ('localhost', {'says': b'HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n'}, 'invalid SSL record'),
}


class Authority:
    """A folder of keys and certificates: `root` and `rsa` are trusted, `middle` is signed by root, `other` is trusted by nobody, `leaf` is no CA."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix='aigw-tls-')
        os.chmod(self.dir, 0o755)
        self.write('ca.conf', CA_CONF % {'dir': self.dir})
        self.write('index', '')
        for key in ('root', 'middle', 'other', 'leaf', 'own'):
            self.openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', self.path(key + '.key'))
        for key, bits in (('short', '1024'), ('rsa', '2048')):
            self.openssl('genrsa', '-out', self.path(key + '.key'), bits)
        for ca in ('root', 'rsa', 'other'):
            self.openssl('req', '-x509', '-new', '-key', self.path(ca + '.key'), '-subj', '/CN=aigw test ' + ca, '-days', '3650', '-out', self.path(ca + '.pem'))
        with open(self.path('root.pem')) as root, open(self.path('rsa.pem')) as rsa:
            self.trusted = self.write('trusted.pem', root.read() + rsa.read())
        self.sign('middle', 'root', 'middle', 'basicConstraints=critical,CA:true')
        self.sign('leaf', 'root', 'leaf', 'basicConstraints=critical,CA:false\nsubjectAltName=DNS:leaf.example')

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        with open(self.path(name), 'w') as f:
            f.write(text)
        return self.path(name)

    def openssl(self, *words):
        p = subprocess.run(['openssl', *words], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert p.returncode == 0, p.stderr

    def sign(self, name, issuer, key, extensions, time=NOW, md='sha256'):
        csr, ext = self.path(name + '.csr'), self.write(name + '.ext', extensions)
        self.openssl('req', '-new', '-key', self.path(key + '.key'), '-subj', '/CN=aigw test ' + name, '-out', csr)
        self.openssl('ca', '-batch', '-notext', '-config', self.path('ca.conf'), '-cert', self.path(issuer + '.pem'), '-keyfile',
                     self.path(issuer + '.key'), '-in', csr, '-out', self.path(name + '.pem'), '-startdate', time[0], '-enddate', time[1],
                     '-md', md, '-extfile', ext)

    def certificate(self, name, issuer='root', san='DNS:localhost', time=NOW, md='sha256', key='own', usage='serverAuth', **_):
        """(chain, key) of a server, as files."""
        extensions = 'basicConstraints=CA:false\nextendedKeyUsage=%s\nsubjectAltName=%s' % (usage, san)
        if issuer:
            self.sign(name, issuer, key, extensions, time, md)
        else:
            self.openssl('req', '-x509', '-new', '-key', self.path(key + '.key'), '-subj', '/CN=localhost', '-days', '99', '-addext',
                         'subjectAltName=' + san, '-out', self.path(name + '.pem'))
        with open(self.path(name + '.pem'), 'a') as f, open(self.path((issuer if issuer in ('middle', 'leaf') else name) + '.pem')) as more:
            f.write(more.read() if issuer in ('middle', 'leaf') else '')
        return self.path(name + '.pem'), self.path(key + '.key')

    def close(self):
        shutil.rmtree(self.dir)


class TlsServer(Server):
    """Answers every request over TLS. `names`: the server names that were asked for; `heard`: bytes of requests, in the clear."""
    ANSWER = whole({'id': 'x', 'object': 'chat.completion', 'usage': {'prompt_tokens': 1, 'completion_tokens': 1},
                    'choices': [{'index': 0, 'message': {'role': 'assistant', 'content': 'hi'}, 'finish_reason': 'stop'}]})

    def __init__(self, chain, own_key, version=None, wants_name=False, says=None, **_):
        self.names, self.heard, self.context = [], b'', None
        if not says:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.set_ciphers('ALL:@SECLEVEL=0')
            with warnings.catch_warnings(): # the old versions are deprecated, which is the point
                warnings.simplefilter('ignore')
                self.context.minimum_version = version or ssl.TLSVersion.TLSv1_2
                self.context.maximum_version = version or ssl.TLSVersion.TLSv1_3
            self.context.load_cert_chain(chain, own_key)
            self.context.sni_callback = self.named
        self.wants_name, self.says = wants_name, says
        super().__init__()

    def named(self, _, name, __):
        self.names.append(name)
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME if self.wants_name and name is None else None

    def serve(self, c):
        c.settimeout(10)
        if not self.context:
            c.recv(65536)
            c.sendall(self.says)
            return
        with self.context.wrap_socket(c, server_side=True) as t:
            while part := t.recv(65536):
                self.heard += part
                if part.endswith((b'}', b'\r\n\r\n')):
                    t.sendall(self.ANSWER)


@unittest.skipUnless(shutil.which('openssl'), 'no openssl to make certificates with')
class Verification(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.authority, cls.servers = Authority(), {}
        cls.addClassCleanup(cls.authority.close)
        for name, (_, how, _) in CASES.items():
            cls.servers[name] = TlsServer(*cls.authority.certificate(name, **how), **how)
            cls.addClassCleanup(cls.servers[name].close)
        providers = {name: cls.servers[name].config(scheme='https', host=host) for name, (host, _, _) in CASES.items()}
        cls.node = Node({name: model(name + '/x') for name in CASES}, providers=providers, upstream={'ca_file': cls.authority.trusted}, timeouts={'tls': '30s'},
                        breaker={'failures': 32, 'requests': 32}, retry={'minimum': 100000})
        cls.addClassCleanup(cls.node.close)
        cls.node.start()
        cls.key = cls.node.customer('main', '100')

    def explain(self):
        return self.node.tail(8)

    def logged(self, a):
        """Why the attempt failed, as the log has it."""
        return wait_for(lambda: self.node.events('attempt_failed', request_id=a.get('x-request-id')), 5)[0]['cause']

    def accepted(self, name):
        a = self.node.chat(self.key, name)
        self.assertEqual((a.status, a.text), (200, 'hi'), a)
        self.assertEqual(self.node.ctl_raw('provider', 'test', name).returncode, 0)
        self.assertIn(b'POST /v1/chat/completions', self.servers[name].heard)
        # An address is no server name (RFC 6066).
        self.assertEqual(set(self.servers[name].names), {'localhost' if CASES[name][0] == 'localhost' else None})

    def refused(self, name, cause):
        a = self.node.chat(self.key, name)
        self.assertEqual((a.status, a.error['code']), (502, 'upstream_error'), a)
        self.assertEqual([t['code'] for t in a.error['metadata']['attempts']], ['tls_failed'])
        self.assertEqual(self.node.chat(self.key, name, True).status, 502)
        self.assertRegex(self.logged(a), cause)
        p = self.node.ctl_raw('provider', 'test', name)
        self.assertEqual(p.returncode, 1, p.stdout)
        self.assertRegex(p.stdout + p.stderr, cause)
        self.assertEqual(self.servers[name].heard, b'')

    def test_matrix(self):
        for name, (_, _, cause) in CASES.items():
            with self.subTest(name):
                if cause:
                    self.refused(name, cause)
                else:
                    self.accepted(name)

    def test_nothing_trusted(self):
        """Without the file the system's store counts, which knows nothing of our root."""
        self.node.configure(upstream={'ca_file': None})
        try:
            self.node.ctl('reload')
            wait_for(lambda: self.node.chat(self.key, 'valid').status == 502, 5)
            a = self.node.chat(self.key, 'valid')
            self.assertRegex(self.logged(a), 'not correctly signed by the trusted CA')
        finally:
            self.node.configure(upstream={'ca_file': self.authority.trusted})
            self.node.ctl('reload')


if __name__ == '__main__':
    tap.main()
