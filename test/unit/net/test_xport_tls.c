/* TLS between two xport_tls over joined memory transports, with certificates made here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "mem.h"
#include "mem_xport.h"
#include "test_cert.h"
#include "tls.h"

static struct test_cert root, good, old;
static size_t live_before;

static int make_certs(void **state)
{
	(void)state;
	test_cert_make(&root, "root", NULL, "20991231235959");
	test_cert_make(&good, "api.example.com", &root, "20991231235959");
	test_cert_make(&old, "api.example.com", &root, "20210101000000");
	live_before = mem_live_count();
	return 0;
}

static int drop_certs(void **state)
{
	(void)state;
	test_cert_drop(&root);
	test_cert_drop(&good);
	test_cert_drop(&old);
	return 0;
}

/* --- one side --- */

struct side {
	struct mem_xport *mem;
	struct xport *x;
	bool done, resumed, eof, stop_after_data;
	enum errc result, error;
	char why[256], version[16];
	struct buf got;
	int writables;
};

struct fixture {
	uv_loop_t loop;
	struct turn *turn;
	struct tls *tls;
	struct tls_client *client;
	struct tls_server *server;
	struct tls_sessions *sessions;
	struct side c, s;
};

static void on_data(void *arg, struct slice data)
{
	struct side *s = arg;

	assert_int_equal(buf_adds(&s->got, data), ERRC_OK);
	if (s->stop_after_data)
		xport_read_stop(s->x);
}

static void on_eof(void *arg)
{
	((struct side *)arg)->eof = true;
}

static void on_error(void *arg, enum errc e)
{
	((struct side *)arg)->error = e;
}

static void on_writable(void *arg)
{
	((struct side *)arg)->writables++;
}

static void on_hangup(void *arg)
{
	(void)arg;
}

static const struct xport_events side_ev = {.on_data = on_data,
					    .on_eof = on_eof,
					    .on_error = on_error,
					    .on_writable = on_writable,
					    .on_hangup = on_hangup};

static void on_done(void *arg, const struct tls_result *r)
{
	struct side *s = arg;

	assert_false(s->done);
	s->done = true;
	s->result = r->errc;
	s->resumed = r->resumed;
	snprintf(s->why, sizeof(s->why), "%s", r->why);
	snprintf(s->version, sizeof(s->version), "%s", r->version);
	if (r->errc)
		return;
	xport_set_events(s->x, &side_ev, s);
	xport_read_start(s->x);
}

static struct fixture *fixture_new(const struct test_cert *cert)
{
	struct fixture *f = mem_new_of(struct fixture);
	char why[256] = "";

	assert_non_null(f);
	assert_int_equal(uv_loop_init(&f->loop), 0);
	assert_int_equal(turn_new(&f->loop, &f->turn), ERRC_OK);
	assert_int_equal(tls_new(f->turn, &f->tls), ERRC_OK);
	assert_int_equal(
		tls_client_new(f->tls, slice_str(root.crt_pem), why, sizeof(why), &f->client),
		ERRC_OK);
	assert_int_equal(tls_server_new(f->tls, slice_str(cert->crt_pem), slice_str(cert->key_pem),
					why, sizeof(why), &f->server),
			 ERRC_OK);
	assert_int_equal(tls_sessions_new(&f->sessions), ERRC_OK);
	return f;
}

static void connect_sides(struct fixture *f, const char *host)
{
	struct xport *lower = NULL;

	f->c = (struct side){0};
	f->s = (struct side){0};
	buf_init(&f->c.got, 64 << 20);
	buf_init(&f->s.got, 64 << 20);
	assert_int_equal(mem_xport_new(f->turn, &f->c.mem, &lower), ERRC_OK);
	assert_int_equal(tls_connect(f->client, &lower, host, f->sessions, on_done, &f->c, &f->c.x),
			 ERRC_OK);
	assert_null(lower);
	assert_int_equal(mem_xport_new(f->turn, &f->s.mem, &lower), ERRC_OK);
	assert_int_equal(tls_accept(f->server, &lower, on_done, &f->s, &f->s.x), ERRC_OK);
}

