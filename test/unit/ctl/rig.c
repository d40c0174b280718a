#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "ctl.h"

static struct rig *now; /* ctl_main() passes nothing through */

void rig_init(struct rig *r)
{
	int fds[2];

	*r = (struct rig){.peer = -1, .client = -1};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	r->peer = fds[0];
	r->client = fds[1];
	chan_init(&r->chan, r->peer, LIMIT_FRAME_CONTROL + 1024);
}

void rig_fini(struct rig *r)
{
	if (r->client >= 0)
		close(r->client);
	chan_fini(&r->chan);
}

void rig_row(struct rig *r, const char *kind, const struct control_field *f, size_t n)
{
	assert_int_equal(control_send_row(&r->chan, kind, f, n), ERRC_OK);
}

void rig_end(struct rig *r, enum control_status status, const char *code, const char *message,
	     const char *file, unsigned line)
{
	assert_int_equal(control_send_end(&r->chan, status, code, slice_str(message), file, line),
			 ERRC_OK);
}

void rig_done(struct rig *r, const char *message)
{
	rig_end(r, CONTROL_DONE, "", message, NULL, 0);
}

static int give(struct ctl *c)
{
	int fd = now->client;

	(void)c;
	assert_true(fd >= 0);
	now->client = -1;
	return fd;
}

static void read_back(int fd, char *out, size_t n)
{
	ssize_t got = pread(fd, out, n - 1, 0);

	assert_true(got >= 0);
	out[got] = '\0';
	close(fd);
}

static void read_request(struct rig *r)
{
	struct msg m;

	r->verb[0] = '\0';
	r->n = 0;
	if (chan_read(&r->chan) || msg_next(&r->chan, MSG_AT_SERVER, &m) != 1)
		return;
	assert_true(m.request.verb.n < sizeof(r->verb) && m.request.args.n < sizeof(r->args));
	memcpy(r->verb, m.request.verb.p, m.request.verb.n);
	r->verb[m.request.verb.n] = '\0';
	memcpy(r->args, m.request.args.p, m.request.args.n);
	assert_int_equal(
		control_decode(slice_of(r->args, m.request.args.n), r->f, ARRAY_LEN(r->f), &r->n),
		ERRC_OK);
}

int rig_run(struct rig *r, const char *const *args)
{
	int out = memfd_create("out", MFD_CLOEXEC), err = memfd_create("err", MFD_CLOEXEC), argc = 0;

	while (args[argc])
		argc++;
	now = r;
	r->status = ctl_main(argc, (char *const *)args, r->env, out, err, give);
	read_back(out, r->out, sizeof(r->out));
	read_back(err, r->err, sizeof(r->err));
	if (r->client < 0)
		read_request(r);
	return r->status;
}
