#include "http1.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "mem.h"

#define L(s) SLICE_LIT(s)
#define H    "Host: a\r\n"

static const struct http1_limits limits = {.line_max = 200, .head_max = 2000, .headers_max = 20};

/* What the reader says, as text: a head as "{GET /x 1 cl=3 keep}", body bytes as they are, "." at the end of a message. */
static void tell_head(const struct http1 *h, struct buf *out)
{
	const struct http1_head *d = &h->head;
	int rc = 0;

	rc |= buf_addc(out, '{');
	if (h->kind == HTTP1_REQUEST)
		rc |= buf_addf(out, SLICE_FMT " " SLICE_FMT, SLICE_ARG(d->method),
			       SLICE_ARG(d->target));
	else
		rc |= buf_addf(out, "%d " SLICE_FMT, d->status, SLICE_ARG(d->reason));
	rc |= buf_addf(out, " 1.%d%s%s%s%s%s%s", d->version_minor, d->keep_alive ? " keep" : "",
		       d->chunked ? " chunked" : "", d->close_delimited ? " until-close" : "",
		       d->expect_unknown    ? " expect-other"
		       : d->expect_continue ? " expect"
					    : "",
		       d->upgrade ? " upgrade" : "", d->has_body ? " body" : "");
	if (d->content_length >= 0)
		rc |= buf_addf(out, " cl=%d", (int)d->content_length);
	for (size_t i = 0; i < d->field_count; i++)
		if (!slice_ieq(d->fields[i].name, L("host")))
			rc |= buf_addf(out, " [" SLICE_FMT "=" SLICE_FMT "]",
				       SLICE_ARG(d->fields[i].name), SLICE_ARG(d->fields[i].value));
	rc |= buf_addc(out, '}');
	assert_int_equal(rc, 0);
}

static int pull(struct http1 *h, struct slice in, struct buf *out)
{
	struct slice body;
	int rc;

	while ((rc = http1_next(h, &in, &body)) > 0) {
		if (rc == HTTP1_HEAD)
			tell_head(h, out);
		else if (rc == HTTP1_BODY)
			assert_true(body.n > 0 && buf_adds(out, body) == ERRC_OK);
		else
			assert_int_equal(buf_addc(out, '.'), ERRC_OK);
	}
	assert_true(rc < 0 || in.n == 0);
	return rc;
}

/* Feeds `in` cut at two places, each part in memory of its own. */
static int feed(struct http1 *h, struct slice in, size_t cut1, size_t cut2, struct buf *out)
{
	const size_t cuts[] = {0, cut1, cut2, in.n};
	int rc = 0;

	for (size_t i = 0; i + 1 < ARRAY_LEN(cuts) && rc == 0; i++) {
		size_t n = cuts[i + 1] - cuts[i];
		char *copy = mem_dup(in.p + cuts[i], n);

		rc = pull(h, slice_of(copy, n), out);
		mem_free(copy);
	}
	return rc;
}

struct row {
	const char *in, *out;
	int eof;
};

static void check_rows(enum http1_kind kind, const struct row *rows, size_t n)
{
	struct buf out;

	buf_init(&out, 10000);
	for (size_t i = 0; i < n; i++) {
		struct slice in = slice_str(rows[i].in);

		for (size_t a = 0; a <= in.n; a++)
			for (size_t b = a; b <= in.n; b += 1 + (b - a) / 3) {
				struct http1 h;

				http1_init(&h, kind, &limits);
				buf_reset(&out);
				assert_int_equal(feed(&h, in, a, b, &out), 0);
				assert_int_equal(http1_eof(&h), rows[i].eof);
				assert_string_equal(buf_cstr(&out), rows[i].out);
				http1_fini(&h);
			}
	}
	buf_fini(&out);
	assert_int_equal(mem_live_count(), 0);
}