static void sides_close(struct fixture *f)
{
	xport_close(&f->c.x);
	xport_close(&f->s.x);
	mem_xport_free(&f->c.mem);
	mem_xport_free(&f->s.mem);
	buf_fini(&f->c.got);
	buf_fini(&f->s.got);
}

static void fixture_free(struct fixture *f)
{
	sides_close(f);
	tls_sessions_free(&f->sessions);
	turn_step(f->turn);
	uv_run(&f->loop, UV_RUN_NOWAIT);
	tls_client_drop(&f->client);
	tls_server_drop(&f->server);
	tls_free(&f->tls);
	turn_free(&f->turn);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	mem_free(f);
	assert_int_equal(mem_live_count(), live_before);
}

/* The thread answers through the loop: turns are run until nothing is under way. */
static void run_until_quiet(struct fixture *f, size_t step)
{
	struct tls_stats st;

	do {
		mem_xport_exchange(f->c.mem, f->s.mem, step);
		tls_stats_get(f->tls, &st);
		if (st.queued > 0) {
			uv_run(&f->loop, UV_RUN_NOWAIT);
			continue;
		}
		turn_step(f->turn);
		tls_stats_get(f->tls, &st);
	} while (st.queued > 0 || mem_xport_exchange(f->c.mem, f->s.mem, step));
}

static void send_all(struct fixture *f, struct side *from, struct slice data, size_t step)
{
	while (data.n > 0) {
		struct iovec v = {(void *)data.p, data.n};
		size_t taken = 0;

		assert_int_equal(xport_write(from->x, &v, 1, &taken), ERRC_OK);
		data.p += taken;
		data.n -= taken;
		run_until_quiet(f, step);
	}
}

/* --- tests --- */

static void test_handshake_and_data(void **state)
{
	static const size_t steps[] = {0, 1, 7, 1000};
	char big[70000];

	(void)state;
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 31);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct fixture *f = fixture_new(&good);

		connect_sides(f, "api.example.com");
		run_until_quiet(f, steps[i]);
		assert_string_equal(f->c.why, "");
		assert_true(f->c.done && f->s.done);
		assert_int_equal(f->c.result, ERRC_OK);
		assert_int_equal(f->s.result, ERRC_OK);
		assert_string_equal(f->c.version, "TLSv1.3");
		send_all(f, &f->c, SLICE_LIT("hello"), steps[i]);
		assert_true(slice_is(buf_slice(&f->s.got), "hello"));
		send_all(f, &f->s, slice_of(big, sizeof(big)), steps[i]);
		assert_true(slice_eq(buf_slice(&f->c.got), slice_of(big, sizeof(big))));
		xport_shutdown(f->c.x);
		run_until_quiet(f, steps[i]);
		assert_true(f->s.eof);
		fixture_free(f);
	}
}

/* A client's first bytes may come behind its handshake in any number while the thread is still at it. */
static void test_much_behind_the_handshake(void **state)
{
	static char big[600000];
	struct fixture *f = fixture_new(&good);
	struct slice left = slice_of(big, sizeof(big));

	(void)state;
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 31);
	connect_sides(f, "api.example.com");
	while (!f->c.done) {
		mem_xport_exchange(f->c.mem, f->s.mem, TURN_SCRATCH);
		uv_run(&f->loop, UV_RUN_NOWAIT);
	}
	assert_false(f->s.done);
	while (left.n > 0) {
		struct iovec v = {(void *)left.p, left.n};
		size_t taken = 0;

		assert_int_equal(xport_write(f->c.x, &v, 1, &taken), ERRC_OK);
		left = slice_sub(left, taken, left.n);
	}
	run_until_quiet(f, TURN_SCRATCH);
	assert_int_equal(f->s.result, ERRC_OK);
	assert_int_equal(f->s.error, ERRC_OK);
	assert_true(slice_eq(buf_slice(&f->s.got), slice_of(big, sizeof(big))));
	fixture_free(f);
}

