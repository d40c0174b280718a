#include "signals.h"

#include <signal.h>

#include "log.h"
#include "master.h"

static void on_signal(uv_signal_t *h, int signum)
{
	struct master *m = h->data;

	switch (signum) {
	case SIGCHLD:
		supervisor_reap(m);
		break;
	case SIGHUP:
		if (!drain_is_on(m))
			(void)reload_request(m);
		break;
	case SIGUSR1:
		master_log_reopen(m);
		break;
	case SIGINT:
		drain_start(m, drain_is_on(m));
		break;
	default: /* TERM, QUIT */
		drain_start(m, false);
		break;
	}
}

void signals_ignore(void)
{
	signal(SIGPIPE, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
	signal(SIGALRM, SIG_IGN);
}

void signals_start(struct master *m)
{
	static const int signums[] = {SIGCHLD, SIGHUP, SIGUSR1, SIGINT, SIGTERM, SIGQUIT};

	for (size_t i = 0; i < ARRAY_LEN(signums); i++) {
		require(i < SIGNALS_MAX && uv_signal_init(&m->loop, &m->signals[i]) == 0);
		m->signals[i].data = m;
		require(uv_signal_start(&m->signals[i], on_signal, signums[i]) == 0);
	}
}
