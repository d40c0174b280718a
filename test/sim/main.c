/* aigwsim: a provider on this machine, for the demo, tests and benchmarks. README.md beside it tells what it can play. */
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <signal.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "script.h"
#include "sim.h"
#include "text.h"

#define BACKLOG     4096
#define WORKERS_MAX 64
#define PEM_MAX     (256 * 1024)

struct options {
	struct in_addr host;
	uint16_t port;
	int64_t workers;
	const char *exchanges, *certificate, *key;
};

static void usage(FILE *to)
{
	fprintf(to, "usage: aigwsim [--listen ADDRESS:PORT] [--workers N] [--exchanges DIR] "
		    "[--certificate FILE --key FILE]\n\n"
		    "Plays an AI provider: /v1/chat/completions, /v1/completions, /v1/embeddings, "
		    "/v1/models, /v1/messages.\n"
		    "GET /sim/counts, /sim/requests and /sim/last tell what it has sent and "
		    "received, POST /sim/reset clears that.\n"
		    "A model `replay:ID` is answered with that exchange of --exchanges.\n\n");
	if (to == stdout)
		script_help();
}

static int open_socket(const struct options *o)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_addr = o->host, .sin_port = htons(o->port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (o->workers > 1)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 || listen(fd, BACKLOG) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool parse_listen(const char *text, struct options *o)
{
	struct slice port = slice_str(text), host;
	char name[64];
	uint64_t n;

	if (!slice_cut(&port, ':', &host) || host.n >= sizeof(name) || !text_u64(port, &n) ||
	    n > 65535)
		return false;
	memcpy(name, host.p, host.n);
	name[host.n] = '\0';
	o->port = (uint16_t)n;
	return inet_pton(AF_INET, name, &o->host) == 1;
}

static bool read_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {{"listen", required_argument, NULL, 'l'},
					      {"workers", required_argument, NULL, 'w'},
					      {"exchanges", required_argument, NULL, 'e'},
					      {"certificate", required_argument, NULL, 'c'},
					      {"key", required_argument, NULL, 'k'},
					      {"help", no_argument, NULL, 'h'},
					      {NULL, 0, NULL, 0}};
	int c;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (c == 'h') {
			usage(stdout);
			exit(0);
		}
		if ((c == 'l' && !parse_listen(optarg, o)) ||
		    (c == 'w' && (!text_i64(slice_str(optarg), &o->workers) || o->workers < 1 ||
				  o->workers > WORKERS_MAX)) ||
		    c == '?')
			return false;
		if (c == 'e')
			o->exchanges = optarg;
		if (c == 'c')
			o->certificate = optarg;
		if (c == 'k')
			o->key = optarg;
	}
	return optind == argc && !o->certificate == !o->key;
}

static bool read_pem(const char *path, struct buf *out)
{
	FILE *f = fopen(path, "rb");
	char *room;

	buf_init(out, PEM_MAX);
	if (!f || buf_reserve(out, PEM_MAX, &room)) {
		fprintf(stderr, "aigwsim: %s: %s\n", path, strerror(errno));
		return false;
	}
	buf_commit(out, fread(room, 1, PEM_MAX, f));
	fclose(f);
	return true;
}

static bool open_tls(struct turn *t, const struct options *o, struct tls **tls,
		     struct tls_server **server)
{
	struct buf chain, key;
	char why[256] = "";
	bool ok = read_pem(o->certificate, &chain) && read_pem(o->key, &key) &&
		  tls_new(t, tls) == ERRC_OK;

	if (ok &&
	    tls_server_new(*tls, buf_slice(&chain), buf_slice(&key), why, sizeof(why), server)) {
		fprintf(stderr, "aigwsim: %s\n", why);
		ok = false;
	}
	return ok;
}

/* One process: serves until it is told to end. */
static int serve(const struct options *o, struct count *count, int fd)
{
	uv_loop_t loop;
	struct turn *t = NULL;
	struct tls *tls = NULL;
	struct sim *s;
	struct sim_opts so = {.exchanges = o->exchanges, .fd = fd, .count = count};

	if (uv_loop_init(&loop) || turn_new(&loop, &t) ||
	    (o->certificate && !open_tls(t, o, &tls, &so.tls)) || sim_new(t, &so, &s)) {
		fprintf(stderr, "aigwsim: cannot start\n");
		return 1;
	}
	return uv_run(&loop, UV_RUN_DEFAULT);
}

static void start_workers(const struct options *o, struct count *count)
{
	pid_t parent = getpid();

	for (int64_t i = 1; i < o->workers; i++) {
		if (fork() != 0)
			continue;
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() != parent)
			_exit(0);
		_exit(serve(o, count, open_socket(o)));
	}
}

int main(int argc, char **argv)
{
	struct options o = {.host = {htonl(INADDR_LOOPBACK)}, .port = 9900, .workers = 1};
	struct sockaddr_in a;
	socklen_t n = sizeof(a);
	struct count *count = count_new();
	int fd;

	if (!read_options(argc, argv, &o)) {
		usage(stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	fd = open_socket(&o);
	if (fd < 0 || !count || getsockname(fd, (struct sockaddr *)&a, &n) != 0) {
		fprintf(stderr, "aigwsim: cannot listen on port %u: %s\n", o.port, strerror(errno));
		return 1;
	}
	o.port = ntohs(a.sin_port);
	printf("aigwsim: listening on %s:%u\n", inet_ntoa(o.host), o.port);
	fflush(stdout);
	start_workers(&o, count);
	return serve(&o, count, fd);
}