static void test_resumption(void **state)
{
	struct fixture *f = fixture_new(&good);
	struct tls_stats st;
	const struct tls_ticket_key key = {.name = {1, 2, 3, 4}, .key = {5, 6, 7}};

	(void)state;
	assert_int_equal(tls_set_ticket_key(f->tls, &key), ERRC_OK);
	for (int i = 0; i < 3; i++) {
		connect_sides(f, "api.example.com");
		run_until_quiet(f, 0);
		assert_int_equal(f->c.result, ERRC_OK);
		assert_int_equal(f->c.resumed, i > 0);
		assert_int_equal(f->s.resumed, i > 0);
		send_all(f, &f->s, SLICE_LIT("x"), 0); /* the ticket comes before it */
		assert_true(slice_is(buf_slice(&f->c.got), "x"));
		sides_close(f);
		turn_step(f->turn);
	}
	tls_stats_get(f->tls, &st);
	assert_int_equal(st.client_full, 1);
	assert_int_equal(st.client_resumed, 2);
	assert_int_equal(st.server_full, 1);
	assert_int_equal(st.server_resumed, 2);
	fixture_free(f);
}

static void refused(const struct test_cert *cert, const char *host, const char *cause)
{
	struct fixture *f = fixture_new(cert);

	connect_sides(f, host);
	run_until_quiet(f, 0);
	assert_true(f->c.done && f->s.done);
	assert_int_equal(f->c.result, ERRC_TLS_CERT);
	assert_non_null(strstr(f->c.why, cause));
	assert_int_not_equal(f->s.result, ERRC_OK);
	fixture_free(f);
}

static void refused_when(struct test_cert *c, const char *made_for, const struct test_cert *issuer,
			 const char *host, const char *cause)
{
	test_cert_make(c, made_for, issuer, "20991231235959");
	live_before++;
	refused(c, host, cause);
	test_cert_drop(c);
	live_before--;
}

/* A reload that trusts other certificates forgets the sessions; a handshake of before must not leave one behind that then
 * is resumed without a look at any certificate. */
static void test_no_session_of_before_is_kept(void **state)
{
	struct fixture *f = fixture_new(&good);

	(void)state;
	connect_sides(f, "api.example.com");
	tls_sessions_clear(f->sessions);
	run_until_quiet(f, TURN_SCRATCH);
	assert_int_equal(f->c.result, ERRC_OK);
	send_all(f, &f->s, SLICE_LIT("tickets come with the first bytes"), TURN_SCRATCH);
	sides_close(f);
	connect_sides(f, "api.example.com");
	run_until_quiet(f, TURN_SCRATCH);
	assert_int_equal(f->c.result, ERRC_OK);
	assert_false(f->c.resumed);
	send_all(f, &f->s, SLICE_LIT("x"), TURN_SCRATCH);
	sides_close(f);
	connect_sides(f, "api.example.com");
	run_until_quiet(f, TURN_SCRATCH);
	assert_true(f->c.resumed);
	fixture_free(f);
}

static void test_bad_certificates_are_refused(void **state)
{
	struct test_cert lonely = {.key = NULL}, weak = {.is_weak = true}, ip = {.key = NULL},
			 foreign = {.key = NULL};

	(void)state;
	refused(&good, "other.example.com", "does not match");
	refused(&good, "example.com", "does not match");
	refused(&good, "127.0.0.1", "does not match");
	refused(&old, "api.example.com", "expired");
	refused_when(&lonely, "api.example.com", NULL, "api.example.com",
		     "not correctly signed by the trusted CA");
	refused_when(&weak, "api.example.com", &root, "api.example.com", "unacceptable hash");
	refused_when(&ip, "127.0.0.1", &root, "127.0.0.2", "does not match");
	test_cert_make(&lonely, "root", NULL, "20991231235959"); /* our root's name, another key */
	live_before++;
	refused_when(&foreign, "api.example.com", &lonely, "api.example.com",
		     "not correctly signed by the trusted CA");
	test_cert_drop(&lonely);
	live_before--;
}

