/* The thread that makes handshakes: jobs in, jobs out, in order. */
#include "tls_priv.h"

#define THREAD_STACK (256 * 1024)

static void thread_main(void *arg)
{
	struct tls *tls = arg;
	struct tls_job *j;
	struct list *n;

	uv_mutex_lock(&tls->lock);
	while (!tls->stop) {
		n = list_pop_front(&tls->todo);
		if (!n) {
			uv_cond_wait(&tls->wake, &tls->lock);
			continue;
		}
		j = list_entry(n, struct tls_job, node);
		uv_mutex_unlock(&tls->lock);
		j->work(j);
		uv_mutex_lock(&tls->lock);
		list_push_back(&tls->finished, &j->node);
		uv_async_send(&tls->async);
	}
	uv_mutex_unlock(&tls->lock);
}

/* Calls `done` of the jobs of a list. */
static void jobs_finish(struct tls *tls, struct list *from)
{
	struct list jobs;
	struct list *n;

	list_init(&jobs);
	uv_mutex_lock(&tls->lock);
	list_splice_back(&jobs, from);
	uv_mutex_unlock(&tls->lock);
	while ((n = list_pop_front(&jobs))) {
		struct tls_job *j = list_entry(n, struct tls_job, node);

		tls->stats.queued--;
		j->done(j);
	}
}

void tls_submit(struct tls *tls, struct tls_job *j)
{
	require_magic(tls, TLS_MAGIC);
	tls->stats.queued++;
	uv_mutex_lock(&tls->lock);
	list_push_back(&tls->todo, &j->node);
	uv_cond_signal(&tls->wake);
	uv_mutex_unlock(&tls->lock);
}

enum errc tls_thread_start(struct tls *tls)
{
	const uv_thread_options_t opts = {.flags = UV_THREAD_HAS_STACK_SIZE,
					  .stack_size = THREAD_STACK};
	int r = uv_mutex_init(&tls->lock);

	if (r != 0)
		return xport_errc_from_uv(r);
	r = uv_cond_init(&tls->wake);
	if (r != 0)
		goto no_cond;
	r = uv_thread_create_ex(&tls->thread, &opts, thread_main, tls);
	if (r != 0)
		goto no_thread;
	return ERRC_OK;
no_thread:
	uv_cond_destroy(&tls->wake);
no_cond:
	uv_mutex_destroy(&tls->lock);
	return xport_errc_from_uv(r);
}

void tls_thread_stop(struct tls *tls)
{
	uv_mutex_lock(&tls->lock);
	tls->stop = true;
	uv_cond_signal(&tls->wake);
	uv_mutex_unlock(&tls->lock);
	uv_thread_join(&tls->thread);
	/* Nobody waits for these: every connection was closed before. */
	jobs_finish(tls, &tls->finished);
	jobs_finish(tls, &tls->todo);
	uv_cond_destroy(&tls->wake);
	uv_mutex_destroy(&tls->lock);
}

void tls_thread_finish(struct tls *tls)
{
	jobs_finish(tls, &tls->finished);
}