static void test_requests(void **state)
{
	static const struct row rows[] = {
		{"", "", 0},
		{"\r\n", "", 0},
		{"GET / HTTP/1.1\r\n" H "\r\n", "{GET / 1.1 keep}.", 0},
		{"\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", "{GET / 1.1 keep}.", 0},
		{"GET /a?b=c HTTP/1.0\r\n\r\n", "{GET /a?b=c 1.0}.", 0},
		{"GET / HTTP/1.0\r\nConnection: foo, Keep-Alive\r\n\r\n",
		 "{GET / 1.0 keep [Connection=foo, Keep-Alive]}.", 0},
		{"GET http://b/a HTTP/1.1\r\nhOST:a:80\r\n\r\n", "{GET http://b/a 1.1 keep}.", 0},
		{"OPTIONS * HTTP/1.1\r\n" H "X:  a b\t \r\nY:\r\nZ: \r\n\r\n",
		 "{OPTIONS * 1.1 keep [X=a b] [Y=] [Z=]}.", 0},
		{"POST / HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n" H
		 "Connection: close\t\r\n\r\n",
		 "{POST / 1.1 keep body cl=3 [Content-Length=3]}abc.{GET / 1.1 "
		 "[Connection=close]}.",
		 0},
		{"POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n",
		 "{POST / 1.1 keep cl=0 [Content-Length=0]}.", 0},
		{"POST / HTTP/1.1\r\n" H "content-length: 007\r\n\r\nabc",
		 "{POST / 1.1 keep body cl=7 [content-length=007]}abc", -ERRC_TRUNCATED},
		{"POST / HTTP/1.1\r\n" H "Transfer-Encoding: "
		 "Chunked\r\n\r\n3\r\nabc\r\n00A;x=\"y\";z\r\n0123456789\r\n0\r\n\r\n",
		 "{POST / 1.1 keep chunked body [Transfer-Encoding=Chunked]}abc0123456789.", 0},
		{"POST / HTTP/1.1\r\n" H
		 "transfer-encoding: chunked\r\n\r\n1\r\na\r\n0;q\r\nTrailer: x\r\nB: c\r\n\r\nGET "
		 "/ HTTP/1.1\r\n" H "\r\n",
		 "{POST / 1.1 keep chunked body [transfer-encoding=chunked]}a.{GET / 1.1 keep}.", 0},
		{"POST / HTTP/1.1\r\n" H "transfer-encoding: chunked\r\n\r\n0\r\n\r",
		 "{POST / 1.1 keep chunked body [transfer-encoding=chunked]}", -ERRC_TRUNCATED},
		{"POST / HTTP/1.1\r\n" H "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nx",
		 "{POST / 1.1 keep expect body cl=1 [Expect=100-Continue] [Content-Length=1]}x.", 0},
		{"GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue, ,cake\r\n\r\n",
		 "{GET / 1.1 keep expect-other [Expect=100-continue, ,cake]}.", 0},
		{"GET / HTTP/1.0\r\nExpect: cake\r\n\r\n", "{GET / 1.0 [Expect=cake]}.", 0},
		{"POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n",
		 "{POST / 1.0 [Expect=100-continue]}.", 0},
		{"GET / HTTP/1.1\r\n" H "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		 "{GET / 1.1 keep upgrade [Connection=Upgrade] [Upgrade=websocket]}.", 0},
		{"CONNECT a:1 HTTP/1.1\r\n" H "\r\n", "{CONNECT a:1 1.1 keep}.", 0},
		{"GET / HTTP/1.1\r\nHost: [::1]:8080\r\nX: \xc3\xa9\r\n\r\n",
		 "{GET / 1.1 keep [X=\xc3\xa9]}.", 0},
		{"GET / HTTP/1.1\r\n" H "A", "", -ERRC_TRUNCATED},
	};

	check_rows(HTTP1_REQUEST, rows, ARRAY_LEN(rows));
}

static void test_responses(void **state)
{
	static const struct row rows[] = {
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
		 "{200 OK 1.1 keep body cl=2 [Content-Length=2]}hi.", 0},
		{"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
		 "{200  1.1 keep cl=0 [Content-Length=0]}.", 0},
		{"HTTP/1.1 404 \r\ncontent-length: 0\r\n\r\n",
		 "{404  1.1 keep cl=0 [content-length=0]}.", 0},
		{"HTTP/1.1 200 It is ok\r\n\r\nall of it",
		 "{200 It is ok 1.1 until-close body}all of it", HTTP1_DONE},
		{"HTTP/1.0 200 OK\r\n\r\n", "{200 OK 1.0 until-close body}", HTTP1_DONE},
		{"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\nx",
		 "{200 OK 1.0 keep body cl=1 [connection=keep-alive] [content-length=1]}x.", 0},
		{"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 304 Not Modified\r\ncontent-length: "
		 "9\r\n\r\n",
		 "{204 No Content 1.1 keep}.{304 Not Modified 1.1 keep cl=9 [content-length=9]}.",
		 0},
		{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 200 "
		 "OK\r\nConnection: close\r\n"
		 "transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		 "{200 OK 1.1 chunked body [Connection=close] [transfer-encoding=chunked]}ok.", 0},
		{"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc",
		 "{200 OK 1.1 keep body cl=5 [content-length=5]}abc", -ERRC_TRUNCATED},
		{"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n",
		 "{200 OK 1.1 keep chunked body [transfer-encoding=chunked]}abcde", -ERRC_TRUNCATED},
		{"HTTP/1.1 529 \xc3\xa9\r\ncontent-length: 0\r\n\r\n",
		 "{529 \xc3\xa9 1.1 keep cl=0 [content-length=0]}.", 0},
		{"HTTP/1.1 200 OK\r\nupgrade: h2,h2c\r\nconnection: Upgrade\r\ncontent-length: "
		 "1\r\n\r\nx",
		 "{200 OK 1.1 keep upgrade body cl=1 [upgrade=h2,h2c] [connection=Upgrade] "
		 "[content-length=1]}x.",
		 0},
	};

	check_rows(HTTP1_RESPONSE, rows, ARRAY_LEN(rows));
}

struct bad {
	struct slice in;
	int status;
};

/* Whatever the split, refused with that status, and for good. */
static void check_bad(enum http1_kind kind, const struct bad *rows, size_t n)
{
	struct buf out;

	buf_init(&out, 10000);
	for (size_t i = 0; i < n; i++)
		for (size_t a = 0; a <= rows[i].in.n; a++) {
			struct http1 h;
			int rc;

			http1_init(&h, kind, &limits);
			buf_reset(&out);
			rc = feed(&h, rows[i].in, a, rows[i].in.n, &out);
			if (rc >= 0)
				fail_msg("row %zu accepted: %s", i, buf_cstr(&out));
			if (http1_fault_status(&h) != rows[i].status)
				fail_msg("row %zu: %d %s", i, http1_fault_status(&h), h.why);
			assert_non_null(h.why);
			assert_int_equal(pull(&h, L("GET"), &out), rc);
			assert_int_equal(http1_eof(&h), rc);
			http1_fini(&h);
		}
	buf_fini(&out);
	assert_int_equal(mem_live_count(), 0);
}

#define GET     "GET / HTTP/1.1\r\n"
#define POST    "POST / HTTP/1.1\r\n" H
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"
#define X50     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X200    X50 X50 X50 X50

static void test_bad_requests(void **state)
{
	static const struct bad rows[] = {
		/* line ends */
		{L("GET / HTTP/1.1\n" H "\r\n"), 400},
		{L("GET / HTTP/1.1\r\nHost: a\n\r\n"), 400},
		{L(GET H "\n"), 400},
		{L("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n"), 400},
		{L(GET H "X: a\r\r\n\r\n"), 400},
		{L("GET / HTTP/1.1\rHost: a\r\n\r\n"), 400},
		{L("\nGET / HTTP/1.1\r\n" H "\r\n"), 400},
		{L("\r\n\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n"), 400},
		/* first line */
		{L("GET /\r\n"), 400},
		{L("GET  / HTTP/1.1\r\n" H "\r\n"), 400},
		{L("GET /  HTTP/1.1\r\n" H "\r\n"), 400},
		{L("GET / HTTP/1.1 \r\n" H "\r\n"), 400},
		{L(" GET / HTTP/1.1\r\n" H "\r\n"), 400},
		{L("GET\t/ HTTP/1.1\r\n" H "\r\n"), 400},
		{L("GET / b HTTP/1.1\r\n" H "\r\n"), 400},
		{L("GET /\xc3\xa9 HTTP/1.1\r\n" H "\r\n"), 400},
		{L("GET /\x7f HTTP/1.1\r\n" H "\r\n"), 400},
		{L("GET x HTTP/1.1\r\n" H "\r\n"), 400},
		{L("get / HTTP/1.1\r\n" H "\r\n"), 400},
		{L("FOO / HTTP/1.1\r\n" H "\r\n"), 400},
		{L("GET / http/1.1\r\n" H "\r\n"), 400},
		{L("GET / HTTP/1.10\r\n" H "\r\n"), 400},
		{L("GET / HTTP/1\r\n" H "\r\n"), 400},
		{L("DESCRIBE rtsp://a RTSP/1.0\r\n\r\n"), 400},
		{L("SOURCE / ICE/1.0\r\n\r\n"), 400},
		{L("GET / HTTP/2.0\r\n" H "\r\n"), 505},
		{L("GET / HTTP/1.2\r\n" H "\r\n"), 505},
		{L("GET / HTTP/0.9\r\n" H "\r\n"), 505},
		{L("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505},
		{L("HTTP/1.1 200 OK\r\n\r\n"), 400},
		{L("\x16\x03\x01\x02\x00\x01\xfc\x03\x03\r\n"), 400},
		/* fields */
		{L(GET "Host : a\r\n\r\n"), 400},
		{L(GET "Host\t: a\r\n\r\n"), 400},
		{L(GET H "X Y: a\r\n\r\n"), 400},
		{L(GET H " X: folded\r\n\r\n"), 400},
		{L(GET H "X: a\r\n\tb\r\n\r\n"), 400},
		{L(GET " " H "\r\n"), 400},
		{L(GET H "novalue\r\n\r\n"), 400},
		{L(GET H ": a\r\n\r\n"), 400},
		{L(GET H "X: a\0b\r\n\r\n"), 400},
		{L(GET H "X\0: a\r\n\r\n"), 400},
		{L(GET H "X: a\x01\r\n\r\n"), 400},
		{L(GET H "X: a\x7f\r\n\r\n"), 400},
		{L(GET H "X\xc3\xa9: a\r\n\r\n"), 400},
		{L(GET H "X(): a\r\n\r\n"), 400},
	};

	check_bad(HTTP1_REQUEST, rows, ARRAY_LEN(rows));
}

static void test_bad_host_and_length(void **state)
{
	static const struct bad rows[] = {
		/* host */
		{L(GET "\r\n"), 400},
		{L(GET "Host:\r\n\r\n"), 400},
		{L(GET "Host: a\r\nhost: a\r\n\r\n"), 400},
		{L(GET "Host: a b\r\n\r\n"), 400},
		{L(GET "Host: a@b\r\n\r\n"), 400},
		{L(GET "Host: a/b\r\n\r\n"), 400},
		{L(GET "Host: a, b\r\n\r\n"), 400},
		{L("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"), 400},
		/* length of the body */
		{L(POST "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx"), 400},
		{L(POST "Content-Length: 1\r\nContent-Length: 2\r\n\r\nx"), 400},
		{L(POST "Content-Length: 1, 1\r\n\r\nx"), 400},
		{L(POST "Content-Length: +1\r\n\r\nx"), 400},
		{L(POST "Content-Length: -1\r\n\r\nx"), 400},
		{L(POST "Content-Length: 0x1\r\n\r\nx"), 400},
		{L(POST "Content-Length: 1 1\r\n\r\nx"), 400},
		{L(POST "Content-Length: 1.0\r\n\r\nx"), 400},
		{L(POST "Content-Length:\r\n\r\nx"), 400},
		{L(POST "Content-Length: 9999999999999999999\r\n\r\nx"), 400},
		{L(POST "Content-Length: 18446744073709551617\r\n\r\nx"), 400},
		{L(POST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"), 400},
		{L(POST "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n"), 400},
		{L(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), 400},
		{L("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400},
		{L(POST "Transfer-Encoding: gzip, chunked\r\n\r\n"), 501},
		{L(POST "Transfer-Encoding: chunked, chunked\r\n\r\n"), 501},
		{L(POST "Transfer-Encoding: identity\r\n\r\n"), 501},
		{L(POST "Transfer-Encoding: xchunked\r\n\r\n"), 501},
		{L(POST "Transfer-Encoding: \"chunked\"\r\n\r\n"), 501},
		{L(POST "Transfer-Encoding:\r\n\r\n"), 501},
	};

	check_bad(HTTP1_REQUEST, rows, ARRAY_LEN(rows));
}

static void test_bad_chunks_and_limits(void **state)
{
	static const struct bad rows[] = {
		/* chunks */
		{L(CHUNKED "\r\n"), 400},
		{L(CHUNKED "x\r\n"), 400},
		{L(CHUNKED "-1\r\n"), 400},
		{L(CHUNKED "0x1\r\n"), 400},
		{L(CHUNKED " 1\r\n"), 400},
		{L(CHUNKED "1 \r\na\r\n"), 400},
		{L(CHUNKED "1\na\r\n"), 400},
		{L(CHUNKED "1\r\nab\r\n"), 400},
		{L(CHUNKED "1\r\na\n0\r\n\r\n"), 400},
		{L(CHUNKED "1\r\na0\r\n\r\n"), 400},
		{L(CHUNKED "1\r\na\r0\r\n\r\n"), 400},
		{L(CHUNKED "1;a\nb\r\na\r\n"), 400},
		{L(CHUNKED "1;a\0\r\na\r\n"), 400},
		{L(CHUNKED "1\rXa\r\n"), 400},
		{L(CHUNKED "1000000000000000\r\n"), 400},
		{L(CHUNKED "FFFFFFFFFFFFFFFFF\r\n"), 400},
		{L(CHUNKED "0\r\nA: b\n\r\n"), 400},
		{L(CHUNKED "0\r\nA: \0\r\n\r\n"), 400},
		{L(CHUNKED "0\r\nA\rB\r\n\r\n"), 400},
		{L(CHUNKED "0\r\n\rX"), 400},
		{L(CHUNKED "0\r\n\n"), 400},
		/* limits */
		{L("GET /" X200 " HTTP/1.1\r\n" H "\r\n"), 414},
		{L(X200 X50), 414},
		{L(GET H "A: " X200 X200 X200 X200 X200 X200 X200 X200 X200 X200), 431},
		{L(GET H "A:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:"
			 "\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\n"),
		 431},
	};

	check_bad(HTTP1_REQUEST, rows, ARRAY_LEN(rows));
}

static void test_bad_responses(void **state)
{
	static const struct bad rows[] = {
		{L("HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"), 400},
		{L("HTTP/1.1 200\n"), 400},
		{L("\r\nHTTP/1.1 200 OK\r\n"), 400},
		{L("HTTP/1.1  200 OK\r\n"), 400},
		{L("HTTP/1.1 20 OK\r\n"), 400},
		{L("HTTP/1.1 2000 OK\r\n"), 400},
		{L("HTTP/1.1 20x OK\r\n"), 400},
		{L("HTTP/1.1 099 OK\r\n"), 400},
		{L("HTTP/1.1 600 OK\r\n"), 400},
		{L("HTTP/1.1 \r\n"), 400},
		{L("HTTP/1.1\r\n"), 400},
		{L("HTTP/1.1 200 a\0b\r\n\r\n"), 400},
		{L("HTTP/2 200\r\n\r\n"), 400},
		{L("HTTP/2.0 200 OK\r\n\r\n"), 505},
		{L("ICY 200 OK\r\n\r\n"), 400},
		{L("garbage\r\n"), 400},
		{L("GET / HTTP/1.1\r\n" H "\r\n"), 400},
		{L("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"), 400},
		{L("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"), 400},
		{L("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"), 400},
		{L("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
		 400},
		{L("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"), 501},
		{L("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), 400},
		{L("HTTP/1.1 200 OK\r\nX : y\r\n\r\n"), 400},
		{L("HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n"), 400},
		{L("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nxyz\r\n"), 400},
		{L("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"), 400},
	};
	struct http1 h;
	struct buf out;
	int rc = 0;

	check_bad(HTTP1_RESPONSE, rows, ARRAY_LEN(rows));
	buf_init(&out, 1000);
	http1_init(&h, HTTP1_RESPONSE, &limits);
	for (int i = 0; i < 100 && rc == 0; i++)
		rc = pull(&h, L("HTTP/1.1 102 Processing\r\n\r\n"), &out);
	assert_int_equal(rc, -ERRC_PROTOCOL);
	http1_fini(&h);
	buf_fini(&out);
}

/* Every byte in a name, a value and a target: what passes is exactly what the header promises. */
static void test_every_byte(void **state)
{
	for (int where = 0; where < 3; where++)
		for (int c = 0; c < 256; c++) {
			char text[100];
			int n = snprintf(
				text, sizeof(text), "GET /%c HTTP/1.1\r\n" H "a%cb: x%cy\r\n\r\n",
				where == 0 ? c : '.', where == 1 ? c : '.', where == 2 ? c : '.');
			bool token = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
				     (c >= 'A' && c <= 'Z') || (c && strchr("!#$%&'*+-.^_`|~", c));
			bool want = where == 0   ? c > ' ' && c <= '~'
				    : where == 1 ? token || c == ':'
						 : (c >= ' ' && c != 0x7f) || c == '\t';
			struct slice in = slice_of(text, (size_t)n), body;
			struct http1 h;
			int rc;

			/* llhttp takes no fragment and knows no other byte that is not sent */
			http1_init(&h, HTTP1_REQUEST, &limits);
			rc = http1_next(&h, &in, &body);
			if ((rc == HTTP1_HEAD) != want)
				fail_msg("place %d byte %02x: %d %s", where, c, rc,
					 h.why ? h.why : "");
			http1_fini(&h);
		}
}

static void test_head_answer_has_no_body(void **state)
{
	struct http1 h;
	struct buf out;

	buf_init(&out, 1000);
	http1_init(&h, HTTP1_RESPONSE, &limits);
	http1_answers_head(&h, true);
	assert_int_equal(pull(&h, L("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"), &out), 0);
	assert_string_equal(buf_cstr(&out), "{200 OK 1.1 keep cl=5 [content-length=5]}.");
	assert_true(http1_is_idle(&h));
	assert_int_equal(pull(&h, L("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx"), &out), 0);
	assert_int_equal(out.p[out.len - 2], 'x');
	http1_fini(&h);
	buf_fini(&out);
}

/* A pipeline is read message by message; the head stays valid until the next begins. */
static void test_pull_stops_at_each_message(void **state)
{
	struct slice in = L("GET /1 HTTP/1.1\r\n" H "\r\nGET /2 HTTP/1.1\r\n" H "\r\n"), body;
	struct http1 h;

	http1_init(&h, HTTP1_REQUEST, &limits);
	assert_true(http1_is_idle(&h));
	assert_int_equal(http1_next(&h, &in, &body), HTTP1_HEAD);
	assert_false(http1_is_idle(&h));
	assert_int_equal(http1_next(&h, &in, &body), HTTP1_DONE);
	assert_true(http1_is_idle(&h));
	assert_true(slice_is(h.head.target, "/1"));
	assert_true(slice_has_prefix(in, L("GET /2")));
	assert_int_equal(http1_next(&h, &in, &body), HTTP1_HEAD);
	assert_true(slice_is(h.head.target, "/2"));
	assert_int_equal(http1_next(&h, &in, &body), HTTP1_DONE);
	assert_int_equal(http1_next(&h, &in, &body), HTTP1_MORE);
	assert_int_equal(mem_live_count(), 2);
	http1_relax(&h);
	assert_int_equal(mem_live_count(), 0);
	assert_int_equal(h.head.field_count, 0);
	in = L("GET /3 HTTP/1.1\r\n" H "\r\n");
	assert_int_equal(http1_next(&h, &in, &body), HTTP1_HEAD);
	http1_fini(&h);
	assert_int_equal(mem_live_count(), 0);
}

static void test_lookup(void **state)
{
	struct slice in = L(GET H
			    "X-A: 1\r\nx-b: 2\r\nX-a: 3\r\nconnection: a,\t close ,b\r\n\r\n"),
		     body;
	const struct http1_field *f;
	struct http1 h;

	http1_init(&h, HTTP1_REQUEST, &limits);
	assert_int_equal(http1_next(&h, &in, &body), HTTP1_HEAD);
	f = http1_find(&h.head, "x-a");
	assert_true(slice_is(f->value, "1"));
	f = http1_find_next(&h.head, "x-a", f);
	assert_true(slice_is(f->value, "3"));
	assert_null(http1_find_next(&h.head, "x-a", f));
	assert_true(slice_is(http1_header(&h.head, "x-b"), "2"));
	assert_null(http1_header(&h.head, "x-c").p);
	assert_true(http1_list_has(&h.head, "connection", "close"));
	assert_false(http1_list_has(&h.head, "connection", "clos"));
	assert_false(h.head.keep_alive);
	http1_fini(&h);
}

/* Endless extensions, trailers and one-byte pieces end in a refusal, with no memory used for them. */
static void test_endless_extras(void **state)
{
	static const char *const starts[] = {CHUNKED "1;", CHUNKED "0\r\nA: "};
	struct buf out;

	buf_init(&out, 1000);
	for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
		struct http1 h;
		size_t n = 0;
		int rc;

		http1_init(&h, HTTP1_REQUEST, &limits);
		rc = pull(&h, slice_str(starts[i]), &out);
		for (; rc == 0 && n < 1000000; n++)
			rc = pull(&h, L("x"), &out);
		assert_int_equal(rc, -ERRC_PROTOCOL);
		assert_in_range(n, HTTP1_BODY_EXTRA_MAX - 10, HTTP1_BODY_EXTRA_MAX + 10);
		http1_fini(&h);
	}
	buf_fini(&out);
}

static void test_failing_allocations(void **state)
{
	struct buf out;
	bool failed = true;

	buf_init(&out, 10000);
	assert_int_equal(buf_addc(&out, ' '), ERRC_OK);
	for (unsigned n = 1; failed; n++) {
		struct slice in = L(GET H "A:\r\nB:\r\nC:\r\nD:\r\nE:\r\nF:\r\n\r\n"), body;
		struct http1 h;
		int rc;

		http1_init(&h, HTTP1_REQUEST, &limits);
		mem_fail_after(n);
		rc = http1_next(&h, &in, &body);
		mem_fail_after(0);
		failed = rc != HTTP1_HEAD;
		if (failed) {
			assert_int_equal(rc, -ERRC_NOMEM);
			assert_int_equal(http1_fault_status(&h), 500);
		}
		http1_fini(&h);
		assert_in_range(n, 1, 10);
	}
	buf_fini(&out);
	assert_int_equal(mem_live_count(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_responses),
		cmocka_unit_test(test_bad_requests),
		cmocka_unit_test(test_bad_host_and_length),
		cmocka_unit_test(test_bad_chunks_and_limits),
		cmocka_unit_test(test_bad_responses),
		cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_head_answer_has_no_body),
		cmocka_unit_test(test_pull_stops_at_each_message),
		cmocka_unit_test(test_lookup),
		cmocka_unit_test(test_endless_extras),
		cmocka_unit_test(test_failing_allocations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