static void test_address_in_the_certificate(void **state)
{
	struct test_cert ip = {.key = NULL};
	struct fixture *f;

	(void)state;
	test_cert_make(&ip, "127.0.0.1", &root, "20991231235959");
	live_before++;
	f = fixture_new(&ip);
	connect_sides(f, "127.0.0.1");
	run_until_quiet(f, 0);
	assert_string_equal(f->c.why, "");
	assert_int_equal(f->c.result, ERRC_OK);
	fixture_free(f);
	test_cert_drop(&ip);
	live_before--;
}

/* The n-th allocation of ours fails while a connection is made: it fails, and nothing is left behind or waited for. */
static void test_out_of_memory(void **state)
{
	bool done = false;

	(void)state;
	for (unsigned n = 1; !done && n < 200; n++) {
		struct fixture *f = fixture_new(&good);
		struct xport *lower = NULL;
		struct tls_stats st;

		connect_sides(f, "api.example.com");
		xport_close(&f->c.x);
		mem_xport_free(&f->c.mem);
		assert_int_equal(mem_xport_new(f->turn, &f->c.mem, &lower), ERRC_OK);
		mem_fail_after(n);
		if (tls_connect(f->client, &lower, "api.example.com", NULL, on_done, &f->c,
				&f->c.x) == ERRC_OK)
			run_until_quiet(f, 0);
		mem_fail_after(0);
		done = f->c.done && f->c.result == ERRC_OK && f->s.result == ERRC_OK;
		xport_close(&lower);
		do {
			uv_run(&f->loop, UV_RUN_NOWAIT);
			tls_stats_get(f->tls, &st);
		} while (st.queued > 0);
		fixture_free(f);
	}
	assert_true(done);
}

static void test_no_hostname_no_connection(void **state)
{
	struct fixture *f = fixture_new(&good);
	struct mem_xport *m = NULL;
	struct xport *lower = NULL, *x = NULL;

	(void)state;
	assert_int_equal(mem_xport_new(f->turn, &m, &lower), ERRC_OK);
	assert_int_equal(tls_connect(f->client, &lower, "", NULL, on_done, &f->c, &x), ERRC_INVAL);
	assert_int_equal(tls_connect(f->client, &lower, NULL, NULL, on_done, &f->c, &x), ERRC_INVAL);
	assert_non_null(lower);
	xport_close(&lower);
	mem_xport_free(&m);
	fixture_free(f);
}

