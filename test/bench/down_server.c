/* An HTTP server that answers every request with a fixed body: what listen, the turn and down_conn cost without anything above them.
 * down_server PORT [BODY_BYTES [tls]]; compare with nginx `return 200`, both loaded by wrk. Ends on SIGTERM. */
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "down_conn.h"
#include "mem.h"
#include "test_cert.h"
#include "text.h"

#define BODY_MAX (1 << 20)

struct server {
	uv_loop_t loop;
	struct turn *turn;
	struct tls *tls;
	struct tls_server *cert;
	struct listen_set *set;
	struct listen *listen;
	struct down_host *host;
	uv_signal_t term;
	struct slice body;
};

static void on_request(void *arg, struct down_conn *dc, const struct http1_head *head,
		       const struct down_fault *fault)
{
	struct server *s = arg;
	const struct down_answer a = {.status = fault ? fault->status : 200,
				      .fields = SLICE_LIT("content-type: application/json\r\n")};

	(void)head;
	down_conn_take(dc, &down_conn_deaf, NULL);
	down_conn_read_start(dc);
	if (down_conn_answer(dc, &a, &s->body, 1))
		down_conn_cut(dc);
}

static const struct down_host_events host_ev = {on_request};

static void on_conn(void *arg, struct xport *x, const struct listen_peer *peer)
{
	struct server *s = arg;

	if (down_conn_open(s->host, x, peer))
		fprintf(stderr, "no memory for a connection\n");
}

static void on_drained(void *arg)
{
	(void)arg;
}

static const struct listen_events listen_ev = {on_conn, on_drained};

static int socket_open(uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons(port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
	    bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 || listen(fd, 1024) != 0) {
		perror("listen");
		exit(1);
	}
	return fd;
}

static void cert_new(struct server *s)
{
	struct test_cert c;
	char why[200] = "";

	require(tls_new(s->turn, &s->tls) == ERRC_OK);
	test_cert_make(&c, "localhost", NULL, "20991231235959");
	require(tls_server_new(s->tls, slice_str(c.crt_pem), slice_str(c.key_pem), why, sizeof(why),
			       &s->cert) == ERRC_OK);
	test_cert_drop(&c);
}

static void on_term(uv_signal_t *h, int signum)
{
	(void)signum;
	uv_stop(h->loop);
}

static void down(struct server *s)
{
	listen_close(&s->listen);
	down_host_free(&s->host);
	listen_set_free(&s->set);
	turn_step(s->turn);
	tls_server_drop(&s->cert);
	tls_free(&s->tls);
	uv_close((uv_handle_t *)&s->term, NULL);
	turn_free(&s->turn);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	uv_loop_close(&s->loop);
	if (mem_live_count() != 1)
		fprintf(stderr, "%zu allocations left\n", mem_live_count());
}

int main(int argc, char **argv)
{
	struct listen_opts lo = {.tls_ms = 5000};
	const struct down_opts opts = DOWN_OPTS_DEFAULT;
	struct server s = {.turn = NULL};
	uint64_t port = 0, size = 100;
	char *body;

	if (argc < 2 || !text_u64(slice_str(argv[1]), &port) ||
	    (argc > 2 && !text_u64(slice_str(argv[2]), &size)) || port > UINT16_MAX ||
	    size > BODY_MAX) {
		fprintf(stderr, "usage: down_server PORT [BODY_BYTES [tls]]\n");
		return 2;
	}
	body = mem_new(size + 1);
	require(body != NULL);
	memset(body, 'a', size);
	s.body = slice_of(body, size);
	require(uv_loop_init(&s.loop) == 0 && turn_new(&s.loop, &s.turn) == ERRC_OK);
	if (argc > 3)
		cert_new(&s);
	lo.tls = s.cert;
	require(listen_set_new(s.turn, 100000, 0, &s.set) == ERRC_OK);
	require(down_host_new(s.turn, &opts, s.set, &host_ev, &s, &s.host) == ERRC_OK);
	require(listen_open(s.set, socket_open((uint16_t)port), &lo, &listen_ev, &s, &s.listen) ==
		ERRC_OK);
	uv_signal_init(&s.loop, &s.term);
	uv_signal_start(&s.term, on_term, SIGTERM);
	uv_run(&s.loop, UV_RUN_DEFAULT);
	down(&s);
	mem_free(body);
	return 0;
}
