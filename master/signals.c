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
			(void)reload_request(m, -1);
		break;
	case SIGUSR1:
		(void)!(int)master_log_reopen(m);
		break;
	case SIGINT:
		drain_start(m, drain_is_on(m));
		break;
	default: /* TERM, QUIT */
		drain_start(m, false);
		break;
	}
}

/* Stops of a terminal among them: a gateway that stands still serves nobody. */
static const int ignored[] = {SIGPIPE, SIGUSR2,   SIGALRM, SIGVTALRM, SIGPROF, SIGIO,   SIGPWR,
			      SIGURG,  SIGSTKFLT, SIGXCPU, SIGXFSZ,   SIGTSTP, SIGTTIN, SIGTTOU};

void signals_ignore(void)
{
	for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
		signal(ignored[i], SIG_IGN);
	for (int s = SIGRTMIN; s <= SIGRTMAX; s++)
		signal(s, SIG_IGN);
}

void signals_ignore_in_child(void)
{
	static const int of_master[] = {SIGHUP, SIGINT, SIGQUIT, SIGUSR1};

	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL);
	signals_ignore();
	for (size_t i = 0; i < ARRAY_LEN(of_master); i++)
		signal(of_master[i], SIG_IGN);
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