static void test_garbage_and_end_during_the_handshake(void **state)
{
	struct fixture *f = fixture_new(&good);

	(void)state;
	connect_sides(f, "api.example.com");
	assert_int_equal(mem_xport_feed(f->s.mem, SLICE_LIT("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 0),
			 ERRC_OK);
	while (!f->s.done)
		uv_run(&f->loop, UV_RUN_NOWAIT);
	assert_int_equal(f->s.result, ERRC_TLS);
	mem_xport_eof(f->c.mem);
	while (!f->c.done)
		uv_run(&f->loop, UV_RUN_NOWAIT);
	assert_int_equal(f->c.result, ERRC_EOF);
	fixture_free(f);
}

/* Closed while the thread works: nothing comes any more, and the context is freed when it is back. */
static void test_close_while_away(void **state)
{
	struct fixture *f = fixture_new(&good);

	(void)state;
	connect_sides(f, "api.example.com");
	xport_close(&f->c.x);
	assert_null(f->c.x);
	turn_step(f->turn);
	assert_false(f->c.done);
	fixture_free(f);
}

/* The lower side takes little at a time: what was taken is kept in order, on_writable comes when all is out. */
static void test_slow_lower_side(void **state)
{
	struct fixture *f = fixture_new(&good);
	char big[40000];
	struct iovec v = {big, sizeof(big)};
	size_t taken = 0, at = 0;

	(void)state;
	memset(big, 'q', sizeof(big));
	connect_sides(f, "api.example.com");
	run_until_quiet(f, 0);
	mem_xport_window(f->s.mem, 0);
	while (at < sizeof(big)) {
		v = (struct iovec){big + at, sizeof(big) - at};
		assert_int_equal(xport_write(f->s.x, &v, 1, &taken), ERRC_OK);
		at += taken;
		assert_false(xport_is_drained(f->s.x));
		f->s.writables = 0;
		while (f->s.writables == 0)
			mem_xport_window(f->s.mem, 1000);
		mem_xport_window(f->s.mem, 0);
		run_until_quiet(f, 0);
	}
	assert_true(slice_eq(buf_slice(&f->c.got), slice_of(big, sizeof(big))));
	fixture_free(f);
}

static void test_read_stop_holds_back(void **state)
{
	struct fixture *f = fixture_new(&good);
	char big[50000];
	int rounds = 0;

	(void)state;
	memset(big, 'z', sizeof(big));
	connect_sides(f, "api.example.com");
	run_until_quiet(f, 0);
	f->c.stop_after_data = true;
	send_all(f, &f->s, slice_of(big, sizeof(big)), 0);
	xport_shutdown(f->s.x);
	run_until_quiet(f, 0);
	assert_in_range(f->c.got.len, 1, 16384);
	assert_false(f->c.eof);
	while (!f->c.eof && rounds++ < 100) {
		xport_read_start(f->c.x);
		run_until_quiet(f, 0);
	}
	assert_true(f->c.eof);
	assert_true(slice_eq(buf_slice(&f->c.got), slice_of(big, sizeof(big))));
	fixture_free(f);
}

/* A server of TLS 1.2 takes the first signature that it likes; the library cannot check PSS there. */
static void test_pkcs1_is_offered_before_pss(void **state)
{
	static const unsigned char pkcs1[] = {0x04, 0x01}, pss[] = {0x08, 0x04},
				   extension[] = {0x00, 0x0d, 0x00};
	struct fixture *f = fixture_new(&good);
	struct slice hello;
	ptrdiff_t at, first, second;

	(void)state;
	connect_sides(f, "api.example.com");
	while (mem_xport_out(f->c.mem).n == 0)
		uv_run(&f->loop, UV_RUN_NOWAIT);
	hello = mem_xport_out(f->c.mem);
	at = slice_find(hello, slice_of(extension, sizeof(extension)));
	assert_true(at > 0);
	hello = slice_sub(hello, (size_t)at + 6, (size_t)(unsigned char)hello.p[at + 5]);
	first = slice_find(hello, slice_of(pkcs1, sizeof(pkcs1)));
	second = slice_find(hello, slice_of(pss, sizeof(pss)));
	assert_true(first >= 0 && second > first);
	fixture_free(f);
}

static void test_contexts_that_cannot_be(void **state)
{
	struct fixture *f = fixture_new(&good);
	struct tls_client *c = NULL;
	struct tls_server *s = NULL;
	char why[256] = "";

	(void)state;
	assert_int_equal(tls_client_new(f->tls, SLICE_LIT("no certificate"), why, sizeof(why), &c),
			 ERRC_TLS_CERT);
	assert_null(c);
	assert_non_null(strstr(why, "the configured certificates"));
	assert_int_equal(tls_server_new(f->tls, slice_str(good.crt_pem), slice_str(root.key_pem),
					why, sizeof(why), &s),
			 ERRC_TLS_CERT);
	assert_null(s);
	assert_non_null(strstr(why, "do not belong together"));
	assert_int_equal(tls_server_new(f->tls, SLICE_LIT("no"), slice_str(root.key_pem), why,
					sizeof(why), &s),
			 ERRC_TLS_CERT);
	assert_non_null(strstr(why, "certificate"));
	fixture_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handshake_and_data),
		cmocka_unit_test(test_much_behind_the_handshake),
		cmocka_unit_test(test_resumption),
		cmocka_unit_test(test_no_session_of_before_is_kept),
		cmocka_unit_test(test_bad_certificates_are_refused),
		cmocka_unit_test(test_address_in_the_certificate),
		cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_no_hostname_no_connection),
		cmocka_unit_test(test_garbage_and_end_during_the_handshake),
		cmocka_unit_test(test_close_while_away),
		cmocka_unit_test(test_slow_lower_side),
		cmocka_unit_test(test_read_stop_holds_back),
		cmocka_unit_test(test_pkcs1_is_offered_before_pss),
		cmocka_unit_test(test_contexts_that_cannot_be),
	};

	return cmocka_run_group_tests(tests, make_certs, drop_certs);
}
